//! A sink in memory that keeps rows and offsets together, as Postgres does.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use flashsale_streaming::{Batch, Outcome, Partition, Position, Record, Sink, WriteError, Written};

#[derive(Debug, Default)]
struct Tables {
    rows: BTreeMap<Position, String>,
    repeats: u64,
    next: HashMap<Partition, i64>,
}

/// Rows and offsets; a clone shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    tables: Arc<Mutex<Tables>>,
    /// Whether `resume` tells its own offsets, or leaves that to the broker.
    own_offsets: bool,
}

impl Memory {
    pub(crate) fn with_own_offsets() -> Self {
        Self { own_offsets: true, ..Self::default() }
    }

    /// Pretends that a partition was read up to `next`.
    pub(crate) fn pretend(&self, partition: &Partition, next: i64) {
        self.tables.lock().unwrap().next.insert(partition.clone(), next);
    }

    pub(crate) fn len(&self) -> usize {
        self.tables.lock().unwrap().rows.len()
    }

    /// Rows that were written again.
    pub(crate) fn repeats(&self) -> u64 {
        self.tables.lock().unwrap().repeats
    }

    /// All rows by position.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.tables.lock().unwrap().rows.values().cloned().collect()
    }
}

/// Every record is a row.
pub(crate) fn stage(record: &Record) -> Outcome<String> {
    Outcome::Emit(String::from_utf8(record.payload.clone().unwrap_or_default().to_vec()).unwrap())
}

#[async_trait]
impl Sink for Memory {
    type Item = String;

    async fn resume(&mut self, partitions: &[Partition]) -> Result<HashMap<Partition, i64>, String> {
        if !self.own_offsets {
            return Ok(HashMap::new());
        }
        let tables = self.tables.lock().unwrap();
        let next = |partition: &Partition| tables.next.get(partition).copied().unwrap_or(0);
        Ok(partitions.iter().map(|partition| (partition.clone(), next(partition))).collect())
    }

    async fn write(&mut self, batch: &Batch<String>) -> Result<Written, WriteError> {
        let mut written = Written::new();
        let mut tables = self.tables.lock().unwrap();
        for entry in &batch.entries {
            let position = entry.record.position.clone();
            let counts = written.entry(position.partition.clone()).or_default();
            if tables.rows.insert(position, entry.item.clone()).is_none() {
                counts.applied += 1;
            } else {
                counts.duplicate += 1;
                tables.repeats += 1;
            }
        }
        for (partition, span) in &batch.spans {
            tables.next.insert(partition.clone(), span.next);
        }
        Ok(written)
    }
}
