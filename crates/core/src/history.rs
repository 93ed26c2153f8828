//! What the log says of one sale, and whether it can be true.
//!
//! Records are taken in any order and any number of times: partitions are read at different speeds,
//! and the relay and retries repeat what is there already. [`History::verify`] then replays all of it
//! through [`crate::SaleBook`]. Verification, reconciliation, the recovery of Redis and the load tool
//! read the log into this and nothing else.

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry},
    fmt,
    hash::{BuildHasher, RandomState},
    ops::RangeInclusive,
};

use crate::{
    Attempt, Micros, NotActive, Outcome, Receipt, RequestId, SaleConfig, SaleId, SaleStatus, UserId,
    decision::Change,
    invariants::{Sold, Violation},
};

mod replay;

/// Contradictions that are kept with their content; the others are counted.
const CONFLICTS_MAX: usize = 20;
/// Different sums of sold and left that are kept. A sound sale has one.
const TOTALS_MAX: usize = 20;

/// The outcome of a decision as the log has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoggedOutcome {
    /// This unit was sold.
    Accepted(u64),
    /// The shopper held a unit: this one, when the record names it.
    AlreadyPurchased(Option<u64>),
    /// No unit was left.
    SoldOut,
    /// The sale took no purchases.
    NotActive(NotActive),
}

impl From<&Outcome> for LoggedOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted(receipt) | Outcome::Repeated(receipt) => Self::Accepted(receipt.sequence),
            Outcome::AlreadyPurchased(receipt) => Self::AlreadyPurchased(Some(receipt.sequence)),
            Outcome::SoldOut => Self::SoldOut,
            Outcome::NotActive(reason) => Self::NotActive(*reason),
        }
    }
}

impl fmt::Display for LoggedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(sequence) => write!(f, "ACCEPTED unit {sequence}"),
            Self::AlreadyPurchased(Some(sequence)) => write!(f, "ALREADY_PURCHASED unit {sequence}"),
            Self::AlreadyPurchased(None) => f.write_str("ALREADY_PURCHASED"),
            Self::SoldOut => f.write_str("SOLD_OUT"),
            Self::NotActive(reason) => f.write_str(reason.as_str()),
        }
    }
}

/// One decision as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedDecision {
    /// Who, and which try of theirs.
    pub attempt: Attempt,
    /// The sale that was asked.
    pub sale_id: SaleId,
    /// The answer.
    pub outcome: LoggedOutcome,
    /// When; of a refusal at the edge, Redis' time as the edge guessed it.
    pub decided_at: Micros,
    /// Units sold after it; none when it was decided at the edge, or about a sale that is gone.
    pub as_of_sequence: Option<u64>,
    /// Units left after it; none as above.
    pub remaining: Option<u64>,
}

/// One sold unit. Its sequence is the key under which it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Who holds it.
    pub user: UserId,
    /// By which attempt.
    pub request_id: RequestId,
    /// When Redis decided.
    pub decided_at: Micros,
}

/// How many decisions of each sort the log has; repeats count once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Units sold.
    pub accepted: u64,
    /// Refusals of shoppers who held a unit.
    pub already_purchased: u64,
    /// Refusals because no unit was left.
    pub sold_out: u64,
    /// Refusals before the start.
    pub not_started: u64,
    /// Refusals after the end.
    pub time_expired: u64,
    /// Refusals while an operator had stopped the sale.
    pub paused: u64,
    /// Refusals because the SKU belongs to another sale, or to none.
    pub sale_replaced: u64,
    /// How many of these refusals were made at the edge, without Redis.
    pub at_the_edge: u64,
    /// Records that said again what another one had said.
    pub repeats: u64,
}

impl Counts {
    /// Decisions in all.
    pub fn decisions(&self) -> u64 {
        self.accepted + self.refused()
    }

    /// Refusals in all.
    pub fn refused(&self) -> u64 {
        let not_active = self.not_started + self.time_expired + self.paused + self.sale_replaced;
        self.already_purchased + self.sold_out + not_active
    }

    fn add(&mut self, outcome: LoggedOutcome, at_the_edge: bool) {
        self.at_the_edge += u64::from(at_the_edge);
        *match outcome {
            LoggedOutcome::Accepted(_) => &mut self.accepted,
            LoggedOutcome::AlreadyPurchased(_) => &mut self.already_purchased,
            LoggedOutcome::SoldOut => &mut self.sold_out,
            LoggedOutcome::NotActive(NotActive::NotStarted) => &mut self.not_started,
            LoggedOutcome::NotActive(NotActive::TimeExpired) => &mut self.time_expired,
            LoggedOutcome::NotActive(NotActive::Paused) => &mut self.paused,
            LoggedOutcome::NotActive(NotActive::SaleReplaced) => &mut self.sale_replaced,
        } += 1;
    }
}

/// A refusal that [`History::verify`] is to judge.
#[derive(Debug)]
struct Refusal {
    attempt: Attempt,
    outcome: LoggedOutcome,
    decided_at: Micros,
    as_of: Option<u64>,
    remaining: Option<u64>,
}

/// The first few of many, and how many there were.
#[derive(Debug)]
struct Few<T> {
    first: Vec<T>,
    count: u64,
}

impl<T> Few<T> {
    const fn new() -> Self {
        Self { first: Vec::new(), count: 0 }
    }

    fn push(&mut self, item: T) {
        self.count += 1;
        if self.first.len() < CONFLICTS_MAX {
            self.first.push(item);
        }
    }
}

/// What the log says of one sale.
#[derive(Debug)]
pub struct History {
    sale_id: SaleId,
    keeps_refusals: bool,
    units: BTreeMap<u64, Unit>,
    users: HashMap<UserId, u64>,
    changes: BTreeMap<u64, (Change, SaleStatus)>,
    refusals: Vec<Refusal>,
    /// Hashes of the refusals taken. Two that collide, once in many millions of records, count as one.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// Other content for a sequence that is taken.
    conflicts: Few<(u64, Unit)>,
    /// Other content for a change that is taken.
    change_conflicts: Few<(u64, Change, SaleStatus)>,
    /// Sold units whose record counts another number of units sold: (sequence, that number).
    miscounted: Few<(u64, u64)>,
    /// Sold and left together, as records of sold units have it, with one of these units.
    totals: BTreeMap<u64, u64>,
    counts: Counts,
    known_sequence: u64,
    latest: Option<Micros>,
}

impl History {
    /// An empty one.
    pub fn new(sale_id: SaleId) -> Self {
        Self {
            sale_id,
            keeps_refusals: true,
            units: BTreeMap::new(),
            users: HashMap::new(),
            changes: BTreeMap::new(),
            refusals: Vec::new(),
            seen: HashSet::new(),
            hasher: RandomState::new(),
            conflicts: Few::new(),
            change_conflicts: Few::new(),
            miscounted: Few::new(),
            totals: BTreeMap::new(),
            counts: Counts::default(),
            known_sequence: 0,
            latest: None,
        }
    }

    /// An empty one that counts refusals and keeps none, for those who only need the units: its size is
    /// bounded by the stock. It cannot tell a repeated refusal from a new one, nor judge any.
    pub fn without_refusals(sale_id: SaleId) -> Self {
        Self { keeps_refusals: false, ..Self::new(sale_id) }
    }

    /// Takes one decision, in any order and any number of times. Those of other sales are left out.
    pub fn take(&mut self, decision: LoggedDecision) {
        if decision.sale_id != self.sale_id {
            return;
        }
        if let Some(sold) = decision.as_of_sequence {
            self.known_sequence = self.known_sequence.max(sold);
        }
        if let LoggedOutcome::Accepted(sequence) = decision.outcome {
            self.take_unit(sequence, decision);
        } else {
            self.take_refusal(decision);
        }
    }

    fn take_unit(&mut self, sequence: u64, decision: LoggedDecision) {
        let LoggedDecision { attempt: Attempt { user, request_id }, decided_at, as_of_sequence, remaining, .. } =
            decision;
        self.saw(decided_at);
        self.known_sequence = self.known_sequence.max(sequence);
        let unit = Unit { user, request_id, decided_at };
        match self.units.entry(sequence) {
            Entry::Occupied(first) if *first.get() == unit => self.counts.repeats += 1,
            Entry::Occupied(_) => self.conflicts.push((sequence, unit)),
            Entry::Vacant(free) => {
                self.counts.accepted += 1;
                // The lower one whatever the order of reading, so that equal logs make equal histories.
                let held = self.users.entry(unit.user.clone()).or_insert(sequence);
                *held = sequence.min(*held);
                free.insert(unit);
            }
        }
        if let Some(sold) = as_of_sequence.filter(|sold| *sold != sequence) {
            self.miscounted.push((sequence, sold));
        }
        if let Some(left) = remaining
            && self.totals.len() < TOTALS_MAX
        {
            self.totals.entry(sequence.saturating_add(left)).or_insert(sequence);
        }
    }

    fn take_refusal(&mut self, decision: LoggedDecision) {
        let LoggedDecision { attempt, outcome, decided_at, as_of_sequence, remaining, .. } = decision;
        let judged = outcome != LoggedOutcome::NotActive(NotActive::SaleReplaced);
        let at_the_edge = judged && as_of_sequence.is_none();
        if judged && !at_the_edge {
            self.saw(decided_at);
        }
        if self.keeps_refusals {
            let content = (attempt.user.as_str(), attempt.request_id.as_str(), outcome, decided_at, as_of_sequence);
            if !self.seen.insert(self.hasher.hash_one(content)) {
                self.counts.repeats += 1;
                return;
            }
            if judged {
                self.refusals.push(Refusal { attempt, outcome, decided_at, as_of: as_of_sequence, remaining });
            }
        }
        self.counts.add(outcome, at_the_edge);
    }

    /// Takes one change of the sale and the sale `after` it, in any order and any number of times. Those
    /// of other sales are left out.
    pub fn take_change(&mut self, change: Change, after: SaleStatus) {
        if after.config.sale_id != self.sale_id {
            return;
        }
        self.saw(after.as_of);
        self.known_sequence = self.known_sequence.max(after.as_of_sequence);
        match self.changes.get(&after.as_of_event) {
            None => drop(self.changes.insert(after.as_of_event, (change, after))),
            Some(first) if first.0 == change && first.1 == after => self.counts.repeats += 1,
            Some(_) => self.change_conflicts.push((after.as_of_event, change, after)),
        }
    }

    /// Notes a time of the Redis clock. What the edge guessed is none: the clock of a recovered sale goes on
    /// from the latest of these.
    fn saw(&mut self, at: Micros) {
        self.latest = self.latest.max(Some(at));
    }

    /// The sale.
    pub fn sale_id(&self) -> &SaleId {
        &self.sale_id
    }

    /// The configuration after the newest change; none when the log has no change of the sale.
    pub fn config(&self) -> Option<&SaleConfig> {
        self.changes.last_key_value().map(|(_, (_, after))| &after.config)
    }

    /// Sequence and unit of everything sold, in order.
    pub fn units(&self) -> impl Iterator<Item = (u64, &Unit)> {
        self.units.iter().map(|(sequence, unit)| (*sequence, unit))
    }

    /// Unit `sequence`.
    pub fn unit(&self, sequence: u64) -> Option<&Unit> {
        self.units.get(&sequence)
    }

    /// What `user` holds; the lower one of two.
    pub fn unit_of(&self, user: &UserId) -> Option<(u64, &Unit)> {
        let sequence = *self.users.get(user)?;
        Some((sequence, self.units.get(&sequence)?))
    }

    /// The receipt of unit `sequence`.
    pub fn receipt(&self, sequence: u64) -> Option<Receipt> {
        Some(self.receipt_of(sequence, self.units.get(&sequence)?))
    }

    fn receipt_of(&self, sequence: u64, unit: &Unit) -> Receipt {
        Receipt { sale_id: self.sale_id.clone(), sequence, decided_at: unit.decided_at }
    }

    /// Unit `sequence` in the shape that other stores tell it in.
    pub fn sold_unit(&self, sequence: u64) -> Option<Sold> {
        let Unit { user, request_id, .. } = self.units.get(&sequence)?.clone();
        Some(Sold { user, request_id, receipt: self.receipt(sequence)? })
    }

    /// The highest sequence of a sold unit; 0 when there is none.
    pub fn highest_sequence(&self) -> u64 {
        self.units.last_key_value().map_or(0, |(sequence, _)| *sequence)
    }

    /// The highest number of sold units that any record speaks of. More than the highest sequence when
    /// the log lacks the last units but has a refusal or a change that came after them.
    pub fn known_sequence(&self) -> u64 {
        self.known_sequence
    }

    /// How many units are sold.
    pub fn sold(&self) -> u64 {
        self.units.len() as u64
    }

    /// The sequences up to the known one that the log lacks.
    pub fn missing(&self) -> Vec<RangeInclusive<u64>> {
        holes(self.units.keys(), self.known_sequence)
    }

    /// The changes seen, with number and the sale after them, in order.
    pub fn changes(&self) -> impl Iterator<Item = (u64, Change, &SaleStatus)> {
        self.changes.iter().map(|(number, (change, after))| (*number, *change, after))
    }

    /// How many changes were seen.
    pub fn changes_seen(&self) -> u64 {
        self.changes.len() as u64
    }

    /// The numbers of changes before the newest that the log lacks.
    pub fn missing_changes(&self) -> Vec<RangeInclusive<u64>> {
        holes(self.changes.keys(), 0)
    }

    /// The newest change and the highest sequence together, as of the latest time of the Redis clock that
    /// any record has.
    pub fn status(&self) -> Option<SaleStatus> {
        let (_, (_, newest)) = self.changes.last_key_value()?;
        let mut status = newest.clone();
        status.as_of_sequence = status.as_of_sequence.max(self.highest_sequence());
        status.as_of = self.latest.map_or(status.as_of, |latest| latest.max(status.as_of));
        Some(status)
    }

    /// Whether the newest change is the removal of the sale.
    pub fn deleted(&self) -> bool {
        self.changes.last_key_value().is_some_and(|(_, (change, _))| *change == Change::Deleted)
    }

    /// How many decisions of each sort there are.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Everything that cannot be true, at most twenty findings an invariant and then how many more: I1, I2,
    /// I6, I9 and I14, by replaying every decision through the model.
    pub fn verify(&self) -> Vec<Violation> {
        replay::verify(self)
    }
}

/// The numbers from 1 to the last of `present`, or to `known` if that is more, that are not in it.
fn holes<'a>(present: impl Iterator<Item = &'a u64>, known: u64) -> Vec<RangeInclusive<u64>> {
    let (mut found, mut expected) = (Vec::new(), 1);
    for &number in present {
        if number > expected {
            found.push(expected..=number - 1);
        }
        expected = number.saturating_add(1);
    }
    if known >= expected {
        found.push(expected..=known);
    }
    found
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "history/replay_tests.rs"]
mod replay_tests;
