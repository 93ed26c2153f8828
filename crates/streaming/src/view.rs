//! A table in memory, kept from whole topics: no group, no commits, every reader sees everything.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    types::RDKafkaErrorCode,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Error, Partition, Position, Record, Scanned,
    config::{FETCH_BACKOFF_MS, FETCH_BYTES_MIN},
    trouble::Trouble,
};

/// What a view reads.
#[derive(Debug, Clone)]
pub struct ViewConfig {
    /// Names the thread and the client.
    pub name: String,
    /// Topics, each from its first record on.
    pub topics: Vec<String>,
}

/// Tries after which unreadable topics are worth a warning: new ones take a moment to get their leaders.
const TRIES_QUIET: u32 = 25;

/// How much is to be expected of a topic.
#[derive(Clone, Copy)]
enum Pace {
    /// Now and then a record, which is wanted at once.
    Quiet,
    /// Thousands a second, which are better had together.
    Busy,
}

/// A client that reads to the end of partitions and does not take that for an error.
pub(crate) struct Context(Trouble);

impl Context {
    /// For a client of this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self(config.trouble.clone())
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.0.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.note(reason);
        // Reaching the end of a partition is reported as an error.
        if !matches!(error, KafkaError::PartitionEOF(_))
            && error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF)
        {
            tracing::warn!(%error, reason, "kafka reader");
        }
    }
}

impl ConsumerContext for Context {}

pub(crate) type Client = BaseConsumer<Context>;

/// Reads topics whole and goes on following them until dropped.
pub struct View {
    caught_up: watch::Receiver<bool>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("caught_up", &*self.caught_up.borrow()).finish_non_exhaustive()
    }
}

impl View {
    /// Calls `apply` with every record, in order within a partition, on a thread of its own.
    pub fn start(
        config: &Config,
        view: ViewConfig,
        mut apply: impl FnMut(Record) + Send + 'static,
    ) -> Result<Self, Error> {
        let mut names = HashSet::new();
        Self::begin(config, view, (Offset::Beginning, Pace::Quiet), move |message| apply(owned(message, &mut names)))
    }

    /// As [`View::start`], for a busy topic: without a copy of the records, and many at a time.
    pub fn glance(
        config: &Config,
        view: ViewConfig,
        mut apply: impl FnMut(Scanned<'_>) + Send + 'static,
    ) -> Result<Self, Error> {
        Self::begin(config, view, (Offset::Beginning, Pace::Busy), move |message| apply(Scanned::of(message)))
    }

    /// As [`View::glance`], with the records that come from now on.
    pub fn follow(
        config: &Config,
        view: ViewConfig,
        mut apply: impl FnMut(Scanned<'_>) + Send + 'static,
    ) -> Result<Self, Error> {
        Self::begin(config, view, (Offset::End, Pace::Busy), move |message| apply(Scanned::of(message)))
    }

    fn begin(
        config: &Config,
        view: ViewConfig,
        (from, pace): (Offset, Pace),
        apply: impl FnMut(&BorrowedMessage<'_>) + Send + 'static,
    ) -> Result<Self, Error> {
        let mut client = config.client();
        client
            .set("group.id", format!("flashsale-view-{}", view.name))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS)
            .set("queued.max.messages.kbytes", "4096");
        match pace {
            // A broker answers with the first record that comes, and else twice a second.
            Pace::Quiet => client.set("fetch.min.bytes", "1").set("fetch.wait.max.ms", "500"),
            Pace::Busy => client.set("fetch.min.bytes", FETCH_BYTES_MIN).set("fetch.wait.max.ms", "20"),
        };
        let consumer = Client::from_config_and_context(&client, Context::of(config)).map_err(Error::Config)?;
        let stop = CancellationToken::new();
        let (caught_up_tx, caught_up) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name(format!("view-{}", view.name))
            .spawn({
                let stop = stop.clone();
                move || read_on(&consumer, (&view.topics, from), &stop, &caught_up_tx, apply)
            })
            .map_err(|error| Error::Stopped(format!("no thread to poll on: {error}")))?;
        Ok(Self { caught_up, stop, thread: Some(thread) })
    }

    /// Waits until everything that was in the topics at the start has been applied.
    pub async fn caught_up(&self) {
        // Fails only when the thread is gone; then nothing more will come.
        drop(self.caught_up.clone().wait_for(|done| *done).await);
    }

    /// Whether the view has applied what was there at the start.
    pub fn is_caught_up(&self) -> bool {
        *self.caught_up.borrow()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A poll later it is done; a panic in it was reported by the panic hook.
            drop(thread.join());
        }
    }
}

fn read_on(
    consumer: &Client,
    (topics, from): (&[String], Offset),
    stop: &CancellationToken,
    caught_up: &watch::Sender<bool>,
    mut apply: impl FnMut(&BorrowedMessage<'_>),
) {
    let mut tries = 0;
    let mut behind = loop {
        tries += 1;
        match assign_all(consumer, topics, from) {
            Ok(partitions) => break partitions,
            Err(error) if stop.is_cancelled() => return tracing::debug!(%error, "view stopped"),
            Err(error) => {
                if tries % TRIES_QUIET == 0 {
                    tracing::warn!(%error, ?topics, tries, "cannot read the topics yet");
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    };
    if behind.is_empty() {
        caught_up.send_replace(true);
    }
    while !stop.is_cancelled() {
        match consumer.poll(Duration::from_millis(50)) {
            None => {}
            Some(Ok(message)) => {
                // Also by what was read: a busy partition seldom says that its end is reached.
                let was_behind = !behind.is_empty();
                let (of, next) = ((message.topic(), message.partition()), message.offset() + 1);
                apply(&message);
                behind.retain(|(topic, partition), end| (topic.as_str(), *partition) != of || next < *end);
                if was_behind && behind.is_empty() {
                    caught_up.send_replace(true);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                // The event does not name its topic, so every position is compared with its end.
                behind.retain(|(topic, partition), end| position(consumer, topic, *partition) < *end);
                if behind.is_empty() {
                    caught_up.send_replace(true);
                }
            }
            Some(Err(error)) => tracing::warn!(%error, "view"),
        }
    }
}

fn position(consumer: &Client, topic: &str, partition: i32) -> i64 {
    let position = consumer.position().ok();
    let offset = position.and_then(|list| Some(list.find_partition(topic, partition)?.offset()));
    match offset {
        Some(Offset::Offset(next)) => next,
        // Nothing was read: the partition is empty, or its end has not been reached.
        _ => 0,
    }
}

type Ends = HashMap<(String, i32), i64>;

/// Assigns every partition; returns where each that is not empty ends now.
fn assign_all(consumer: &Client, topics: &[String], from: Offset) -> Result<Ends, KafkaError> {
    let timeout = Duration::from_secs(5);
    let mut list = TopicPartitionList::new();
    let mut ends = Ends::new();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        for partition in partitions {
            let (low, high) = consumer.fetch_watermarks(topic, partition.id(), timeout)?;
            list.add_partition_offset(topic, partition.id(), from)?;
            if high > low && from == Offset::Beginning {
                ends.insert((topic.clone(), partition.id()), high);
            }
        }
    }
    consumer.assign(&list)?;
    Ok(ends)
}

/// Copies a record out of the client's memory; `names` holds one shared string a topic.
pub(crate) fn owned(message: &BorrowedMessage<'_>, names: &mut HashSet<Arc<str>>) -> Record {
    let topic = names.get(message.topic()).cloned().unwrap_or_else(|| {
        let topic: Arc<str> = message.topic().into();
        names.insert(topic.clone());
        topic
    });
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    });
    Record {
        position: Position { partition: Partition { topic, number: message.partition() }, offset: message.offset() },
        key: message.key().map(Bytes::copy_from_slice),
        payload: message.payload().map(Bytes::copy_from_slice),
        headers,
        timestamp_ms: message.timestamp().to_millis().unwrap_or(0),
    }
}

/// The client's form of a map of next offsets.
pub(crate) fn partition_list(offsets: &HashMap<Partition, i64>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, next) in offsets {
        if let Err(error) = list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*next)) {
            tracing::error!(%error, %partition, next, "offset");
        }
    }
    list
}
