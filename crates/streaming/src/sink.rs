//! What a consumer writes to.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;

use crate::{Partition, Record, Rejection};

/// One record on its way to the sink.
#[derive(Debug)]
pub struct Entry<T> {
    /// The record as it came.
    pub record: Record,
    /// What the stage made of it.
    pub item: T,
}

/// What a batch did to one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// First offset read.
    pub first: i64,
    /// The offset after the last one read: where to go on.
    pub next: i64,
    /// Records read.
    pub consumed: u64,
    /// Records that do not concern the sink.
    pub skipped: u64,
    /// Records in the dead letters.
    pub rejected: u64,
}

/// A batch: what the stage emitted, and every record accounted for.
#[derive(Debug)]
pub struct Batch<T> {
    /// To be written, in the order of the log within a partition.
    pub entries: Vec<Entry<T>>,
    /// What was read, by partition.
    pub spans: BTreeMap<Partition, Span>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), spans: BTreeMap::new() }
    }
}

/// What a write did with the entries of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that changed something.
    pub applied: u64,
    /// Entries whose effect was there already.
    pub duplicate: u64,
}

/// What a write did, by partition.
pub type Written = HashMap<Partition, Counts>;

/// Why a write did nothing.
#[derive(Debug)]
pub enum WriteError {
    /// These entries (by index) can never be written. Nothing was; they go to the dead letters and
    /// their neighbours are written again.
    Poison(Vec<(usize, Rejection)>),
    /// The infrastructure is bad; the same batch again, later.
    Fail(String),
}

/// The end of a pipeline. Writing the same batch twice must have the effect of once.
#[async_trait]
pub trait Sink: Send {
    /// What it takes.
    type Item: Send + Sync;

    /// Where to go on in freshly assigned partitions; a partition that is left out goes on where the
    /// broker says. An error is tried again.
    async fn resume(&mut self, partitions: &[Partition]) -> Result<HashMap<Partition, i64>, String>;

    /// Writes a batch whole, or not at all.
    async fn write(&mut self, batch: &Batch<Self::Item>) -> Result<Written, WriteError>;
}
