//! One pass over a stretch of a topic, as fast as one thread can, without a group.

use std::{
    collections::{BTreeMap, HashMap},
    ops::{ControlFlow, Range},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::Consumer,
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    types::RDKafkaErrorCode,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error, Partition, Position, Record,
    config::FETCH_BACKOFF_MS,
    redrive::REDRIVEN_AT,
    view::{Client, Context},
};

/// How long one question to the brokers may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Between two questions to partitions without a leader.
const LEADER_PAUSE: Duration = Duration::from_millis(200);
/// Without a record or an end for this long the brokers are given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Records between two reports of progress.
const REPORT_EVERY: u64 = 10_000;

/// Next offset of each partition.
pub type Offsets = BTreeMap<i32, i64>;
/// A stretch of each partition; the end of a range is the first offset that does not belong to it.
pub type Ranges = BTreeMap<i32, Range<i64>>;

/// Where a stretch begins.
#[derive(Debug, Clone)]
pub enum From {
    /// At the first record.
    Beginning,
    /// At the first record that was written at this time (milliseconds since 1970) or later.
    Time(i64),
    /// At these offsets; a partition that is not named is read from its beginning.
    Offsets(Offsets),
}

/// Where a stretch ends.
#[derive(Debug, Clone)]
pub enum Until {
    /// Where the topic ends now.
    End,
    /// Before the first record that was written at this time (milliseconds since 1970) or later.
    Time(i64),
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
    message: &'a BorrowedMessage<'a>,
}

impl<'a> Scanned<'a> {
    pub(crate) fn of(message: &'a BorrowedMessage<'_>) -> Self {
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key(),
            payload: message.payload(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
            message,
        }
    }

    /// Its headers in order: name and bytes. They are taken apart here, which costs more than all the rest.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let headers = self.message.headers().into_iter().flat_map(Headers::iter);
        headers.map(|header| (header.key, header.value.unwrap_or_default()))
    }

    /// Whether it was a dead letter and sent again.
    pub fn is_redriven(&self) -> bool {
        self.headers().any(|(name, _)| name == REDRIVEN_AT)
    }

    /// A copy that outlives the scan of `topic`.
    pub fn to_record(&self, topic: &Arc<str>) -> Record {
        Record {
            position: Position {
                partition: Partition { topic: topic.clone(), number: self.partition },
                offset: self.offset,
            },
            key: self.key.map(Bytes::copy_from_slice),
            payload: self.payload.map(Bytes::copy_from_slice),
            headers: self.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
            timestamp_ms: self.timestamp_ms,
        }
    }
}

/// How far a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub done: u64,
    /// Records there are, as offsets tell it.
    pub total: u64,
}

/// Reads a stretch of `topic` and calls `each` with every record, in order within a partition, until it has had
/// enough. Blocks. Returns where the next scan would go on.
///
/// # Errors
/// When the brokers do not answer, or `stop` is cancelled.
pub fn scan(
    config: &Config,
    topic: &str,
    ranges: &Ranges,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(Progress),
    each: &mut dyn FnMut(Scanned<'_>) -> ControlFlow<()>,
) -> Result<Offsets, Error> {
    let consumer = reader(config)?;
    let mut open: HashMap<i32, i64> =
        ranges.iter().filter(|(_, range)| !range.is_empty()).map(|(number, range)| (*number, range.end)).collect();
    let total = ranges.values().map(|range| u64::try_from(range.end - range.start).unwrap_or(0)).sum();
    let mut reached: Offsets = ranges.iter().map(|(number, range)| (*number, range.start)).collect();
    let mut list = TopicPartitionList::new();
    for (number, range) in ranges.iter().filter(|(number, _)| open.contains_key(number)) {
        list.add_partition_offset(topic, *number, Offset::Offset(range.start)).map_err(config.failed("assign"))?;
    }
    consumer.assign(&list).map_err(config.failed("assign"))?;
    let (mut done, mut heard) = (0, Instant::now());
    progress(Progress { done, total });
    while !open.is_empty() {
        if stop.is_cancelled() {
            return Err(Error::Stopped("the scan was asked to stop".into()));
        }
        // Also while partitions that are done go on yielding what comes now.
        if heard.elapsed() > SILENCE_MAX {
            return Err(Error::Stopped(format!("no record of {topic} came within {SILENCE_MAX:?}")));
        }
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                let Some(end) = open.get(&partition).copied() else { continue };
                if offset < end {
                    reached.insert(partition, offset + 1);
                    if each(Scanned::of(&message)).is_break() {
                        return Ok(reached);
                    }
                    done += 1;
                    heard = Instant::now();
                }
                if offset + 1 >= end {
                    open.remove(&partition);
                    reached.insert(partition, end);
                }
                if done % REPORT_EVERY == 0 {
                    progress(Progress { done, total });
                }
            }
            // The last offsets of a compacted partition may hold no record.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                if let Some(end) = open.remove(&partition) {
                    reached.insert(partition, end);
                }
            }
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                let reason = "records expired while they were about to be read; begin again".into();
                return Err(Error::Topic { topic: topic.to_owned(), reason });
            }
            Some(Err(error)) => tracing::warn!(%error, topic, "scan"),
            None => {}
        }
    }
    progress(Progress { done, total });
    Ok(reached)
}

/// Reads all that `topic` has now, as [`scan`] does. Blocks.
///
/// # Errors
/// When the brokers do not answer or know no such topic, or `stop` is cancelled.
pub fn read_all(
    config: &Config,
    topic: &str,
    stop: &CancellationToken,
    each: &mut dyn FnMut(Scanned<'_>),
) -> Result<Offsets, Error> {
    let ranges = ranges(&reader(config)?, topic, &From::Beginning, &Until::End);
    let ranges = ranges.map_err(config.failed("find what to read"))?;
    scan(config, topic, &ranges, stop, &mut |_| (), &mut |record| {
        each(record);
        ControlFlow::Continue(())
    })
}

/// A client that reads what it is assigned, and is no member of any group.
fn reader(config: &Config) -> Result<Client, Error> {
    let mut client = config.client();
    client
        .set("group.id", "flashsale-scan")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        // Nothing may be passed over in silence.
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.message.max.bytes", "4194304")
        .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS)
        .set("queued.max.messages.kbytes", "32768");
    Client::from_config_and_context(&client, Context::of(config)).map_err(Error::Config)
}

/// The offsets of a stretch of `topic`, within what each partition still has.
///
/// # Errors
/// When the brokers do not answer, or know no such topic.
pub async fn resolve(config: &Config, topic: &str, from: &From, until: &Until) -> Result<Ranges, Error> {
    let (config, topic, from, until) = (config.clone(), topic.to_owned(), from.clone(), until.clone());
    let asking = tokio::task::spawn_blocking(move || {
        let consumer = reader(&config)?;
        once_led(|| ranges(&consumer, &topic, &from, &until)).map_err(|source| match source {
            KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                Error::Topic { topic: topic.clone(), reason: "the brokers know no such topic".into() }
            }
            source => config.failed("look at a topic")(source),
        })
    });
    asking.await.map_err(|error| Error::Stopped(format!("looking at a topic: {error}")))?
}

/// Asks again while partitions have no leader that answers: new ones get theirs within a second or two.
pub(crate) fn once_led<T>(mut ask: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    let began = Instant::now();
    loop {
        let answer = ask();
        let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let is_leaderless = matches!(code, Some(LeaderNotAvailable | NotLeaderForPartition));
        if !is_leaderless || began.elapsed() >= ANSWER_MAX {
            return answer;
        }
        std::thread::sleep(LEADER_PAUSE);
    }
}

fn ranges(consumer: &Client, topic: &str, from: &From, until: &Until) -> Result<Ranges, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_MAX)?;
    let partitions: Vec<i32> =
        metadata.topics().first().map_or(&[][..], |topic| topic.partitions()).iter().map(|one| one.id()).collect();
    if partitions.is_empty() {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
    }
    let mut ranges = Ranges::new();
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, ANSWER_MAX)?;
        ranges.insert(partition, low..high);
    }
    let named = |offsets: &Offsets, partition: &i32, range: &Range<i64>| {
        offsets.get(partition).map(|offset| (*offset).clamp(range.start, range.end))
    };
    let starts = match from {
        From::Beginning => Offsets::new(),
        From::Offsets(offsets) => offsets.clone(),
        From::Time(millis) => offsets_at(consumer, topic, &ranges, *millis)?,
    };
    let ends = match until {
        Until::End => Offsets::new(),
        Until::Time(millis) => offsets_at(consumer, topic, &ranges, *millis)?,
    };
    for (partition, range) in &mut ranges {
        let start = named(&starts, partition, range).unwrap_or(range.start);
        let end = named(&ends, partition, range).unwrap_or(range.end);
        *range = start..end.max(start);
    }
    Ok(ranges)
}

/// The first offset of each partition that was written at `millis` or later; its end when nothing is that young.
fn offsets_at(consumer: &Client, topic: &str, ranges: &Ranges, millis: i64) -> Result<Offsets, KafkaError> {
    let mut times = TopicPartitionList::new();
    for partition in ranges.keys() {
        times.add_partition_offset(topic, *partition, Offset::Offset(millis.max(0)))?;
    }
    let found = consumer.offsets_for_times(times, ANSWER_MAX)?;
    for element in found.elements() {
        element.error()?;
    }
    let offset = |partition: &i32| match found.find_partition(topic, *partition).map(|element| element.offset()) {
        Some(Offset::Offset(offset)) => Some(offset),
        _ => None,
    };
    Ok(ranges.iter().map(|(partition, range)| (*partition, offset(partition).unwrap_or(range.end))).collect())
}

/// The partitions of a topic, and the first offset that each still has: above 0 once records have expired.
///
/// # Errors
/// When the brokers do not answer, or know no such topic.
pub async fn partitions(config: &Config, topic: &str) -> Result<BTreeMap<i32, i64>, Error> {
    let ranges = resolve(config, topic, &From::Beginning, &Until::End).await?;
    Ok(ranges.into_iter().map(|(partition, range)| (partition, range.start)).collect())
}
