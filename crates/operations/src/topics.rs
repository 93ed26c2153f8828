//! Topics, and whether they are as their papers say.

use std::collections::BTreeMap;

use flashsale_ledger::settings_of;
use flashsale_schemas::Topic;
use flashsale_streaming::TopicState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Error, Operations};

/// Settings that are shown of every topic, beside those that were set for it alone.
const SHOWN: [&str; 5] =
    ["cleanup.policy", "retention.ms", "retention.bytes", "min.insync.replicas", "max.message.bytes"];

/// Where a partition begins and ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PartitionEnds)]
pub struct PartitionEnds {
    /// Its number.
    pub partition: i32,
    /// The first offset that it still has.
    pub first: i64,
    /// The offset that the next record gets.
    pub end: i64,
}

/// A setting that is not as the paper says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TopicDrift)]
pub struct Drift {
    /// Its name.
    #[schema(example = "retention.ms")]
    pub setting: String,
    /// What the paper says.
    pub wanted: String,
    /// What the brokers say.
    pub actual: String,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TopicView)]
pub struct TopicView {
    /// Its name.
    #[schema(example = "flashsale.purchase-decisions.v1")]
    pub name: String,
    /// What it is for; `null` of a topic that is not ours.
    #[schema(required = true)]
    pub summary: Option<String>,
    /// Whether it belongs to the brokers themselves.
    pub internal: bool,
    /// Its partitions.
    pub partitions: Vec<PartitionEnds>,
    /// Offsets in use; of a compacted topic more than there are records.
    pub records: u64,
    /// Copies of it.
    pub replication: usize,
    /// The settings that matter and those of its own.
    pub settings: BTreeMap<String, String>,
    /// What is not as its paper says.
    pub drift: Vec<Drift>,
}

impl Operations {
    /// The topics of the brokers, ours first; one of that name or all.
    ///
    /// # Errors
    /// When the brokers do not answer, or know no such topic.
    pub async fn topics(&self, name: Option<&str>) -> Result<Vec<TopicView>, Error> {
        let states = flashsale_streaming::topics(self.ledger.streaming(), name).await?;
        let mut topics: Vec<TopicView> =
            states.into_iter().map(|state| view(self.ledger.topic_called(&state.name), state)).collect();
        topics.sort_by_key(|topic| (topic.summary.is_none(), topic.name.clone()));
        Ok(topics)
    }
}

fn view(ours: Option<Topic>, state: TopicState) -> TopicView {
    let drift = ours.map(|topic| drift(topic, &state)).unwrap_or_default();
    let TopicState { name, partitions, replication, settings, own_settings } = state;
    let is_shown = |setting: &String| SHOWN.contains(&setting.as_str()) || own_settings.contains(setting);
    let partitions: Vec<PartitionEnds> =
        partitions.into_iter().map(|(partition, (first, end))| PartitionEnds { partition, first, end }).collect();
    TopicView {
        internal: name.starts_with("__"),
        summary: ours.map(|topic| topic.paper().summary.clone()),
        records: partitions.iter().map(|one| u64::try_from(one.end - one.first).unwrap_or(0)).sum(),
        settings: settings.into_iter().filter(|(setting, _)| is_shown(setting)).collect(),
        name,
        partitions,
        replication,
        drift,
    }
}

fn drift(topic: Topic, state: &TopicState) -> Vec<Drift> {
    let mut drift = Vec::new();
    let (wanted, actual) = (topic.paper().partitions as usize, state.partitions.len());
    // More are an operator's choice; fewer were never meant.
    if actual < wanted {
        let (wanted, actual) = (wanted.to_string(), actual.to_string());
        drift.push(Drift { setting: "partitions".into(), wanted, actual });
    }
    for (setting, wanted) in settings_of(topic) {
        let actual = state.settings.get(&setting).cloned().unwrap_or_else(|| "not set".into());
        if actual != wanted {
            drift.push(Drift { setting, wanted, actual });
        }
    }
    drift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_the_paper_says_is_named() {
        let topic = Topic::PurchaseDecisions;
        let mut state = TopicState {
            name: topic.name().into(),
            partitions: (0..6).map(|number| (number, (0, 10))).collect(),
            replication: 1,
            settings: settings_of(topic),
            own_settings: Vec::new(),
        };
        assert_eq!(drift(topic, &state), []);
        state.settings.insert("retention.ms".into(), "1000".into());
        state.settings.remove("cleanup.policy");
        state.partitions.remove(&5);
        let named: Vec<String> =
            drift(topic, &state).into_iter().map(|one| format!("{} {}", one.setting, one.actual)).collect();
        assert_eq!(named, ["partitions 5", "cleanup.policy not set", "retention.ms 1000"]);
        assert_eq!(view(Some(topic), state).records, 50);
    }
}
