//! Where records come from.

use std::collections::HashMap;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::{Error, Partition, Record};

/// What a source tells a pipeline.
#[derive(Debug)]
pub enum SourceEvent {
    /// Records in the order of their partitions.
    Records(Vec<Record>),
    /// A change of what this member owns; answered before any record of it comes.
    Control(Control),
    /// The source ended.
    Stopped(Error),
}

/// A rebalance.
#[derive(Debug)]
pub enum Control {
    /// These partitions are ours now. The answer says where to begin.
    Assigned(Vec<Partition>, oneshot::Sender<HashMap<Partition, i64>>),
    /// These are taken away. The answer, after what is under way is written, says how far it got.
    Revoked(Vec<Partition>, oneshot::Sender<HashMap<Partition, i64>>),
}

/// A log that a group reads. Real: [`crate::KafkaSource`]; scripted for tests: [`crate::LocalSource`].
#[async_trait]
pub trait Source: Send {
    /// The next event, control before records. Cancel safe.
    async fn next(&mut self) -> SourceEvent;

    /// The next control event, for those who must not take records now. Cancel safe.
    async fn next_control(&mut self) -> SourceEvent;

    /// Notes where the group goes on, for lag displays and restarts.
    fn commit(&mut self, next: &HashMap<Partition, i64>);

    /// Leaves the group after a last commit.
    async fn close(&mut self);
}
