//! One pass over a topic: from a position up to where it ends now, as fast as one thread can, without a group.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList, config::FromClientConfigAndContext, consumer::Consumer, error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error,
    view::{Client, Context},
};

/// How long one question to the brokers may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Without a record or an end for this long the brokers are given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Records between two reports of progress.
const REPORT_EVERY: u64 = 10_000;

/// Next offset of each partition.
pub type Offsets = BTreeMap<i32, i64>;

/// Where a scan begins.
#[derive(Debug, Clone)]
pub enum From {
    /// At the first record.
    Beginning,
    /// At the first record that was written at this time (milliseconds since 1970) or later.
    Time(i64),
    /// At these offsets; a partition that is not named is read from its beginning.
    Offsets(Offsets),
}

/// A record as it lies in the client's memory.
#[derive(Debug, Clone, Copy)]
pub struct Scanned<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub payload: Option<&'a [u8]>,
    /// Milliseconds since 1970 as the producer or broker stamped it; 0 when unknown.
    pub timestamp_ms: i64,
}

/// How far a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub done: u64,
    /// Records there are, as offsets tell it.
    pub total: u64,
}

/// Reads `topic` and calls `each` with every record, in order within a partition. Blocks. Returns where the
/// next scan would go on.
///
/// # Errors
/// When the brokers do not answer, or `stop` is cancelled.
pub fn scan(
    config: &Config,
    topic: &str,
    from: &From,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(Progress),
    each: &mut dyn FnMut(Scanned<'_>),
) -> Result<Offsets, Error> {
    let kafka = |doing| move |source| Error::Kafka { doing, source };
    let mut client = config.client();
    client
        .set("group.id", "flashsale-scan")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.message.max.bytes", "4194304")
        .set("queued.max.messages.kbytes", "32768");
    let consumer = Client::from_config_and_context(&client, Context).map_err(Error::Config)?;
    let ranges = ranges(&consumer, topic, from).map_err(kafka("find where to scan"))?;
    let ends: Offsets = ranges.iter().map(|(partition, (_, end))| (*partition, *end)).collect();
    let mut open: HashMap<i32, i64> =
        ranges.iter().filter(|(_, (start, end))| start < end).map(|(number, (_, end))| (*number, *end)).collect();
    let total = ranges.values().map(|(start, end)| u64::try_from(end - start).unwrap_or(0)).sum();
    let mut list = TopicPartitionList::new();
    for (number, (start, _)) in ranges.iter().filter(|(number, _)| open.contains_key(number)) {
        list.add_partition_offset(topic, *number, Offset::Offset(*start)).map_err(kafka("assign"))?;
    }
    consumer.assign(&list).map_err(kafka("assign"))?;
    let (mut done, mut heard) = (0, Instant::now());
    progress(Progress { done, total });
    while !open.is_empty() {
        if stop.is_cancelled() {
            return Err(Error::Stopped("the scan was asked to stop".into()));
        }
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                let Some(end) = open.get(&partition).copied() else { continue };
                if offset < end {
                    let timestamp_ms = message.timestamp().to_millis().unwrap_or(0);
                    each(Scanned { partition, offset, key: message.key(), payload: message.payload(), timestamp_ms });
                    done += 1;
                    heard = Instant::now();
                }
                if offset + 1 >= end {
                    open.remove(&partition);
                }
                if done % REPORT_EVERY == 0 {
                    progress(Progress { done, total });
                }
            }
            // The last offsets of a compacted partition may hold no record.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(error)) => tracing::warn!(%error, topic, "scan"),
            None if heard.elapsed() > SILENCE_MAX => {
                return Err(Error::Stopped(format!("no record of {topic} came within {SILENCE_MAX:?}")));
            }
            None => {}
        }
    }
    progress(Progress { done, total });
    Ok(ends)
}

/// First and next-to-last-plus-one offset of each partition.
fn ranges(consumer: &Client, topic: &str, from: &From) -> Result<BTreeMap<i32, (i64, i64)>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_MAX)?;
    let partitions: Vec<i32> =
        metadata.topics().first().map_or(&[][..], |topic| topic.partitions()).iter().map(|one| one.id()).collect();
    if partitions.is_empty() {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
    }
    let mut ranges = BTreeMap::new();
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, ANSWER_MAX)?;
        ranges.insert(partition, (low, high));
    }
    match from {
        From::Beginning => {}
        From::Offsets(offsets) => {
            for (partition, range) in &mut ranges {
                range.0 = offsets.get(partition).map_or(range.0, |start| (*start).max(range.0));
            }
        }
        From::Time(millis) => {
            let mut times = TopicPartitionList::new();
            for partition in ranges.keys() {
                times.add_partition_offset(topic, *partition, Offset::Offset(*millis))?;
            }
            let found = consumer.offsets_for_times(times, ANSWER_MAX)?;
            for element in found.elements() {
                element.error()?;
            }
            for (partition, range) in &mut ranges {
                range.0 = match found.find_partition(topic, *partition).map(|element| element.offset()) {
                    Some(Offset::Offset(start)) => start.max(range.0),
                    // Nothing is that young.
                    _ => range.1,
                };
            }
        }
    }
    Ok(ranges)
}

/// The partitions of a topic, and the first offset that each still has: above 0 once records have expired.
///
/// # Errors
/// When the brokers do not answer, or know no such topic.
pub async fn partitions(config: &Config, topic: &str) -> Result<BTreeMap<i32, i64>, Error> {
    let (config, topic) = (config.client(), topic.to_owned());
    let asking = tokio::task::spawn_blocking(move || {
        let consumer = Client::from_config_and_context(&config, Context).map_err(Error::Config)?;
        let ranges = ranges(&consumer, &topic, &From::Offsets(Offsets::new()));
        ranges
            .map(|ranges| ranges.into_iter().map(|(partition, (low, _))| (partition, low)).collect())
            .map_err(|source| Error::Kafka { doing: "look at a topic", source })
    });
    asking.await.map_err(|error| Error::Stopped(format!("looking at a topic: {error}")))?
}
