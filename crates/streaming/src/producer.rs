//! The producer: idempotent, `acks=all`, one acknowledgement for a whole batch.
//!
//! A future per record costs an allocation and a wake-up each; a flash sale produces batches whose
//! records are all answered together, so one counter serves them.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rdkafka::{
    ClientContext,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header as KafkaHeader, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};
use tokio::sync::Notify;

use crate::{Config, Error, Header, Record, metrics, trouble::Trouble};

/// A broker that does not answer a request in this time gets it again.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// How long the thread that waits for acknowledgements waits until it looks whether it is still wanted. The client waits in
/// whole milliseconds and spends what is left of the last one asking: with the 100 ms of its own `ThreadedProducer` that is
/// nearly one percent of a core for each producer, also when it has nothing to write. Whoever drops the last clone waits
/// this long at most.
const POLL_MAX: Duration = Duration::from_millis(250);

/// How to write.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// Waits this long for a batch to fill; full batches leave at once.
    pub linger: Duration,
    /// Most records in memory that no broker has acknowledged.
    pub queue_max: u32,
    /// Most of their bytes.
    pub queue_bytes_max: u32,
    /// A record that no broker took in this time is given up, and its delivery fails.
    pub delivery_timeout: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(1),
            queue_max: 200_000,
            queue_bytes_max: 128 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(6),
        }
    }
}

/// At least one record of a batch is not known to be in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log did not acknowledge the records")]
pub struct NotDelivered;

/// The acknowledgement of a batch of records, shared by all who wait for it.
#[derive(Debug)]
pub struct Delivery {
    /// Records under way, and one for the sender until it has sealed the batch.
    left: AtomicU32,
    failed: AtomicBool,
    done: Notify,
}

impl Delivery {
    /// A batch to which records can be added until it is sealed.
    pub fn begin() -> Arc<Self> {
        Arc::new(Self { left: AtomicU32::new(1), failed: AtomicBool::new(false), done: Notify::new() })
    }

    /// No more records follow.
    pub fn seal(&self) {
        self.finish_one(true);
    }

    /// Notes that something which belongs to the batch could not even be queued.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    fn finish_one(&self, delivered: bool) {
        if !delivered {
            self.failed.store(true, Ordering::Release);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }

    /// Waits until every record of the sealed batch is acknowledged or given up. Any number of tasks
    /// may wait, at any time.
    pub async fn wait(&self) -> Result<(), NotDelivered> {
        loop {
            let mut done = std::pin::pin!(self.done.notified());
            done.as_mut().enable();
            if self.left.load(Ordering::Acquire) == 0 {
                return if self.failed.load(Ordering::Acquire) { Err(NotDelivered) } else { Ok(()) };
            }
            done.await;
        }
    }
}

struct Context {
    fatal: Arc<AtomicBool>,
    trouble: Trouble,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.trouble.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.note(reason);
        if matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::Fatal)) {
            self.fatal.store(true, Ordering::Release);
        }
        tracing::warn!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Delivery>;

    // Runs on the poll thread for every record: count and nothing else.
    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Arc<Delivery>) {
        delivery.finish_one(result.is_ok());
    }
}

/// The client, and the thread that takes its acknowledgements. Gone when dropped: nothing is sent after that, and nothing
/// told of brokers that stop then.
struct Polled {
    client: Arc<BaseProducer<Context>>,
    is_dropped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Polled {
    fn start(client: BaseProducer<Context>) -> std::io::Result<Self> {
        let (client, is_dropped) = (Arc::new(client), Arc::<AtomicBool>::default());
        let polling = {
            let (client, is_dropped) = (client.clone(), is_dropped.clone());
            move || {
                while !is_dropped.load(Ordering::Relaxed) {
                    client.poll(POLL_MAX);
                }
            }
        };
        let thread = thread::Builder::new().name("acknowledged".into()).spawn(polling)?;
        Ok(Self { client, is_dropped, thread: Some(thread) })
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that took acknowledgements panicked");
        }
    }
}

/// Writes records. A clone shares the connection.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Polled>,
    fatal: Arc<AtomicBool>,
    queue_max: u32,
    trouble: Trouble,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer; it connects in the background.
    pub fn new(config: &Config, settings: &ProducerConfig) -> Result<Self, Error> {
        let mut client = config.client();
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", settings.linger.as_millis().to_string())
            .set("queue.buffering.max.messages", settings.queue_max.to_string())
            .set("queue.buffering.max.kbytes", (settings.queue_bytes_max / 1024).to_string())
            .set("delivery.timeout.ms", settings.delivery_timeout.as_millis().to_string())
            .set("request.timeout.ms", REQUEST_MAX.min(settings.delivery_timeout).as_millis().to_string())
            .set("compression.type", "lz4")
            // The partition that Java clients and Redpanda's tools compute for the same key.
            .set("partitioner", "murmur2_random");
        metrics::producer_begins();
        let fatal = Arc::new(AtomicBool::new(false));
        let trouble = config.trouble.clone();
        let context = Context { fatal: fatal.clone(), trouble: trouble.clone() };
        let inner = BaseProducer::from_config_and_context(&client, context).map_err(Error::Config)?;
        let no_thread = |error| Error::Config(KafkaError::ClientCreation(format!("start its thread: {error}")));
        let inner = Arc::new(Polled::start(inner).map_err(no_thread)?);
        Ok(Self { inner, fatal, queue_max: settings.queue_max, trouble })
    }

    /// Queues one record as part of `delivery`. When that fails the delivery fails.
    pub fn send(&self, delivery: &Arc<Delivery>, topic: &str, key: &[u8], payload: Option<&[u8]>, headers: &[Header]) {
        self.queue(delivery, BaseRecord::with_opaque_to(topic, delivery.clone()).key(key), payload, headers);
    }

    /// As [`Producer::send`], for a copy of a record: with or without a key, to a partition of its own choice, and
    /// with the time when it was written first.
    pub fn send_copy(&self, delivery: &Arc<Delivery>, topic: &str, partition: Option<i32>, record: &Record) {
        let mut copy = BaseRecord::with_opaque_to(topic, delivery.clone());
        copy.key = record.key.as_deref();
        copy.partition = partition;
        copy.timestamp = Some(record.timestamp_ms).filter(|millis| *millis > 0);
        self.queue(delivery, copy, record.payload.as_deref(), &record.headers);
    }

    fn queue<'a>(
        &self,
        delivery: &Arc<Delivery>,
        mut record: BaseRecord<'a, [u8], [u8], Arc<Delivery>>,
        payload: Option<&'a [u8]>,
        headers: &[Header],
    ) {
        delivery.left.fetch_add(1, Ordering::AcqRel);
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        if !headers.is_empty() {
            let headers = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (name, value)| {
                all.insert(KafkaHeader { key: name, value: Some(value) })
            });
            record = record.headers(headers);
        }
        if let Err((error, record)) = self.inner.client.send(record) {
            metrics::produce_refused();
            tracing::debug!(%error, topic = record.topic, "record not queued");
            record.delivery_opaque.finish_one(false);
        }
    }

    /// Queues one record and waits for its acknowledgement.
    pub async fn deliver(
        &self,
        topic: &str,
        key: &[u8],
        payload: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), NotDelivered> {
        let delivery = Delivery::begin();
        self.send(&delivery, topic, key, payload, headers);
        delivery.seal();
        delivery.wait().await
    }

    /// Records that no broker has acknowledged.
    pub fn in_flight(&self) -> u32 {
        u32::try_from(self.inner.client.in_flight_count()).unwrap_or(0)
    }

    /// Records that still fit.
    pub fn room(&self) -> u32 {
        self.queue_max.saturating_sub(self.in_flight())
    }

    /// Whether the client gave up for good; only a new one can write.
    pub fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::Acquire)
    }

    /// Waits until everything queued is acknowledged or given up; blocks, for a stopping process.
    pub fn flush(&self, timeout: Duration) -> Result<(), Error> {
        self.inner.client.flush(timeout).map_err(self.trouble.failed("flush"))
    }

    /// Asks the brokers for a sign of life; blocks up to `timeout`.
    pub fn ping(&self, timeout: Duration) -> Result<(), Error> {
        let metadata = self.inner.client.client().fetch_metadata(None, timeout);
        metadata.map(drop).map_err(self.trouble.failed("fetch metadata"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_is_gone_with_its_last_clone() {
        let nobody = Config::new("127.0.0.1:1", "test");
        let producer = Producer::new(&nobody, &ProducerConfig::default()).unwrap();
        let (clone, client) = (producer.clone(), Arc::downgrade(&producer.inner.client));
        drop(producer);
        assert!(client.upgrade().is_some(), "the clone writes on");
        drop(clone);
        assert!(client.upgrade().is_none());
    }
}
