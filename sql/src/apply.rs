//! A batch of the log becomes rows: once, whatever is repeated.
//!
//! One transaction holds the units, the counts and how far the log was read. The rows of `consumer_offsets`
//! are locked first, and what lies before them is left out: another writer did it, or this one before it lost
//! its connection. So a stopped instance that wakes up late (a zombie) adds nothing a second time.

use std::collections::{BTreeMap, HashSet};

use flashsale_core::{Micros, SaleId, Sku, invariants::Sold};
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use crate::{
    Answer, Error, Fault, Store,
    copy::{self, copy},
    product::bigint,
};

/// What one record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// A unit was sold.
    Sold {
        /// What was sold.
        sku: Sku,
        /// The unit.
        unit: Sold,
    },
    /// No unit was sold.
    Refused {
        /// By which sale.
        sale_id: SaleId,
        /// Why; any [`Answer`] but [`Answer::Accepted`].
        answer: Answer,
        /// When.
        decided_at: Micros,
    },
}

impl Decided {
    /// When it was decided.
    pub fn decided_at(&self) -> Micros {
        match self {
            Self::Sold { unit, .. } => unit.receipt.decided_at,
            Self::Refused { decided_at, .. } => *decided_at,
        }
    }
}

/// What was read of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
    /// The offset after the last record read.
    pub next: i64,
    /// Records read: the entries, and these two.
    pub consumed: u64,
    /// Records in the dead letters.
    pub rejected: u64,
    /// Records that do not concern us.
    pub skipped: u64,
}

/// A record to apply.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Index of its partition in [`Apply::reads`].
    pub read: usize,
    /// Its offset there.
    pub offset: i64,
    /// What it says.
    pub decided: &'a Decided,
    /// Of a record that was a dead letter and sent again: where it stood first, so that it counts once however
    /// often it is sent.
    pub origin: Option<String>,
}

/// A batch.
#[derive(Debug, Clone, Default)]
pub struct Apply<'a> {
    /// What was read, each partition once.
    pub reads: Vec<Read<'a>>,
    /// In the order of the log within a partition.
    pub entries: Vec<Entry<'a>>,
}

/// What a batch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It is written. By partition, in the order of [`Apply::reads`]: how many entries changed something, and of
    /// how many the effect was there already.
    Written(Vec<(u64, u64)>),
    /// Nothing was written: these entries contradict what is stored or each other.
    Conflicts(Vec<Conflict>),
}

/// An entry that contradicts what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Index in [`Apply::entries`].
    pub entry: usize,
    /// What is stored in its place.
    pub stored: String,
}

/// A unit to insert.
struct New<'a> {
    entry: usize,
    read: usize,
    sku: &'a Sku,
    unit: &'a Sold,
}

/// The columns of `purchases`.
#[derive(Default)]
struct Columns<'a> {
    sale_ids: Vec<&'a str>,
    sequences: Vec<i64>,
    users: Vec<&'a str>,
    skus: Vec<&'a str>,
    numbers: Vec<String>,
    requests: Vec<&'a str>,
    times: Vec<OffsetDateTime>,
}

/// What becomes of the entries that nobody has written yet.
#[derive(Default)]
struct Plan<'a> {
    /// Sorted by key.
    new: Vec<New<'a>>,
    /// By sale, second and answer, which is also the order of their key.
    counts: BTreeMap<(&'a str, i64, &'static str), i64>,
    /// By partition: applied, duplicate.
    results: Vec<(u64, u64)>,
}

impl<'a> Plan<'a> {
    /// Leaves out what lies before `places`, refusals that were counted before, and sent-again ones that are not
    /// `fresh`.
    fn new(batch: &'a Apply<'a>, places: &[Place], mut fresh: HashSet<String>) -> Self {
        let mut plan = Self { results: vec![(0, 0); batch.reads.len()], ..Self::default() };
        for (index, entry) in batch.entries.iter().enumerate() {
            let read = entry.read;
            if entry.offset < places[read].next {
                plan.results[read].1 += 1;
                continue;
            }
            match entry.decided {
                Decided::Sold { sku, unit } => plan.new.push(New { entry: index, read, sku, unit }),
                Decided::Refused { sale_id, answer, decided_at } => {
                    let is_new = entry.origin.as_ref().is_none_or(|origin| fresh.remove(origin));
                    if entry.offset >= places[read].counted && is_new {
                        plan.count(sale_id, *decided_at, *answer);
                        plan.results[read].0 += 1;
                    } else {
                        plan.results[read].1 += 1;
                    }
                }
            }
        }
        // Stable: of two that claim one unit the first in the log comes first.
        plan.new.sort_by(|a, b| key(a.unit).cmp(&key(b.unit)));
        plan
    }

    fn count(&mut self, sale_id: &'a SaleId, at: Micros, answer: Answer) {
        let second = at.0.div_euclid(1_000_000);
        *self.counts.entry((sale_id.as_str(), second, answer.as_str())).or_default() += 1;
    }

    fn inserted(&mut self, index: usize) {
        let New { read, unit, .. } = self.new[index];
        self.results[read].0 += 1;
        self.count(&unit.receipt.sale_id, unit.receipt.decided_at, Answer::Accepted);
    }

    /// Whether these are many units that were never read before: a consumer that was put back has written them.
    fn is_new_to(&self, batch: &Apply<'_>, places: &[Place]) -> bool {
        let never_read = |new: &New<'_>| batch.entries[new.entry].offset >= places[new.read].counted;
        self.new.len() >= copy::UNITS_MIN && self.new.iter().all(never_read)
    }

    fn all_inserted(&mut self) {
        (0..self.new.len()).for_each(|index| self.inserted(index));
    }

    fn columns(&self) -> Columns<'a> {
        let mut columns = Columns::default();
        for New { sku, unit, .. } in &self.new {
            columns.sale_ids.push(unit.receipt.sale_id.as_str());
            columns.sequences.push(bigint(unit.receipt.sequence));
            columns.users.push(unit.user.as_str());
            columns.skus.push(sku.as_str());
            columns.numbers.push(unit.receipt.number());
            columns.requests.push(unit.request_id.as_str());
            columns.times.push(unit.receipt.decided_at.to_utc());
        }
        columns
    }
}

fn key(unit: &Sold) -> (&SaleId, u64) {
    (&unit.receipt.sale_id, unit.receipt.sequence)
}

macro_rules! bind_columns {
    ($query:expr, $columns:expr) => {
        $query
            .bind(&$columns.sale_ids[..])
            .bind(&$columns.sequences[..])
            .bind(&$columns.users[..])
            .bind(&$columns.skus[..])
            .bind(&$columns.numbers[..])
            .bind(&$columns.requests[..])
            .bind(&$columns.times[..])
    };
}

impl Store {
    /// Writes a batch whole, or not at all. An error of [`crate::Fault::Data`] means that some entry can never
    /// be stored; [`Store::probe`] finds out which.
    pub async fn apply(&self, consumer: &str, batch: &Apply<'_>) -> Result<Applied, Error> {
        let (transaction, applied) = self.attempt(consumer, batch).await?;
        match applied {
            Applied::Written(_) => transaction.commit().await.map_err(Error::at("committing a batch"))?,
            Applied::Conflicts(_) => transaction.rollback().await.map_err(Error::at("taking back a batch"))?,
        }
        Ok(applied)
    }

    /// What [`Store::apply`] would do, without doing it.
    pub async fn probe(&self, consumer: &str, batch: &Apply<'_>) -> Result<Applied, Error> {
        let (transaction, applied) = self.attempt(consumer, batch).await?;
        transaction.rollback().await.map_err(Error::at("taking back a batch"))?;
        Ok(applied)
    }

    /// What nearly always is the case is tried first: that no unit of the batch is there yet.
    async fn attempt(
        &self,
        consumer: &str,
        batch: &Apply<'_>,
    ) -> Result<(Transaction<'static, Postgres>, Applied), Error> {
        let sold = batch.entries.iter().filter(|entry| matches!(entry.decided, Decided::Sold { .. })).count();
        if sold >= copy::UNITS_MIN {
            match self.attempt_by(Way::Copy, consumer, batch).await {
                Err(error) if error.fault() == Fault::Data => {}
                attempted => return attempted,
            }
        }
        self.attempt_by(Way::Insert, consumer, batch).await
    }

    async fn attempt_by(
        &self,
        way: Way,
        consumer: &str,
        batch: &Apply<'_>,
    ) -> Result<(Transaction<'static, Postgres>, Applied), Error> {
        let mut transaction = self.pool.begin().await.map_err(Error::at("beginning a batch"))?;
        let places = lock(&mut transaction, consumer, &batch.reads).await?;
        let fresh = note_redriven(&mut transaction, batch, &places).await?;
        let mut plan = Plan::new(batch, &places, fresh);
        let conflicts = if matches!(way, Way::Copy) && plan.is_new_to(batch, &places) {
            transaction = copy(transaction, plan.new.iter().map(|new| (new.sku, new.unit))).await?;
            plan.all_inserted();
            Vec::new()
        } else {
            insert(&mut transaction, &mut plan).await?
        };
        if !conflicts.is_empty() {
            return Ok((transaction, Applied::Conflicts(conflicts)));
        }
        account(&mut transaction, consumer, batch, &plan).await?;
        Ok((transaction, Applied::Written(plan.results)))
    }
}

/// How units become rows.
enum Way {
    /// Fast, and only if none of them is there.
    Copy,
    /// Whatever is there; says what became of each.
    Insert,
}

/// How far a consumer got in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The first offset that is not done.
    pub(crate) next: i64,
    /// The first offset of which refusals were never counted; ahead of `next` once the consumer was put back.
    pub(crate) counted: i64,
}

/// Notes the refusals of a batch that were sent again; returns the origins of those that were never counted.
async fn note_redriven(
    transaction: &mut Transaction<'static, Postgres>,
    batch: &Apply<'_>,
    places: &[Place],
) -> Result<HashSet<String>, Error> {
    let redriven = batch
        .entries
        .iter()
        .filter(|entry| entry.offset >= places[entry.read].counted && matches!(entry.decided, Decided::Refused { .. }));
    let origins: Vec<&str> = redriven.filter_map(|entry| entry.origin.as_deref()).collect();
    if origins.is_empty() {
        return Ok(HashSet::new());
    }
    let fresh: Vec<String> = sqlx::query_scalar(include_str!("../queries/redriven_insert.sql"))
        .bind(&origins[..])
        .fetch_all(&mut **transaction)
        .await
        .map_err(Error::at("noting what was sent again"))?;
    Ok(fresh.into_iter().collect())
}

/// Locks the offsets of the partitions, which are created on first sight, and returns them in order.
pub(crate) async fn lock(
    transaction: &mut Transaction<'static, Postgres>,
    consumer: &str,
    reads: &[Read<'_>],
) -> Result<Vec<Place>, Error> {
    let (topics, numbers): (Vec<&str>, Vec<i32>) = reads.iter().map(|read| (read.topic, read.partition)).unzip();
    for created in [false, true] {
        let locked: Vec<(i64, i64, i64)> = sqlx::query_as(include_str!("../queries/offsets_lock.sql"))
            .bind(consumer)
            .bind(&topics[..])
            .bind(&numbers[..])
            .fetch_all(&mut **transaction)
            .await
            .map_err(Error::at("locking offsets"))?;
        if locked.len() == reads.len() {
            let mut by_place = locked;
            by_place.sort_unstable();
            return Ok(by_place.into_iter().map(|(_, next, counted)| Place { next, counted }).collect());
        }
        if !created {
            sqlx::query(include_str!("../queries/offsets_create.sql"))
                .bind(consumer)
                .bind(&topics[..])
                .bind(&numbers[..])
                .execute(&mut **transaction)
                .await
                .map_err(Error::at("creating offsets"))?;
        }
    }
    Err(Error::at("locking offsets that were just created")(sqlx::Error::RowNotFound))
}

/// Inserts the units and notes in the plan what became of each; returns those that contradict what is stored.
async fn insert(transaction: &mut Transaction<'static, Postgres>, plan: &mut Plan<'_>) -> Result<Vec<Conflict>, Error> {
    if plan.new.is_empty() {
        return Ok(Vec::new());
    }
    let columns = plan.columns();
    let inserted = bind_columns!(sqlx::query(include_str!("../queries/purchases_insert.sql")), columns)
        .execute(&mut **transaction)
        .await
        .map_err(Error::at("inserting purchases"))?
        .rows_affected();
    if inserted == plan.new.len() as u64 {
        plan.all_inserted();
        return Ok(Vec::new());
    }
    let verdicts: Vec<(bool, bool, Option<String>)> =
        bind_columns!(sqlx::query_as(include_str!("../queries/purchases_compare.sql")), columns)
            .fetch_all(&mut **transaction)
            .await
            .map_err(Error::at("comparing purchases"))?;
    let mut conflicts = Vec::new();
    for (index, (same, fresh, stored)) in verdicts.into_iter().enumerate() {
        // Sorted: a repetition within the batch stands next to the unit that went in.
        let repeated = index > 0 && key(plan.new[index - 1].unit) == key(plan.new[index].unit);
        if !same {
            // Its rival is deleted by now, or an index that is none of ours refused it.
            let stored = stored.unwrap_or_else(|| "no unit in its place, and refused it all the same".into());
            conflicts.push(Conflict { entry: plan.new[index].entry, stored });
        } else if fresh && !repeated {
            plan.inserted(index);
        } else {
            plan.results[plan.new[index].read].1 += 1;
        }
    }
    Ok(conflicts)
}

/// Adds to the counts and moves the offsets on.
async fn account(
    transaction: &mut Transaction<'static, Postgres>,
    consumer: &str,
    batch: &Apply<'_>,
    plan: &Plan<'_>,
) -> Result<(), Error> {
    fn column<I, T>(rows: &[I], value: impl FnMut(&I) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let reads = &batch.reads[..];
    let counts: Vec<_> =
        plan.counts.iter().map(|((sale, second, name), count)| (*sale, *second, *name, *count)).collect();
    sqlx::query(include_str!("../queries/account.sql"))
        .bind(consumer)
        .bind(column(reads, |read| read.topic))
        .bind(column(reads, |read| read.partition))
        .bind(column(reads, |read| read.next))
        .bind(column(reads, |read| bigint(read.consumed)))
        .bind(column(&plan.results, |(applied, _)| bigint(*applied)))
        .bind(column(&plan.results, |(_, duplicate)| bigint(*duplicate)))
        .bind(column(reads, |read| bigint(read.rejected)))
        .bind(column(reads, |read| bigint(read.skipped)))
        .bind(column(&counts, |(sale_id, ..)| *sale_id))
        .bind(column(&counts, |(_, second, ..)| Micros(second.saturating_mul(1_000_000)).to_utc()))
        .bind(column(&counts, |(_, _, name, _)| *name))
        .bind(column(&counts, |(.., count)| *count))
        .execute(&mut **transaction)
        .await
        .map(drop)
        .map_err(Error::at("moving the offsets on"))
}
