//! Putting a consumer elsewhere: planned first, done only while it does not run, and where it counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use flashsale_ledger::SINK_POSTGRES;
use flashsale_schemas::events::OperatorAction;
use flashsale_streaming::{Observer, Partition, ScanFrom, ScanUntil, resolve};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{Actor, Error, Operations};

/// Where a consumer is to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// At the first record that there still is.
    Earliest,
    /// At the next record that comes.
    Latest,
    /// At this offset of each partition.
    Offset(i64),
    /// At the first record written at this time (milliseconds since 1970) or later.
    Time(i64),
    /// Where another group is.
    Group(String),
}

/// What is to be reset.
#[derive(Debug, Clone)]
pub struct Reset {
    /// The group.
    pub consumer: String,
    /// Where it is to go on.
    pub to: Target,
    /// Only this topic; all that it has a position in when none.
    pub topic: Option<String>,
    /// Only these partitions; all when empty.
    pub partitions: BTreeSet<i32>,
}

/// Longest name of a topic or a group, in characters: what brokers allow a topic.
const NAME_CHARS_MAX: usize = 249;

impl Reset {
    /// Brokers that are asked for what cannot be a name do not answer, or hang up.
    fn check(&self) -> Result<(), Error> {
        let is_name =
            |name: &str| (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        let other = match &self.to {
            Target::Group(other) => Some(other.as_str()),
            _ => None,
        };
        if !is_name(&self.consumer) || other.is_some_and(|other| !is_name(other)) {
            return Err(Error::NotFound(format!("a consumer group has a name of 1 to {NAME_CHARS_MAX} characters")));
        }
        if self.topic.as_deref().is_some_and(|topic| !is_name(topic)) {
            return Err(Error::NotFound(format!("a topic has a name of 1 to {NAME_CHARS_MAX} characters")));
        }
        Ok(())
    }
}

/// What becomes of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ResetMove)]
pub struct Move {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Where it would go on now; `null` when it was never read.
    #[schema(required = true)]
    pub from: Option<i64>,
    /// Where it goes on then.
    pub to: i64,
    /// Records that are read again.
    pub replays: u64,
    /// Records that are left out.
    pub skips: u64,
}

/// A reset, planned or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetPlan {
    /// The group.
    pub consumer: String,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How many members it has. With any it cannot be reset.
    pub members: usize,
    /// What becomes of each partition.
    pub partitions: Vec<Move>,
    /// Records that are read again.
    pub replays: u64,
    /// Records that are left out.
    pub skips: u64,
    /// What to know before it is done.
    pub warnings: Vec<String>,
}

/// What the brokers say of the group.
struct Standing {
    members: usize,
    known: bool,
    committed: BTreeMap<Partition, i64>,
    wanted: BTreeMap<Partition, i64>,
}

impl Operations {
    /// Plans a reset and, unless `dry_run`, does it: in Postgres for the sink that keeps its offsets there, and on the
    /// brokers.
    ///
    /// # Errors
    /// [`Error::Running`] when the group has members and it is no dry run; otherwise when there is no such group or
    /// topic, or a store does not answer. When it fails between Postgres and the brokers, Postgres is what counts.
    pub async fn reset(&self, reset: &Reset, actor: &Actor, dry_run: bool) -> Result<ResetPlan, Error> {
        reset.check()?;
        let standing = self.standing(reset).await?;
        let stored = self.stored_offsets(&reset.consumer).await?;
        let current = stored.as_ref().unwrap_or(&standing.committed);
        if !standing.known && current.is_empty() {
            return Err(Error::NotFound(format!("there is no consumer group {}", reset.consumer)));
        }
        let targets = self.targets(reset, current, &standing).await?;
        let moves: Vec<Move> = targets
            .iter()
            .map(|(partition, (to, first))| planned(partition, current.get(partition), *to, *first))
            .collect();
        let plan = ResetPlan {
            consumer: reset.consumer.clone(),
            dry_run,
            members: standing.members,
            replays: moves.iter().map(|one| one.replays).sum(),
            skips: moves.iter().map(|one| one.skips).sum(),
            warnings: warnings(&standing, &moves, stored.is_some()),
            partitions: moves,
        };
        if dry_run {
            return Ok(plan);
        }
        if standing.members > 0 {
            return Err(Error::Running(format!(
                "{} has {} member(s); `flashsale ops pause {}` makes ours leave the group, any other has to be stopped",
                reset.consumer, standing.members, reset.consumer
            )));
        }
        if stored.is_some() {
            let store = self.store.as_ref().ok_or_else(|| Error::Refused("Postgres is not configured".into()))?;
            let next: Vec<(&str, i32, i64)> =
                plan.partitions.iter().map(|one| (&*one.topic, one.partition, one.to)).collect();
            store.set_offsets(&reset.consumer, &next).await?;
        }
        let (config, group) = (self.ledger.streaming().clone(), reset.consumer.clone());
        let next = targets.into_iter().map(|(partition, (to, _))| (partition, to)).collect();
        let told = blocking(move || Observer::new(&config)?.commit(&group, &next)).await;
        let detail = json!({ "partitions": plan.partitions, "replays": plan.replays, "skips": plan.skips });
        if told.is_ok() || stored.is_some() {
            // What counts was changed, whatever the brokers know of it.
            self.record(OperatorAction::Reset, &reset.consumer, actor, Some(detail)).await?;
        }
        told.map(|()| plan)
    }

    async fn standing(&self, reset: &Reset) -> Result<Standing, Error> {
        let (config, consumer) = (self.ledger.streaming().clone(), reset.consumer.clone());
        let other = match &reset.to {
            Target::Group(other) => Some(other.clone()),
            _ => None,
        };
        blocking(move || {
            let mut observer = Observer::new(&config)?;
            let all = observer.partitions()?;
            let group = observer.group(&consumer)?;
            let committed = observer.committed(&consumer, &all)?;
            let wanted = other.map(|other| observer.committed(&other, &all)).transpose()?.unwrap_or_default();
            let members = group.as_ref().map_or(0, |group| group.members.len());
            Ok(Standing { members, known: group.is_some(), committed, wanted })
        })
        .await
    }

    /// The offsets that stand beside the rows, of the consumer that keeps them there.
    async fn stored_offsets(&self, consumer: &str) -> Result<Option<BTreeMap<Partition, i64>>, Error> {
        if consumer != self.ledger.group(SINK_POSTGRES) {
            return Ok(None);
        }
        let Some(store) = &self.store else {
            return Err(Error::Refused(format!(
                "the offsets of {consumer} that count are in Postgres; set FLASHSALE_DATABASE_URL"
            )));
        };
        let topic: Arc<str> = self.ledger.topic(flashsale_schemas::Topic::PurchaseDecisions).into();
        let numbers = self.numbers_of(consumer).await?;
        let wanted: Vec<(&str, i32)> = numbers.iter().map(|number| (&*topic, *number)).collect();
        let rows = store.offsets(consumer, &wanted).await?;
        let next = |number: i32| rows.iter().find(|row| row.partition == number).map_or(0, |row| row.next_offset);
        Ok(Some(
            numbers.iter().map(|number| (Partition { topic: topic.clone(), number: *number }, next(*number))).collect(),
        ))
    }

    /// Where each partition is to go on, and its first offset.
    async fn targets(
        &self,
        reset: &Reset,
        current: &BTreeMap<Partition, i64>,
        standing: &Standing,
    ) -> Result<BTreeMap<Partition, (i64, i64)>, Error> {
        let mut topics: BTreeSet<Arc<str>> = current.keys().map(|partition| partition.topic.clone()).collect();
        if let Some(topic) = &reset.topic {
            topics = [topic.as_str().into()].into();
        }
        let mut targets = BTreeMap::new();
        for topic in topics {
            let config = self.ledger.streaming();
            let from = match &reset.to {
                Target::Time(millis) => ScanFrom::Time(*millis),
                _ => ScanFrom::Beginning,
            };
            let whole = resolve(config, &topic, &ScanFrom::Beginning, &ScanUntil::End).await?;
            let asked = resolve(config, &topic, &from, &ScanUntil::End).await?;
            for (number, range) in
                whole.iter().filter(|(number, _)| reset.partitions.is_empty() || reset.partitions.contains(number))
            {
                let partition = Partition { topic: topic.clone(), number: *number };
                let to = match &reset.to {
                    Target::Earliest | Target::Time(_) => asked.get(number).map(|range| range.start),
                    Target::Latest => Some(range.end),
                    Target::Offset(offset) => Some((*offset).clamp(range.start, range.end)),
                    Target::Group(_) => standing.wanted.get(&partition).copied(),
                };
                if let Some(to) = to {
                    targets.insert(partition, (to, range.start));
                }
            }
        }
        let known = |number: &i32| targets.keys().any(|partition| partition.number == *number);
        if let Some(number) = reset.partitions.iter().find(|number| !known(number)) {
            return Err(Error::Refused(format!("there is no partition {number} to reset")));
        }
        if targets.is_empty() {
            return Err(Error::Refused("there is no partition to reset; name a topic that has some".into()));
        }
        Ok(targets)
    }
}

fn planned(partition: &Partition, from: Option<&i64>, to: i64, first: i64) -> Move {
    // What has expired can be neither read again nor left out.
    let here = from.copied().unwrap_or(first).max(first);
    let count = |records: i64| u64::try_from(records).unwrap_or(0);
    Move {
        topic: partition.topic.to_string(),
        partition: partition.number,
        from: from.copied(),
        to,
        replays: count(here - to),
        skips: count(to - here),
    }
}

fn warnings(standing: &Standing, moves: &[Move], is_sink: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if standing.members > 0 {
        warnings
            .push(format!("the group has {} member(s), which have to leave before it can be done", standing.members));
    }
    if is_sink && moves.iter().any(|one| one.skips > 0) {
        warnings.push(
            "records that are left out are missing in Postgres; `flashsale reconcile --repair` brings units back, \
             `flashsale rebuild postgres` everything"
                .into(),
        );
    }
    if is_sink && moves.iter().any(|one| one.replays > 0) {
        warnings.push(
            "records that are read again change nothing in Postgres: they are duplicates; those that cannot be used \
             become dead letters once more"
                .into(),
        );
    }
    warnings
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, flashsale_streaming::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| Error::Interrupted(error.to_string()))??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_counts_what_is_read_again_and_what_is_left_out() {
        let partition = Partition { topic: "t".into(), number: 0 };
        let counts = |from: Option<i64>, to, first| {
            let planned = planned(&partition, from.as_ref(), to, first);
            (planned.replays, planned.skips)
        };
        assert_eq!(counts(Some(100), 20, 0), (80, 0));
        assert_eq!(counts(Some(100), 130, 0), (0, 30));
        assert_eq!(counts(None, 130, 100), (0, 30), "never read means from the first record on");
        assert_eq!(counts(Some(10), 130, 100), (0, 30), "what expired is not left out");
    }

    #[test]
    fn what_cannot_be_a_name_is_not_looked_for() {
        let check = |consumer: &str, other: &str, topic: Option<&str>| {
            let to = Target::Group(other.to_owned());
            let topic = topic.map(str::to_owned);
            Reset { consumer: consumer.to_owned(), to, topic, partitions: BTreeSet::new() }.check().is_ok()
        };
        assert!(check("a", "Größe 1", None) && check("a", &"b".repeat(249), Some("flashsale.sale-events.v1")));
        for bad in ["", "a\0b", "a\nb", &"a".repeat(250)] {
            assert!(!check(bad, "b", None) && !check("a", bad, None) && !check("a", "b", Some(bad)), "{bad:?}");
        }
    }
}
