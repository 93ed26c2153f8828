//! Watches the log of one sale while it grows, in a few bytes a unit.
//!
//! [`crate::history::History`] knows more and can verify everything, but keeps every record. This finds at
//! once what one record, or two of them, show to be wrong; it keeps hashes in place of texts. Two users or
//! contents whose hashes are equal would be a false alarm: of a million units once in about forty million
//! runs.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    num::NonZero,
    ops::RangeInclusive,
};

use crate::{
    Micros, SaleConfig, SaleId, SaleStatus,
    history::{LoggedDecision, LoggedOutcome},
    invariants::Violation,
};

/// Units that have not come yet, though later ones have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Their sequences.
    pub sequences: RangeInclusive<u64>,
    /// Since when it is known that they must exist, by the clock given to [`Watch::take`].
    pub since: Micros,
}

/// What a unit was when it came: for the words of a finding.
#[derive(Debug, Clone, Copy)]
struct Seen {
    sequence: u64,
    at: Micros,
}

/// Units of a piece.
const PIECE: u64 = 64;

/// Hashes of the contents of units, by sequence. There are no gaps for long, so they lie in pieces side by side: a hash
/// table would take three times the memory.
#[derive(Debug, Default)]
struct Units {
    pieces: HashMap<u64, Box<[Option<NonZero<u64>>; PIECE as usize]>>,
    count: u64,
    highest: u64,
}

impl Units {
    /// Keeps the content of a unit that is new; returns what is kept of any other.
    fn put(&mut self, sequence: u64, content: NonZero<u64>) -> Option<NonZero<u64>> {
        let piece = self.pieces.entry(sequence / PIECE).or_insert_with(|| Box::new([None; PIECE as usize]));
        let place = &mut piece[(sequence % PIECE) as usize];
        if place.is_none() {
            *place = Some(content);
            self.count += 1;
            self.highest = self.highest.max(sequence);
            return None;
        }
        *place
    }
}

/// The live check of one sale.
#[derive(Debug)]
pub struct Watch {
    sale_id: SaleId,
    hasher: RandomState,
    units: Units,
    /// Hash of a user to the sequence.
    users: HashMap<u64, u64>,
    /// The newest known: the number of its change and the configuration.
    config: Option<(u64, SaleConfig)>,
    /// First missing sequence to the last one and since when.
    gaps: BTreeMap<u64, (u64, Micros)>,
    known: u64,
    /// The extremes of the units that came before the configuration.
    earliest: Option<Seen>,
    latest: Option<Seen>,
}

impl Watch {
    /// One that has seen nothing.
    pub fn new(sale_id: SaleId) -> Self {
        Self {
            sale_id,
            hasher: RandomState::new(),
            units: Units::default(),
            users: HashMap::new(),
            config: None,
            gaps: BTreeMap::new(),
            known: 0,
            earliest: None,
            latest: None,
        }
    }

    /// The sale.
    pub fn sale_id(&self) -> &SaleId {
        &self.sale_id
    }

    /// How many different units came.
    pub fn sold(&self) -> u64 {
        self.units.count
    }

    /// Takes one decision, in any order and any number of times; `now` is the caller's clock and dates what
    /// is missing. Returns what it breaks: I1, I2, I6, I9 or I14.
    pub fn take(&mut self, decision: &LoggedDecision, now: Micros) -> Option<Violation> {
        if decision.sale_id != self.sale_id {
            return None;
        }
        if let Some(sold) = decision.as_of_sequence {
            self.knows(sold, now);
        }
        match decision.outcome {
            LoggedOutcome::Accepted(sequence) => self.unit(sequence, decision, now),
            LoggedOutcome::SoldOut => self.sold_out(decision),
            _ => None,
        }
    }

    fn unit(&mut self, sequence: u64, decision: &LoggedDecision, now: Micros) -> Option<Violation> {
        let (user, at) = (&decision.attempt.user, decision.decided_at);
        let content = (user.as_str(), decision.attempt.request_id.as_str(), at);
        let content = NonZero::new(self.hasher.hash_one(content)).unwrap_or(NonZero::<u64>::MIN);
        if let Some(before) = self.units.put(sequence, content) {
            let other = || format!("unit {sequence} is told twice, now as sold to {user} at {}", at.0);
            return (before != content).then(|| broken("I9", other()));
        }
        self.knows(sequence, now);
        self.fill(sequence);
        let hash = self.hasher.hash_one(user.as_str());
        let held = *self.users.entry(hash).or_insert(sequence);
        if held != sequence {
            return Some(broken("I2", format!("{user} holds units {held} and {sequence}")));
        }
        let seen = Seen { sequence, at };
        let Some((_, config)) = &self.config else {
            self.earliest = [self.earliest, Some(seen)].into_iter().flatten().min_by_key(|seen| seen.at);
            self.latest = [self.latest, Some(seen)].into_iter().flatten().max_by_key(|seen| seen.at);
            return None;
        };
        beyond_stock(config, sequence).or_else(|| outside_window(config, seen))
    }

    fn sold_out(&self, decision: &LoggedDecision) -> Option<Violation> {
        let (sold, (_, config)) = (decision.as_of_sequence?, self.config.as_ref()?);
        let stock = config.initial_stock;
        let user = &decision.attempt.user;
        (sold < stock).then(|| broken("I6", format!("{user} got SOLD_OUT with {sold} of {stock} sold")))
    }

    /// Takes the sale after a change, in any order and any number of times: the configuration that later
    /// units are held against. Returns what the units so far break by it.
    pub fn take_change(&mut self, after: &SaleStatus, now: Micros) -> Option<Violation> {
        let newest = self.config.as_ref().is_none_or(|(number, _)| *number < after.as_of_event);
        if after.config.sale_id != self.sale_id {
            return None;
        }
        self.knows(after.as_of_sequence, now);
        if !newest {
            return None;
        }
        self.config = Some((after.as_of_event, after.config.clone()));
        let highest = self.units.highest;
        let early = [self.earliest.take(), self.latest.take()];
        beyond_stock(&after.config, highest)
            .or_else(|| early.into_iter().flatten().find_map(|seen| outside_window(&after.config, seen)))
    }

    /// Notes that all units up to `sequence` exist.
    fn knows(&mut self, sequence: u64, now: Micros) {
        if sequence > self.known {
            self.gaps.insert(self.known + 1, (sequence, now));
            self.known = sequence;
        }
    }

    /// Notes that `sequence` came: the gap around it falls in two.
    fn fill(&mut self, sequence: u64) {
        let Some((&first, &(last, since))) = self.gaps.range(..=sequence).next_back() else { return };
        if sequence > last {
            return;
        }
        self.gaps.remove(&first);
        if first < sequence {
            self.gaps.insert(first, (sequence - 1, since));
        }
        if sequence < last {
            self.gaps.insert(sequence + 1, (last, since));
        }
    }

    /// What must exist and has not come, in order. Partitions are read at different speeds, so only what
    /// is missing for long breaks I9.
    pub fn missing(&self) -> impl Iterator<Item = Missing> {
        self.gaps.iter().map(|(first, (last, since))| Missing { sequences: *first..=*last, since: *since })
    }
}

fn broken(invariant: &'static str, detail: String) -> Violation {
    Violation { invariant, detail }
}

fn beyond_stock(config: &SaleConfig, sequence: u64) -> Option<Violation> {
    let stock = config.initial_stock;
    (sequence > stock).then(|| broken("I1", format!("unit {sequence} of {stock} was sold")))
}

fn outside_window(config: &SaleConfig, Seen { sequence, at }: Seen) -> Option<Violation> {
    let outside = at < config.start || at >= config.end;
    let (start, end) = (config.start.0, config.end.0);
    outside.then(|| broken("I14", format!("unit {sequence} was sold at {}, outside [{start}, {end})", at.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attempt, Challenge, RequestId, SaleState, Sku, UserId};

    fn sale_id() -> SaleId {
        SaleId::new("06C5HN3T8Q2Z").unwrap()
    }

    fn created() -> SaleStatus {
        let config = SaleConfig {
            sale_id: sale_id(),
            sku: Sku::new("A").unwrap(),
            product_name: "A".into(),
            initial_stock: 5,
            start: Micros(10),
            end: Micros(20),
            challenge: Challenge::None,
        };
        SaleStatus {
            config,
            state: SaleState::Upcoming,
            end_reason: None,
            paused: false,
            as_of_sequence: 0,
            as_of_event: 1,
            as_of: Micros(0),
        }
    }

    fn decision(user: &str, outcome: LoggedOutcome, sold: u64, at: i64) -> LoggedDecision {
        LoggedDecision {
            attempt: Attempt { user: UserId::new(user).unwrap(), request_id: RequestId::new("r").unwrap() },
            sale_id: sale_id(),
            outcome,
            decided_at: Micros(at),
            as_of_sequence: Some(sold),
            remaining: None,
        }
    }

    fn unit(user: &str, sequence: u64, at: i64) -> LoggedDecision {
        decision(user, LoggedOutcome::Accepted(sequence), sequence, at)
    }

    fn found(watch: &mut Watch, decision: &LoggedDecision) -> Option<&'static str> {
        watch.take(decision, Micros(100)).map(|violation| violation.invariant)
    }

    #[test]
    fn i_1_i_2_i_9_i_14_each_is_found_at_once() {
        let mut watch = Watch::new(sale_id());
        assert_eq!(watch.take_change(&created(), Micros(0)), None);
        for (user, sequence) in [("b", 2), ("a", 1), ("b", 2), ("a", 1)] {
            assert_eq!(found(&mut watch, &unit(user, sequence, 15)), None);
        }
        assert_eq!(found(&mut watch, &unit("c", 6, 15)), Some("I1"));
        assert_eq!(found(&mut watch, &unit("a", 3, 15)), Some("I2"));
        assert_eq!(found(&mut watch, &unit("x", 2, 15)), Some("I9"), "another user");
        assert_eq!(found(&mut watch, &unit("b", 2, 16)), Some("I9"), "another time");
        assert_eq!(found(&mut watch, &unit("d", 4, 20)), Some("I14"));
        assert_eq!(found(&mut watch, &unit("e", 5, 9)), Some("I14"));
        assert_eq!(found(&mut watch, &decision("f", LoggedOutcome::SoldOut, 4, 15)), Some("I6"));
        assert_eq!(found(&mut watch, &decision("f", LoggedOutcome::SoldOut, 5, 15)), None);
        assert_eq!(watch.sold(), 6);
    }

    #[test]
    fn i_14_what_came_before_the_configuration_is_held_against_it() {
        let mut watch = Watch::new(sale_id());
        assert_eq!(found(&mut watch, &unit("a", 1, 9)), None);
        assert_eq!(watch.take_change(&created(), Micros(0)).map(|found| found.invariant), Some("I14"));
        let mut watch = Watch::new(sale_id());
        assert_eq!(found(&mut watch, &unit("a", 6, 15)), None);
        assert_eq!(watch.take_change(&created(), Micros(0)).map(|found| found.invariant), Some("I1"));
        assert_eq!(watch.take_change(&created(), Micros(0)), None, "once");
    }

    #[test]
    fn i_9_what_is_missing_is_known_since_when() {
        let mut watch = Watch::new(sale_id());
        let missing = |watch: &Watch| -> Vec<_> {
            watch.missing().map(|gap| (*gap.sequences.start(), *gap.sequences.end(), gap.since.0)).collect()
        };
        watch.take(&unit("a", 3, 15), Micros(100));
        assert_eq!(missing(&watch), [(1, 2, 100)]);
        watch.take(&decision("z", LoggedOutcome::SoldOut, 8, 15), Micros(200));
        assert_eq!(missing(&watch), [(1, 2, 100), (4, 8, 200)], "a refusal tells of units too");
        watch.take(&unit("b", 6, 15), Micros(300));
        watch.take(&unit("c", 1, 15), Micros(300));
        assert_eq!(missing(&watch), [(2, 2, 100), (4, 5, 200), (7, 8, 200)]);
        for (user, sequence) in [("d", 2), ("e", 4), ("f", 5), ("g", 7), ("h", 8)] {
            watch.take(&unit(user, sequence, 15), Micros(400));
        }
        assert_eq!(missing(&watch), []);
    }

    #[test]
    fn i_9_units_far_apart_are_told_apart() {
        let mut watch = Watch::new(sale_id());
        let far = [u64::MAX, 1, PIECE, PIECE - 1, PIECE + 1, u64::MAX - PIECE];
        for (shopper, sequence) in far.into_iter().enumerate() {
            let unit = unit(&format!("u{shopper}"), sequence, 10);
            assert_eq!((found(&mut watch, &unit), found(&mut watch, &unit)), (None, None), "{sequence}");
        }
        assert_eq!((watch.sold(), watch.units.highest), (far.len() as u64, u64::MAX));
        for sequence in far {
            assert_eq!(found(&mut watch, &unit("other", sequence, 10)), Some("I9"), "{sequence}");
        }
    }
}
