//! What operators order and do, and what they see.

use flashsale_core::Micros;
use serde::{Deserialize, Serialize};

use crate::{Event, Topic};

/// What a consumer is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ControlAction {
    /// Stop reading.
    Pause,
    /// Read on.
    Resume,
    /// Read up to an offset, then stop.
    RunTo,
    /// Newer than this build.
    Unknown,
}

/// An operator's standing order to a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerControl {
    /// Which consumer, by its group.
    pub consumer: String,
    /// What it is to do.
    pub action: ControlAction,
    /// On which partitions; empty means all.
    pub partitions: Vec<i32>,
    /// For [`ControlAction::RunTo`]: the first offset that is not to be read.
    pub until_offset: Option<i64>,
    /// Who gave the order.
    pub issued_by: String,
    /// When.
    pub issued_at: Micros,
}

impl Event for ConsumerControl {
    const TOPIC: Topic = Topic::ConsumerControl;
}

/// What an operator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperatorAction {
    /// A consumer was stopped.
    Pause,
    /// A consumer was let go on.
    Resume,
    /// A consumer was put elsewhere.
    Reset,
    /// A dead letter was sent again.
    Redrive,
    /// A dead letter was given up.
    Discard,
    /// The stores were compared, and what differed was repaired.
    Reconcile,
    /// A store was made anew from the log.
    Rebuild,
    /// A stretch of a topic was written to another.
    Replay,
    /// A sale was created.
    SaleCreate,
    /// A sale was changed.
    SaleUpdate,
    /// A sale was stopped.
    SalePause,
    /// A sale was let go on.
    SaleResume,
    /// A sale was removed.
    SaleDelete,
    /// Newer than this build.
    Unknown,
}

/// Something that an operator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorAct {
    /// Names the act.
    pub act_id: String,
    /// What was done.
    pub action: OperatorAction,
    /// What it was done to: a consumer, a SKU, a topic, or a dead letter as partition-offset.
    pub target: String,
    /// Who did it, as they named themselves.
    pub actor: String,
    /// When.
    pub at: Micros,
    /// Why, in the words of the actor.
    pub reason: Option<String>,
    /// What exactly, as JSON.
    pub detail: Option<String>,
}

impl Event for OperatorAct {
    const TOPIC: Topic = Topic::OperatorActs;
}

/// One partition at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPosition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that the consumer had not done.
    pub position: i64,
    /// The offset that the next record got.
    pub end: i64,
}

/// How far a consumer had come at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerPositions {
    /// Which consumer, by its group.
    pub consumer: String,
    /// The moment.
    pub at: Micros,
    /// Every partition of which the position was known.
    pub partitions: Vec<PartitionPosition>,
}

impl Event for ConsumerPositions {
    const TOPIC: Topic = Topic::ConsumerPositions;
}
