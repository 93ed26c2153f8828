//! Looks at consumers, again and again, and remembers what it saw.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flashsale_ledger::{Ledger, PROCESSOR_STATUS, SINK_POSTGRES};
use flashsale_schemas::Topic;
use flashsale_sql::Store;
use flashsale_streaming::{Ends, Group, Observer, Partition, Position};

use super::{Consumer, Member, PartitionName, PartitionView, Sample, judge, rate};
use crate::{Error, OrderBook};

/// Samples that are kept of a partition.
const SAMPLES_MAX: usize = 64;
/// How long Postgres may take to say where the sink goes on.
const STORED_MAX: Duration = Duration::from_secs(3);

type Positions = BTreeMap<Partition, i64>;

/// What one look at the brokers showed.
struct Seen {
    groups: Vec<(Group, Positions)>,
    ends: Ends,
    /// When the next record of a partition was written, by group.
    waiting: HashMap<String, HashMap<Partition, i64>>,
}

/// Looks at consumers and judges them by what it saw during a window.
#[derive(Debug)]
pub struct Sampler {
    ledger: Ledger,
    store: Option<Store>,
    orders: OrderBook,
    observer: Arc<Mutex<Observer>>,
    window: Duration,
    settled: Duration,
    began: Instant,
    history: HashMap<String, HashMap<Partition, VecDeque<Sample>>>,
}

impl Sampler {
    /// A sampler that judges by the last `window`, and holds no lag against anybody that it watched for less than
    /// `settled`. Without a store the positions of the Postgres sink are those that it told the brokers.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn new(
        ledger: Ledger,
        store: Option<Store>,
        orders: OrderBook,
        (window, settled): (Duration, Duration),
    ) -> Result<Self, Error> {
        let observer = Arc::new(Mutex::new(Observer::new(ledger.streaming())?));
        let history = HashMap::new();
        Ok(Self { ledger, store, orders, observer, window, settled, began: Instant::now(), history })
    }

    /// Looks once, at one consumer or at all.
    ///
    /// # Errors
    /// When the brokers do not answer.
    pub async fn look(&mut self, only: Option<&str>) -> Result<Vec<Consumer>, Error> {
        let ours = self.ours().await?;
        let stored = self.stored(&ours).await;
        let (observer, wanted, known) = (self.observer.clone(), only.map(str::to_owned), stored.clone());
        let expected = ours.clone();
        let seeing = tokio::task::spawn_blocking(move || {
            // A look that panicked leaves a client that can be asked again.
            let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
            see(&mut observer, wanted.as_deref(), &expected, &known)
        });
        let seen = seeing.await.map_err(|error| Error::Interrupted(error.to_string()))??;
        let (at_ms, now_ms) = (millis(self.began.elapsed()), now_ms());
        self.history.retain(|name, _| seen.groups.iter().any(|(group, _)| group.name == *name));
        let mut consumers = Vec::new();
        for (group, committed) in &seen.groups {
            let stored = stored.as_ref().filter(|(name, _)| *name == group.name).map(|(_, positions)| positions);
            let place = Place { group, committed, stored, expected: ours.get(&group.name), seen: &seen };
            consumers.push(self.consumer(&place, at_ms, now_ms));
        }
        consumers.sort_by_key(|consumer| (!consumer.ours, consumer.name.clone()));
        Ok(consumers)
    }

    /// Our consumers and what they should be reading.
    async fn ours(&self) -> Result<BTreeMap<String, BTreeSet<Partition>>, Error> {
        let topic: Arc<str> = self.ledger.topic(Topic::PurchaseDecisions).into();
        let numbers = flashsale_streaming::partitions(self.ledger.streaming(), &topic).await;
        let numbers = match numbers {
            // A cluster without our topics has consumers as well.
            Err(flashsale_streaming::Error::Topic { .. }) => return Ok(BTreeMap::new()),
            numbers => numbers?.into_keys(),
        };
        let partitions: BTreeSet<Partition> =
            numbers.map(|number| Partition { topic: topic.clone(), number }).collect();
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let name = |group| (self.ledger.group(group), partitions.clone());
        Ok([SINK_POSTGRES, PROCESSOR_STATUS].map(name).into())
    }

    /// Where the Postgres sink goes on, as Postgres has it.
    async fn stored(&self, ours: &BTreeMap<String, BTreeSet<Partition>>) -> Option<(String, Positions)> {
        let name = self.ledger.group(SINK_POSTGRES);
        let (store, partitions) = (self.store.as_ref()?, ours.get(&name)?);
        let unknown = |why: &str| {
            tracing::debug!(why, "where the Postgres sink goes on is not known");
            // What it told the brokers is not what counts.
            Some((name.clone(), Positions::new()))
        };
        let wanted: Vec<(&str, i32)> = partitions.iter().map(|one| (&*one.topic, one.number)).collect();
        let rows = tokio::time::timeout(STORED_MAX, store.offsets(&name, &wanted)).await;
        let rows = match rows {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => return unknown(&error.to_string()),
            Err(_) => return unknown("Postgres did not answer"),
        };
        let next = |partition: &Partition| {
            let row = rows.iter().find(|row| row.topic == *partition.topic && row.partition == partition.number);
            // Never written means from the first record on.
            row.map_or(0, |row| row.next_offset)
        };
        Some((name.clone(), partitions.iter().map(|partition| (partition.clone(), next(partition))).collect()))
    }

    fn consumer(&mut self, place: &Place<'_>, at_ms: u64, now_ms: i64) -> Consumer {
        let Place { group, committed, expected, .. } = place;
        let (order, hold) = self.orders.standing(&group.name);
        let members: Vec<Member> = group.members.iter().map(member).collect();
        let assigned = group.members.iter().flat_map(|member| member.partitions.iter());
        let all: BTreeSet<&Partition> =
            committed.keys().chain(assigned).chain(expected.iter().flat_map(|all| all.iter())).collect();
        let history = self.history.entry(group.name.clone()).or_default();
        history.retain(|partition, _| all.contains(partition));
        let (window_ms, settled_ms) = (millis(self.window), millis(self.settled));
        let partitions = all.into_iter().map(|partition| {
            let owner = group.members.iter().find(|member| member.partitions.contains(partition));
            let (committed, stored) = (committed.get(partition), place.stored.and_then(|all| all.get(partition)));
            let ends = place.seen.ends.get(partition);
            // Ours begin with the first record.
            let first = ends.filter(|_| expected.is_some()).map(|(first, _)| *first);
            let position = match place.stored {
                Some(_) => stored.copied(),
                None => committed.copied().or(first),
            };
            let sample = Sample {
                at_ms,
                position,
                end: ends.map(|(_, end)| *end),
                owned: owner.is_some(),
                held: hold.first_unread(partition.number).is_some(),
            };
            let samples = history.entry(partition.clone()).or_default();
            samples.push_back(sample);
            while samples.len() > SAMPLES_MAX || samples.front().is_some_and(|one| at_ms - one.at_ms > window_ms) {
                samples.pop_front();
            }
            let samples = samples.make_contiguous();
            let (verdict, why) = judge(samples, settled_ms);
            let written = place.seen.waiting.get(&group.name).and_then(|written| written.get(partition));
            let waited = written.map(|written| (now_ms - written).max(0) as f64 / 1_000.0);
            PartitionView {
                topic: partition.topic.to_string(),
                partition: partition.number,
                owner: owner.map(|member| member.client_id.clone()),
                committed: committed.copied(),
                stored: stored.copied(),
                position: sample.position,
                end: sample.end,
                lag_records: sample.lag(),
                lag_seconds: sample.lag().and_then(|lag| if lag == 0 { Some(0.0) } else { waited }),
                per_second: rate(samples),
                verdict,
                why,
                paused: sample.held,
            }
        });
        let (partitions, state) = (partitions.collect(), state(&group.state).to_owned());
        Consumer::of((group.name.clone(), expected.is_some(), state), members, partitions, order)
    }
}

/// One group and all that is known of it.
struct Place<'a> {
    group: &'a Group,
    committed: &'a Positions,
    stored: Option<&'a Positions>,
    expected: Option<&'a BTreeSet<Partition>>,
    seen: &'a Seen,
}

fn see(
    observer: &mut Observer,
    wanted: Option<&str>,
    ours: &BTreeMap<String, BTreeSet<Partition>>,
    stored: &Option<(String, Positions)>,
) -> Result<Seen, flashsale_streaming::Error> {
    let mut groups = observer.groups()?;
    let absent: Vec<&String> = ours.keys().filter(|name| groups.iter().all(|group| group.name != **name)).collect();
    groups.extend(absent.into_iter().map(|name| Group {
        name: name.clone(),
        state: "Dead".into(),
        members: Vec::new(),
    }));
    groups.retain(|group| wanted.is_none_or(|wanted| wanted == group.name));
    let partitions = observer.partitions()?;
    let mut seen = Seen { groups: Vec::new(), ends: Ends::new(), waiting: HashMap::new() };
    let mut interesting = BTreeSet::new();
    for group in groups {
        let committed = observer.committed(&group.name, &partitions)?;
        interesting.extend(committed.keys().cloned());
        interesting.extend(group.members.iter().flat_map(|member| member.partitions.iter().cloned()));
        interesting.extend(ours.get(&group.name).into_iter().flatten().cloned());
        seen.groups.push((group, committed));
    }
    seen.ends = observer.ends(&interesting);
    for (group, committed) in &seen.groups {
        let counts = stored.as_ref().filter(|(name, _)| *name == group.name).map_or(committed, |(_, stored)| stored);
        let is_stored = stored.as_ref().is_some_and(|(name, _)| *name == group.name);
        let expected = ours.get(&group.name).filter(|_| !is_stored).into_iter().flatten();
        let all: BTreeSet<&Partition> = counts.keys().chain(expected).collect();
        let behind = all.into_iter().filter_map(|partition| {
            let (first, end) = seen.ends.get(partition)?;
            let offset = counts.get(partition).map_or(*first, |next| *next.max(first));
            (offset < *end).then(|| Position { partition: partition.clone(), offset })
        });
        let behind: Vec<Position> = behind.collect();
        seen.waiting.insert(group.name.clone(), observer.written_at(&behind));
    }
    Ok(seen)
}

fn member(member: &flashsale_streaming::Member) -> Member {
    let name = |one: &Partition| PartitionName { topic: one.topic.to_string(), partition: one.number };
    Member {
        member_id: member.id.clone(),
        client_id: member.client_id.clone(),
        host: member.host.clone(),
        partitions: member.partitions.iter().map(name).collect(),
    }
}

/// Our word for the brokers' word.
fn state(brokers: &str) -> &'static str {
    match brokers {
        "Stable" => "STABLE",
        "Empty" => "EMPTY",
        "PreparingRebalance" | "CompletingRebalance" => "REBALANCING",
        "Dead" => "DEAD",
        _ => "UNKNOWN",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
