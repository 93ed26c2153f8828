//! Compares what the log, Redis and Postgres say of one sale, unit by unit and by content.
//!
//! Counts that agree prove little: two stores can lack one unit each, or tell the same unit of two
//! shoppers. Traffic goes on while the stores are read, so what is found once may be a moment's truth;
//! [`Report::confirmed_by`] keeps what a second look finds again.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    ops::RangeInclusive,
};

use crate::{Micros, SaleId, SaleState, UserId, history::History, invariants::Sold};

mod units;

/// Discrepancies listed in a report; all are counted.
pub const LISTED_MAX: usize = 1_000;

/// What Redis says of one sale.
#[derive(Debug, Clone)]
pub struct HotSale {
    /// The sale.
    pub sale_id: SaleId,
    /// Units for sale in all.
    pub initial_stock: u64,
    /// Units left.
    pub stock: u64,
    /// Buyers at the very moment when the stock was read; the list below is read piece by piece.
    pub held: u64,
    /// Units sold, by the counter.
    pub sequence: u64,
    /// The state.
    pub state: SaleState,
    /// Whether an operator has stopped it for now.
    pub paused: bool,
    /// Number of the last change.
    pub events: u64,
    /// Who holds which unit since when.
    pub buyers: HashMap<UserId, (u64, Micros)>,
    /// Units in the outbox: the log may not have them yet.
    pub pending: Vec<Sold>,
    /// Numbers of the changes in the outbox.
    pub pending_changes: Vec<u64>,
}

/// The three stores.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The log.
    pub log: &'a History,
    /// Redis; none when it has no such sale.
    pub redis: Option<&'a HotSale>,
    /// Postgres: the rows of the sale.
    pub rows: &'a [Sold],
}

/// Which sort a discrepancy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Redis has no such sale, though the log has one.
    SaleMissingInRedis,
    /// State, pause or number of the last change differ between log and Redis.
    StateMismatch,
    /// The numbers of Redis do not add up, or its counter is not the highest sequence.
    StockMismatch,
    /// The same unit, or the unit of the same user, is told differently.
    Conflict,
    /// A sequence that was counted as sold and that nobody holds anywhere.
    LeakedUnit,
    /// Redis or Postgres has a unit that the log has not, and that is not on its way there.
    MissingInLog,
    /// The log has a unit that Redis has not.
    MissingInRedis,
    /// The log has a unit that Postgres has not.
    MissingInPostgres,
}

impl Class {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::SaleMissingInRedis,
        Self::StateMismatch,
        Self::StockMismatch,
        Self::Conflict,
        Self::LeakedUnit,
        Self::MissingInLog,
        Self::MissingInRedis,
        Self::MissingInPostgres,
    ];

    /// The name used in events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SaleMissingInRedis => "SALE_MISSING_IN_REDIS",
            Self::StateMismatch => "STATE_MISMATCH",
            Self::StockMismatch => "STOCK_MISMATCH",
            Self::Conflict => "CONFLICT",
            Self::LeakedUnit => "LEAKED_UNIT",
            Self::MissingInLog => "MISSING_IN_LOG",
            Self::MissingInRedis => "MISSING_IN_REDIS",
            Self::MissingInPostgres => "MISSING_IN_POSTGRES",
        }
    }

    /// The class called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that the stores tell differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// Which sort.
    pub class: Class,
    /// What it is about, the same at every look: the receipt number of a unit, `<sale id>-<sequence>` of a
    /// unit that nobody holds, or the sale id.
    pub subject: String,
    /// What each store says, for people.
    pub detail: String,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By class and in sequence order, at most [`LISTED_MAX`]; when there are more, each class has a share.
    pub discrepancies: Vec<Discrepancy>,
    /// How many of each class there are, listed or not.
    pub counts: BTreeMap<Class, u64>,
    /// Different units that some store has.
    pub compared: u64,
    /// Those that are counted and not listed, by a hash of their subject, so that a second look can tell them apart.
    unlisted: HashSet<(Class, u64)>,
}

impl Report {
    /// Discrepancies in all, listed or not.
    pub fn total(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether all stores agree.
    pub fn agrees(&self) -> bool {
        self.counts.is_empty()
    }

    /// Keeps what `later`, a second look, still finds. Of those that neither names, a stretch of units that nobody
    /// holds, as many are counted as the look that found fewer has.
    #[must_use]
    pub fn confirmed_by(&self, later: &Self) -> Self {
        let again: HashSet<_> = later.discrepancies.iter().map(Discrepancy::key).chain(later.unlisted()).collect();
        let found_again = |found: &&Discrepancy| again.contains(&found.key());
        let discrepancies: Vec<_> = self.discrepancies.iter().filter(found_again).cloned().collect();
        let unlisted: HashSet<_> = self.unlisted().filter(|key| again.contains(key)).collect();
        let mut counts = BTreeMap::new();
        for class in Class::ALL {
            let named = |report: &Self| listed(&report.discrepancies, class) + kept(&report.unlisted, class);
            let nameless = |report: &Self| report.counts.get(&class).map_or(0, |count| count - named(report));
            let confirmed =
                listed(&discrepancies, class) + kept(&unlisted, class) + nameless(self).min(nameless(later));
            if confirmed > 0 {
                counts.insert(class, confirmed);
            }
        }
        Self { discrepancies, counts, compared: later.compared, unlisted }
    }

    fn unlisted(&self) -> impl Iterator<Item = (Class, u64)> {
        self.unlisted.iter().copied()
    }
}

impl Discrepancy {
    /// The same at every look: hashed under a fixed key.
    fn key(&self) -> (Class, u64) {
        key(self.class, &self.subject)
    }
}

fn key(class: Class, subject: &str) -> (Class, u64) {
    let mut hasher = DefaultHasher::new();
    subject.hash(&mut hasher);
    (class, hasher.finish())
}

fn kept(unlisted: &HashSet<(Class, u64)>, class: Class) -> u64 {
    unlisted.iter().filter(|(of, _)| *of == class).count() as u64
}

fn listed(discrepancies: &[Discrepancy], class: Class) -> u64 {
    discrepancies.iter().filter(|found| found.class == class).count() as u64
}

/// Gathers discrepancies, by class.
#[derive(Default)]
struct Found {
    classes: BTreeMap<Class, (Vec<Discrepancy>, u64)>,
    unlisted: HashSet<(Class, u64)>,
}

impl Found {
    fn add(&mut self, class: Class, subject: impl fmt::Display, detail: impl FnOnce() -> String) {
        let (listed, count) = self.classes.entry(class).or_default();
        *count += 1;
        let subject = subject.to_string();
        if listed.len() < LISTED_MAX {
            listed.push(Discrepancy { class, subject, detail: detail() });
        } else {
            self.unlisted.insert(key(class, &subject));
        }
    }

    /// `more` of the same that have no names.
    fn add_unlisted(&mut self, class: Class, more: u64) {
        self.classes.entry(class).or_default().1 += more;
    }

    fn into_report(self, compared: u64) -> Report {
        let Self { classes, mut unlisted } = self;
        let counts = classes.iter().map(|(class, (_, count))| (*class, *count)).collect();
        // The most that each class may list so that all fit: a hundred thousand units of one class must not
        // hide that Redis counts wrongly.
        let mut share = LISTED_MAX;
        while classes.values().map(|(listed, _)| listed.len().min(share)).sum::<usize>() > LISTED_MAX {
            share -= 1;
        }
        let mut discrepancies = Vec::new();
        for (mut listed, _) in classes.into_values() {
            let more = listed.split_off(listed.len().min(share));
            unlisted.extend(more.iter().map(Discrepancy::key));
            discrepancies.extend(listed);
        }
        Report { discrepancies, counts, compared, unlisted }
    }
}

/// Compares the stores. Of a sale that the log knows as removed only Redis is asked whether it is gone.
pub fn compare(sides: &Sides<'_>) -> Report {
    let mut found = Found::default();
    let redis = sides.redis.filter(|hot| hot.sale_id == *sides.log.sale_id());
    if sides.log.deleted() {
        if redis.is_some() {
            let detail = || "the log says that the sale was removed; Redis has it still".to_owned();
            found.add(Class::StateMismatch, sides.log.sale_id(), detail);
        }
        return found.into_report(0);
    }
    match redis {
        Some(hot) => {
            compare_state(sides.log, hot, &mut found);
            compare_stock(sides.log, hot, &mut found);
        }
        None if sides.log.changes_seen() > 0 || sides.log.sold() > 0 => {
            found.add(Class::SaleMissingInRedis, sides.log.sale_id(), || missing_sale(sides));
        }
        None => {}
    }
    let compared = units::compare(sides, redis, &mut found);
    found.into_report(compared)
}

fn missing_sale(Sides { log, redis, rows }: &Sides<'_>) -> String {
    let (sold, changes, rows) = (log.sold(), log.changes_seen(), rows.len());
    let instead = redis.map_or("no such sale".to_owned(), |other| format!("sale {} in its place", other.sale_id));
    format!("Redis has {instead}; the log has {changes} changes and {sold} units of it, Postgres {rows} units")
}

/// What log and Redis say of the sale as such. A change that is in the outbox is on its way to the log.
fn compare_state(log: &History, hot: &HotSale, found: &mut Found) {
    let (newest, status) =
        log.changes().last().map_or((0, None), |(number, change, status)| (number, Some((change, status))));
    let pending: HashSet<u64> = hot.pending_changes.iter().copied().collect();
    let mut lacks: Vec<RangeInclusive<u64>> = log.missing_changes();
    if hot.events > newest {
        lacks.push(newest + 1..=hot.events);
    }
    let on_the_way = |range: &RangeInclusive<u64>| {
        // Never longer than the outbox, whatever number Redis has.
        range.end() - range.start() < pending.len() as u64 && range.clone().all(|number| pending.contains(&number))
    };
    lacks.retain(|range| !on_the_way(range));
    let mut wrong = Vec::new();
    for range in lacks {
        wrong.push(format!("the log lacks changes {} to {}, and the outbox too", range.start(), range.end()));
    }
    if hot.events < newest {
        wrong.push(format!("the log has change {newest}, Redis is at {}", hot.events));
    }
    if let Some((change, status)) = status
        && hot.events == newest
        && (hot.state, hot.paused) != (status.state, status.paused)
    {
        wrong.push(format!(
            "after change {newest}, {}, the log has {}, paused = {}; Redis has {}, paused = {}",
            change.as_str(),
            status.state.as_str(),
            status.paused,
            hot.state.as_str(),
            hot.paused
        ));
    }
    if !wrong.is_empty() {
        found.add(Class::StateMismatch, log.sale_id(), || wrong.join("; "));
    }
}

/// Whether the numbers of Redis add up, among themselves and with the log and the outbox.
fn compare_stock(log: &History, hot: &HotSale, found: &mut Found) {
    let HotSale { initial_stock, stock, sequence, held: buyers, .. } = hot;
    // The log is read first, so Redis may be further; units that it counts and nobody has are leaked ones.
    let highest = log.highest_sequence();
    let mut wrong = Vec::new();
    // Fewer buyers than sold units are missing ones, or leaked units, which have names of their own.
    if buyers > sequence {
        wrong.push(format!("Redis has {buyers} buyers and counts {sequence} sold"));
    }
    if stock.checked_add(*sequence) != Some(*initial_stock) {
        wrong.push(format!("Redis has {stock} left and counts {sequence} sold of {initial_stock}"));
    }
    if *sequence < highest {
        wrong.push(format!("Redis counts {sequence} sold; the highest unit in the log is {highest}"));
    }
    if let Some((newest, _, status)) = log.changes().last()
        && newest == hot.events
        && status.config.initial_stock != *initial_stock
    {
        wrong.push(format!("Redis has an initial stock of {initial_stock}, the log {}", status.config.initial_stock));
    }
    if !wrong.is_empty() {
        found.add(Class::StockMismatch, log.sale_id(), || wrong.join("; "));
    }
}

#[cfg(test)]
#[path = "comparison_tests.rs"]
mod tests;
