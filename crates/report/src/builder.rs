//! The fold: records in, a report out.

use std::{
    collections::{BTreeMap, HashMap, HashSet, btree_map::Entry, hash_map::RandomState},
    hash::BuildHasher,
    num::NonZeroI64,
    sync::Arc,
};

use flashsale_core::{Micros, NotActive, SaleId, SaleStatus, Sku};
use flashsale_schemas::events::{ChangeKind, DecidedBy, Outcome, PurchaseDecision, SaleEvent};

use crate::Report;

/// An arrival that is this much later than its decision is not that of the attempt which was decided: the same request
/// came again, or the clocks are too far apart to be compared.
const CLOCKS_APART_MAX_US: i64 = 1_000_000;

/// Takes the log of one SKU, in any order, and makes a [`Report`] of one of its sales.
#[derive(Debug)]
pub struct Builder {
    sku: Sku,
    sales: BTreeMap<SaleId, Facts>,
    not_understood: u64,
}

impl Builder {
    /// One that has seen nothing yet.
    pub fn new(sku: Sku) -> Self {
        Self { sku, sales: BTreeMap::new(), not_understood: 0 }
    }

    /// Takes a change of a sale; those of other SKUs are left out.
    pub fn event(&mut self, event: &SaleEvent) {
        if event.sku != self.sku.as_str() {
            return;
        }
        match SaleId::new(&event.sale_id) {
            Ok(sale) => self.sales.entry(sale).or_default().event(event),
            Err(_) => self.not_understood += 1,
        }
    }

    /// Takes a decision and when its record was written to the log, in milliseconds since 1970, as far as that is
    /// known; those about other SKUs are left out.
    pub fn decision(&mut self, decision: &PurchaseDecision, logged_at_ms: Option<i64>) {
        if decision.sku != self.sku.as_str() {
            return;
        }
        match SaleId::new(&decision.sale_id) {
            Ok(sale) => self.sales.entry(sale).or_default().decision(decision, logged_at_ms),
            Err(_) => self.not_understood += 1,
        }
    }

    /// Counts a record that no decoder could read.
    pub fn unreadable(&mut self) {
        self.not_understood += 1;
    }

    /// The newest sale of which a change was seen, removed or not.
    pub fn newest(&self) -> Option<&SaleId> {
        self.sales.iter().rev().find(|(_, facts)| !facts.changes.is_empty()).map(|(sale, _)| sale)
    }

    /// When the first change of `sale` that was seen happened.
    pub fn created_at(&self, sale: &SaleId) -> Option<Micros> {
        self.sales.get(sale).and_then(Facts::created_at)
    }

    /// The report of `sale`, or of the newest one; none when no change of such a sale was seen.
    pub fn build(mut self, sale: Option<&SaleId>) -> Option<Report> {
        let sale = sale.or(self.newest())?.clone();
        let mut facts = self.sales.remove(&sale)?;
        facts.not_understood += self.not_understood;
        Report::of(&facts)
    }
}

/// What the log says of one sale.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) changes: BTreeMap<u64, (ChangeKind, SaleStatus)>,
    pub(crate) attempts: Vec<Attempt>,
    /// Which of the attempts bought each unit.
    pub(crate) units: BTreeMap<u64, usize>,
    pub(crate) shoppers: Names,
    pub(crate) instances: Names,
    /// The highest number of sold units that any record speaks of.
    pub(crate) known_sequence: u64,
    pub(crate) repeats: u64,
    pub(crate) not_understood: u64,
    /// Hashes of the ids of refusals. Two that collide, once in many millions of records, count as one.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Facts {
    fn event(&mut self, event: &SaleEvent) {
        let (Ok(status), true) = (SaleStatus::try_from(event), event.kind != ChangeKind::Unknown) else {
            self.not_understood += 1;
            return;
        };
        self.known_sequence = self.known_sequence.max(status.as_of_sequence);
        match self.changes.entry(status.as_of_event) {
            Entry::Occupied(_) => self.repeats += 1,
            Entry::Vacant(free) => {
                free.insert((event.kind, status));
            }
        }
    }

    fn decision(&mut self, decision: &PurchaseDecision, logged_at_ms: Option<i64>) {
        let sequence = decision.sequence.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0);
        let answer = match (decision.outcome, sequence) {
            (Outcome::Accepted, Some(_)) => Answer::Accepted,
            (Outcome::AlreadyPurchased, _) => Answer::AlreadyPurchased,
            (Outcome::SoldOut, _) => Answer::SoldOut,
            (Outcome::SaleNotActive, _) => Answer::NotActive(decision.reason.as_deref().and_then(NotActive::parse)),
            (Outcome::Accepted, None) | (Outcome::Unknown, _) => {
                self.not_understood += 1;
                return;
            }
        };
        if let Some(sold) = decision.as_of_sequence.and_then(|sold| u64::try_from(sold).ok()) {
            self.known_sequence = self.known_sequence.max(sold);
        }
        let attempt = Attempt {
            decided_at: decision.decided_at,
            received_us: decision.received_at.and_then(|at| NonZeroI64::new(at.0)),
            logged_ms: logged_at_ms.and_then(NonZeroI64::new),
            shopper: self.shoppers.number(&decision.user_id),
            instance: self.instances.number(&decision.ingest_id),
            answer,
            at_the_edge: decision.decided_by == DecidedBy::Edge,
        };
        match (answer, sequence) {
            (Answer::Accepted, Some(sequence)) => self.sold(sequence, attempt),
            _ if self.seen.insert(self.hasher.hash_one(&decision.decision_id)) => self.attempts.push(attempt),
            _ => self.repeats += 1,
        }
    }

    fn sold(&mut self, sequence: u64, attempt: Attempt) {
        self.known_sequence = self.known_sequence.max(sequence);
        match self.units.entry(sequence) {
            Entry::Vacant(free) => {
                free.insert(self.attempts.len());
                self.attempts.push(attempt);
            }
            Entry::Occupied(first) => {
                self.repeats += 1;
                let first = &mut self.attempts[*first.get()];
                // The relay does not know when an attempt arrived, and a repeated request arrives later.
                if first.shopper == attempt.shopper {
                    first.received_us = earlier(first.received_us, attempt.received_us);
                    first.logged_ms = earlier(first.logged_ms, attempt.logged_ms);
                }
            }
        }
    }

    pub(crate) fn created_at(&self) -> Option<Micros> {
        self.changes.first_key_value().map(|(_, (_, after))| after.as_of)
    }

    /// The attempts that bought units, with the sequence, in its order.
    pub(crate) fn sales(&self) -> impl Iterator<Item = (u64, &Attempt)> {
        self.units.iter().map(|(sequence, index)| (*sequence, &self.attempts[*index]))
    }
}

fn earlier(one: Option<NonZeroI64>, other: Option<NonZeroI64>) -> Option<NonZeroI64> {
    [one, other].into_iter().flatten().min()
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    AlreadyPurchased,
    SoldOut,
    /// With no reason when that is newer than this build.
    NotActive(Option<NotActive>),
}

/// One attempt. A log has millions; times that may be missing take no room beside their value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) decided_at: Micros,
    received_us: Option<NonZeroI64>,
    logged_ms: Option<NonZeroI64>,
    pub(crate) shopper: u32,
    pub(crate) instance: u32,
    pub(crate) answer: Answer,
    pub(crate) at_the_edge: bool,
}

impl Attempt {
    /// When the record says that it arrived, by the clock of the ingest instance.
    pub(crate) fn received_at(&self) -> Option<Micros> {
        self.received_us.map(|at| Micros(at.get()))
    }

    /// When the record was written, in milliseconds since 1970.
    pub(crate) fn logged_at_ms(&self) -> Option<i64> {
        self.logged_ms.map(NonZeroI64::get)
    }

    /// When it arrived, unless the record cannot know that.
    pub(crate) fn arrived_at(&self) -> Option<Micros> {
        self.received_at().filter(|at| *at - self.decided_at <= CLOCKS_APART_MAX_US)
    }
}

/// Texts that come again and again, each kept once.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        // Memory ends before the numbers do.
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }

    pub(crate) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| name)
    }

    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
