//! Consumers: who reads, how far, and whether that keeps up.

mod sampler;
mod verdict;
mod watcher;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use flashsale_core::Micros;
use flashsale_ledger::Ledger;
use flashsale_schemas::events::ConsumerPositions;
use flashsale_streaming::ScanFrom;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

pub use sampler::Sampler;
pub use verdict::{Sample, Verdict, judge, rate};
pub use watcher::{Config as WatcherConfig, Consumers, Watcher};

use crate::Error;

/// A partition by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[schema(as = PartitionName)]
pub struct PartitionName {
    /// The topic.
    #[schema(example = "flashsale.purchase-decisions.v1")]
    pub topic: String,
    /// Its number.
    pub partition: i32,
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConsumerMember)]
pub struct Member {
    /// Its name in the group.
    pub member_id: String,
    /// The name that the client gave itself.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// What it reads.
    pub partitions: Vec<PartitionName>,
}

/// How a consumer stands in one partition. What is not known is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConsumerPartition)]
pub struct PartitionView {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Who reads it, by client id.
    #[schema(required = true)]
    pub owner: Option<String>,
    /// The next offset as the group told the brokers.
    #[schema(required = true)]
    pub committed: Option<i64>,
    /// The next offset as it stands beside the rows in Postgres.
    #[schema(required = true)]
    pub stored: Option<i64>,
    /// The next offset that counts: the stored one where there is one.
    #[schema(required = true)]
    pub position: Option<i64>,
    /// The offset that the next record gets.
    #[schema(required = true)]
    pub end: Option<i64>,
    /// Records that wait.
    #[schema(required = true)]
    pub lag_records: Option<u64>,
    /// How long the oldest of them has waited, in seconds.
    #[schema(required = true)]
    pub lag_seconds: Option<f64>,
    /// Records done a second, over the window.
    #[schema(required = true)]
    pub per_second: Option<f64>,
    /// Whether that keeps up.
    pub verdict: Verdict,
    /// Why that is the verdict.
    pub why: String,
    /// Whether an operator's order holds it.
    pub paused: bool,
}

/// How much of a consumer is held by an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = ConsumerPaused)]
pub enum Paused {
    /// Nothing.
    None,
    /// Some partitions.
    Some,
    /// Every partition.
    All,
}

/// A standing order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConsumerOrder)]
pub struct Order {
    /// `PAUSE`, `RESUME` or `RUN_TO`.
    #[schema(example = "PAUSE")]
    pub action: String,
    /// On which partitions; all when empty.
    pub partitions: Vec<i32>,
    /// Of `RUN_TO`: the first offset that is not read.
    #[schema(required = true)]
    pub until_offset: Option<i64>,
    /// Who gave it.
    pub issued_by: String,
    /// When.
    #[schema(format = DateTime)]
    pub issued_at: String,
}

/// A consumer group. What is not known is `null`; the verdict is that of its worst partition.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consumer {
    /// The group.
    #[schema(example = "flashsale-sink-postgres")]
    pub name: String,
    /// Whether it is one of ours, which obeys orders.
    pub ours: bool,
    /// `STABLE`, `EMPTY`, `REBALANCING`, `DEAD` or `UNKNOWN`.
    #[schema(example = "STABLE")]
    pub state: String,
    /// Who is in it.
    pub members: Vec<Member>,
    /// Where it stands.
    pub partitions: Vec<PartitionView>,
    /// Records that wait, in all partitions.
    #[schema(required = true)]
    pub lag_records: Option<u64>,
    /// How long the oldest of them has waited, in seconds.
    #[schema(required = true)]
    pub lag_seconds: Option<f64>,
    /// Records done a second, over the window.
    #[schema(required = true)]
    pub per_second: Option<f64>,
    /// Whether that keeps up.
    pub verdict: Verdict,
    /// Why that is the verdict.
    pub why: String,
    /// How much of it is held.
    pub paused: Paused,
    /// The order that stands.
    #[schema(required = true)]
    pub order: Option<Order>,
}

impl Consumer {
    /// Sums up what its partitions say.
    pub(crate) fn of(
        (name, ours, state): (String, bool, String),
        members: Vec<Member>,
        partitions: Vec<PartitionView>,
        order: Option<Order>,
    ) -> Self {
        let held = partitions.iter().filter(|one| one.paused).count();
        let worst = partitions.iter().max_by_key(|one| one.verdict);
        let (verdict, why) = match worst {
            Some(one) if partitions.len() > 1 && one.verdict != Verdict::Ok => {
                (one.verdict, format!("{}[{}]: {}", one.topic, one.partition, one.why))
            }
            Some(one) => (one.verdict, one.why.clone()),
            None if members.is_empty() => (Verdict::Unknown, "it has no members and never said how far it got".into()),
            None => (Verdict::Unknown, "it reads nothing yet".into()),
        };
        let sum = |value: fn(&PartitionView) -> Option<f64>| partitions.iter().map(value).sum::<Option<f64>>();
        let known = !partitions.is_empty();
        Self {
            lag_records: known.then(|| partitions.iter().map(|one| one.lag_records).sum::<Option<u64>>()).flatten(),
            lag_seconds: known
                .then(|| {
                    partitions.iter().map(|one| one.lag_seconds).try_fold(0.0, |all: f64, one| Some(all.max(one?)))
                })
                .flatten(),
            per_second: known.then(|| sum(|one| one.per_second)).flatten(),
            paused: match held {
                0 => Paused::None,
                held if held == partitions.len() => Paused::All,
                _ => Paused::Some,
            },
            name,
            ours,
            state,
            members,
            partitions,
            verdict,
            why,
            order,
        }
    }
}

/// How far each consumer had come at a time, as it was noted in the log then: the last note of each that is not
/// younger.
///
/// # Errors
/// When the log does not answer.
pub async fn positions_at(ledger: &Ledger, at: Micros) -> Result<Vec<ConsumerPositions>, Error> {
    let decoder = ledger.decoder::<ConsumerPositions>().await?;
    let last = Arc::new(Mutex::new(BTreeMap::new()));
    let into = last.clone();
    let take = move |_, noted: Result<ConsumerPositions, _>| match noted {
        Ok(noted) if noted.at <= at => {
            into.lock().unwrap_or_else(PoisonError::into_inner).insert(noted.consumer.clone(), noted);
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "positions that cannot be read"),
    };
    ledger.pass(decoder, ScanFrom::Beginning, |_| true, &CancellationToken::new(), |_| (), take).await?;
    let last = std::mem::take(&mut *last.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(last.into_values().collect())
}
