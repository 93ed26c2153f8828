//! Batches become transactions.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use flashsale_core::Micros;
use flashsale_platform::Tracer;
use flashsale_sql::{Applied, Apply, Conflict, Decided, Entry, Error, Fault, Read, Store};
use flashsale_streaming::{Batch, Counts, Partition, Rejection, Sink, WriteError, Written, redriven_from};

use super::trace;
use crate::metrics;

/// Class of an entry that contradicts what is stored.
const CONFLICT: &str = "conflict";
/// Class of an entry that Postgres does not take.
const CONSTRAINT: &str = "constraint";

/// Writes decisions to Postgres, each once.
#[derive(Debug, Clone)]
pub struct PostgresSink {
    store: Store,
    consumer: String,
    answer_timeout: Duration,
    joined: Arc<AtomicBool>,
    tracer: Tracer,
}

/// An entry, by its place in the batch, and why it can never be written.
type Poison = Vec<(usize, Rejection)>;

impl PostgresSink {
    /// A sink that keeps its offsets under the name of `consumer` and waits for Postgres for at most
    /// `answer_timeout` in one step.
    pub fn new(store: Store, consumer: impl Into<String>, answer_timeout: Duration) -> Self {
        Self { store, consumer: consumer.into(), answer_timeout, joined: Arc::default(), tracer: Tracer::off() }
    }

    /// Sets `joined` once it knows where to go on.
    #[must_use]
    pub(crate) fn telling(self, joined: Arc<AtomicBool>) -> Self {
        Self { joined, ..self }
    }

    /// Goes on with the traces of the decisions that it writes.
    #[must_use]
    pub(crate) fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// A connection may hang without an end, which is a failure like any other.
    async fn answer<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        match tokio::time::timeout(self.answer_timeout, asked).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure { fault: error.fault(), message: error.chain() }),
            Err(_) => Err(Failure {
                fault: Fault::Infrastructure,
                message: format!("postgres did not answer within {:?}", self.answer_timeout),
            }),
        }
    }

    /// Tries ever smaller parts of a refused batch, without writing any, until the bad entries are alone.
    async fn bisect(&self, batch: &Apply<'_>) -> Result<Poison, Failure> {
        metrics::bisected();
        let mut poison = Vec::new();
        let whole: Range<usize> = 0..batch.entries.len();
        let mut left = vec![whole];
        while let Some(range) = left.pop() {
            let part = Apply { reads: batch.reads.clone(), entries: batch.entries[range.clone()].to_vec() };
            match self.answer(self.store.probe(&self.consumer, &part)).await {
                Ok(Applied::Written(_)) => {}
                Ok(Applied::Conflicts(conflicts)) => poison.extend(rejections(range.start, conflicts)),
                Err(failure) if failure.fault == Fault::Infrastructure || range.is_empty() => return Err(failure),
                Err(failure) if range.len() == 1 => {
                    poison.push((range.start, Rejection::new(CONSTRAINT, failure.message)));
                }
                Err(_) => {
                    let middle = range.start + range.len() / 2;
                    left.extend([range.start..middle, middle..range.end]);
                }
            }
        }
        Ok(poison)
    }
}

/// Why Postgres did not do something.
struct Failure {
    fault: Fault,
    message: String,
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure.message)
    }
}

fn rejections(first: usize, conflicts: Vec<Conflict>) -> impl Iterator<Item = (usize, Rejection)> {
    conflicts.into_iter().map(move |conflict| {
        let Conflict { entry, stored } = conflict;
        (first + entry, Rejection::new(CONFLICT, format!("postgres holds {stored}")))
    })
}

/// The batch as the store takes it: borrowed, with partitions by their place.
fn request(batch: &Batch<Decided>) -> Result<Apply<'_>, WriteError> {
    let places: HashMap<&Partition, usize> = batch.spans.keys().zip(0..).collect();
    let reads = batch.spans.iter().map(|(partition, span)| Read {
        topic: &partition.topic,
        partition: partition.number,
        next: span.next,
        consumed: span.consumed,
        rejected: span.rejected,
        skipped: span.skipped,
    });
    let entries = batch.entries.iter().map(|entry| {
        let position = &entry.record.position;
        let read = *places.get(&position.partition).ok_or_else(|| format!("{position} was never read"))?;
        let origin = redriven_from(&entry.record);
        Ok(Entry { read, offset: position.offset, decided: &entry.item, origin })
    });
    let entries = entries.collect::<Result<_, String>>().map_err(WriteError::Fail)?;
    Ok(Apply { reads: reads.collect(), entries })
}

/// By this host's clock, while decisions have the time of Redis': good enough for measuring.
pub(super) fn micros(at: SystemTime) -> Micros {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn measure(batch: &Batch<Decided>) {
    let now = micros(SystemTime::now());
    let units = batch.entries.iter().filter(|entry| matches!(entry.item, Decided::Sold { .. }));
    metrics::written(batch.entries.len(), units.map(|entry| now.since(entry.item.decided_at()).as_secs_f64()));
}

#[async_trait]
impl Sink for PostgresSink {
    type Item = Decided;

    async fn resume(&mut self, partitions: &[Partition]) -> Result<HashMap<Partition, i64>, String> {
        let wanted: Vec<(&str, i32)> =
            partitions.iter().map(|partition| (&*partition.topic, partition.number)).collect();
        let stored = self.answer(self.store.offsets(&self.consumer, &wanted)).await;
        let stored = stored.map_err(|failure| failure.message)?;
        self.joined.store(true, Ordering::Release);
        let next_of = |partition: &Partition| {
            let row = stored.iter().find(|row| row.topic == *partition.topic && row.partition == partition.number);
            // Never written means from the first record on, whatever was committed on the broker.
            row.map_or(0, |row| row.next_offset)
        };
        Ok(partitions.iter().map(|partition| (partition.clone(), next_of(partition))).collect())
    }

    async fn write(&mut self, batch: &Batch<Decided>) -> Result<Written, WriteError> {
        let request = request(batch)?;
        let began = SystemTime::now();
        match self.answer(self.store.apply(&self.consumer, &request)).await {
            Ok(Applied::Written(counts)) => {
                measure(batch);
                trace::committed(&self.tracer, batch, began);
                let counts = counts.into_iter().map(|(applied, duplicate)| Counts { applied, duplicate });
                Ok(batch.spans.keys().cloned().zip(counts).collect())
            }
            Ok(Applied::Conflicts(conflicts)) => Err(WriteError::Poison(rejections(0, conflicts).collect())),
            Err(failure) if failure.fault == Fault::Infrastructure => Err(failure.into()),
            Err(failure) => match self.bisect(&request).await? {
                poison if poison.is_empty() => Err(WriteError::Fail(format!("only as a whole: {}", failure.message))),
                poison => Err(WriteError::Poison(poison)),
            },
        }
    }
}
