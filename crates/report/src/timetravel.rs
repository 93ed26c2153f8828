//! A sale as of a time.

use std::collections::BTreeMap;

use flashsale_core::{EndReason, Micros, Receipt, SaleId, SaleState, SaleStatus, Sku};
use flashsale_schemas::events::{ChangeKind, Outcome, PurchaseDecision, SaleEvent};
use serde::Serialize;

use crate::report::{Change, iso};

/// Buyers that are listed. Of more, the first and the last half.
const BUYERS_MAX: usize = 1_000;

/// Takes the log of one SKU, in any order and with repeats, and leaves out what happened after a time.
#[derive(Debug)]
pub struct StateAt {
    sku: Sku,
    at: Micros,
    sales: BTreeMap<SaleId, Past>,
}

/// What had happened in one sale.
#[derive(Debug, Default)]
struct Past {
    changes: BTreeMap<u64, (ChangeKind, SaleStatus)>,
    units: BTreeMap<u64, (String, Micros)>,
}

/// A sale as it stood at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The time.
    #[serde(serialize_with = "iso::one")]
    pub at: Micros,
    /// What was sold.
    pub sku: Sku,
    /// The sale.
    pub sale_id: SaleId,
    /// Its name for people, as of then.
    pub product_name: String,
    /// Where it stood by the clock, also between two changes.
    pub state: SaleState,
    /// Why it had ended, if it had.
    pub end_reason: Option<EndReason>,
    /// Whether an operator had stopped it.
    pub paused: bool,
    /// Whether it had been removed.
    pub removed: bool,
    /// Units for sale in all, as of then.
    pub initial_stock: u64,
    /// Units sold by then.
    pub sold: u64,
    /// Units left.
    pub stock: u64,
    /// First instant of the sale, as of then.
    #[serde(serialize_with = "iso::one")]
    pub start_time: Micros,
    /// First instant after the sale, as of then.
    #[serde(serialize_with = "iso::one")]
    pub end_time: Micros,
    /// The last change before that time, or at it.
    pub last_change: Change,
    /// Units of which the log has the buyer.
    pub buyers_total: u64,
    /// Who held units, in the order of their sale: the first and the last five hundred when there are more than a
    /// thousand.
    pub buyers: Vec<Buyer>,
}

/// One who held a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Buyer {
    /// Which unit.
    pub sequence: u64,
    /// Who.
    pub user_id: String,
    /// Since when.
    #[serde(serialize_with = "iso::one")]
    pub decided_at: Micros,
    /// The number of the receipt.
    pub purchase_no: String,
}

impl StateAt {
    /// The sales of `sku` as of `at`, of which nothing is known yet.
    pub fn new(sku: Sku, at: Micros) -> Self {
        Self { sku, at, sales: BTreeMap::new() }
    }

    /// Takes a change of a sale.
    pub fn event(&mut self, event: &SaleEvent) {
        if event.sku != self.sku.as_str() || event.occurred_at > self.at || event.kind == ChangeKind::Unknown {
            return;
        }
        let Ok(after) = SaleStatus::try_from(event) else { return };
        let past = self.sales.entry(after.config.sale_id.clone()).or_default();
        past.changes.entry(after.as_of_event).or_insert((event.kind, after));
    }

    /// Takes a decision; refusals change no sale.
    pub fn decision(&mut self, decision: &PurchaseDecision) {
        let accepted = decision.outcome == Outcome::Accepted && decision.decided_at <= self.at;
        if !accepted || decision.sku != self.sku.as_str() {
            return;
        }
        let sequence = decision.sequence.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0);
        if let (Ok(sale), Some(sequence)) = (SaleId::new(&decision.sale_id), sequence) {
            let unit = || (decision.user_id.clone(), decision.decided_at);
            self.sales.entry(sale).or_default().units.entry(sequence).or_insert_with(unit);
        }
    }

    /// The newest sale that had been set up by then, removed or not.
    pub fn newest(&self) -> Option<&SaleId> {
        self.sales.iter().rev().find(|(_, past)| !past.changes.is_empty()).map(|(sale, _)| sale)
    }

    /// When the first change of `sale` that was seen happened.
    pub fn created_at(&self, sale: &SaleId) -> Option<Micros> {
        let (_, (_, after)) = self.sales.get(sale)?.changes.first_key_value()?;
        Some(after.as_of)
    }

    /// How `sale`, or the newest one of then, stood; none when there was no such sale yet.
    pub fn build(&self, sale: Option<&SaleId>) -> Option<Snapshot> {
        let sale = sale.or(self.newest())?;
        let past = self.sales.get(sale)?;
        let (number, (kind, after)) = past.changes.last_key_value()?;
        let config = &after.config;
        let highest = past.units.last_key_value().map_or(0, |(sequence, _)| *sequence);
        let sold = highest.max(after.as_of_sequence);
        let (state, end_reason) = by_the_clock(after, sold, self.at);
        Some(Snapshot {
            at: self.at,
            sku: config.sku.clone(),
            sale_id: config.sale_id.clone(),
            product_name: config.product_name.clone(),
            state,
            end_reason,
            paused: after.paused,
            removed: *kind == ChangeKind::Deleted,
            initial_stock: config.initial_stock,
            sold,
            stock: config.initial_stock.saturating_sub(sold),
            start_time: config.start,
            end_time: config.end,
            last_change: Change { number: *number, kind: *kind, at: after.as_of, sold: after.as_of_sequence },
            buyers_total: past.units.len() as u64,
            buyers: past.buyers(sale),
        })
    }
}

impl Past {
    fn buyers(&self, sale: &SaleId) -> Vec<Buyer> {
        let buyer = |(sequence, (user, decided_at)): (&u64, &(String, Micros))| Buyer {
            sequence: *sequence,
            user_id: user.clone(),
            decided_at: *decided_at,
            purchase_no: Receipt { sale_id: sale.clone(), sequence: *sequence, decided_at: *decided_at }.number(),
        };
        if self.units.len() <= BUYERS_MAX {
            return self.units.iter().map(buyer).collect();
        }
        let mut last: Vec<Buyer> = self.units.iter().rev().take(BUYERS_MAX / 2).map(buyer).collect();
        last.reverse();
        self.units.iter().take(BUYERS_MAX / 2).map(buyer).chain(last).collect()
    }
}

/// Where a sale stands at `at` when nothing happened since `after` but units being sold: the clock starts and ends it,
/// and so does the last unit.
fn by_the_clock(after: &SaleStatus, sold: u64, at: Micros) -> (SaleState, Option<EndReason>) {
    let config = &after.config;
    match after.state {
        SaleState::Ended => (SaleState::Ended, after.end_reason),
        _ if sold > 0 && sold >= config.initial_stock => (SaleState::Ended, Some(EndReason::SoldOut)),
        _ if at >= config.end => (SaleState::Ended, Some(EndReason::TimeExpired)),
        _ if at >= config.start => (SaleState::Active, None),
        state => (state, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{END, SALE, SECOND, START, STOCK, change, sale_id, sku, unit};

    /// A sale that is paused after twenty seconds, goes on after thirty, and sells a unit every ten.
    fn as_of(at: i64) -> Option<Snapshot> {
        let mut state = StateAt::new(sku(), Micros(at));
        for n in 1..=4 {
            // In the log twice.
            state.decision(&unit(n, &format!("u{n}"), START + n * 10 * SECOND, None));
            state.decision(&unit(n, &format!("u{n}"), START + n * 10 * SECOND, Some(START)));
        }
        state.event(&change(1, ChangeKind::Created, START - 60 * SECOND));
        state.event(&change(2, ChangeKind::Started, START + 1_000));
        state.event(&SaleEvent { as_of_sequence: 2, ..change(3, ChangeKind::Paused, START + 20 * SECOND) });
        state.event(&SaleEvent { as_of_sequence: 2, ..change(4, ChangeKind::Resumed, START + 30 * SECOND) });
        state.event(&SaleEvent { as_of_sequence: 4, ..change(5, ChangeKind::Ended, END + 5_000) });
        state.build(None)
    }

    fn brief(at: i64) -> (SaleState, bool, u64, u64, u64) {
        let snapshot = as_of(at).unwrap();
        (snapshot.state, snapshot.paused, snapshot.sold, snapshot.stock, snapshot.last_change.number)
    }

    #[test]
    fn before_it_was_set_up_there_was_no_sale() {
        assert_eq!(as_of(START - 60 * SECOND - 1), None);
    }

    #[test]
    fn before_the_start() {
        assert_eq!(brief(START - 1), (SaleState::Upcoming, false, 0, 10, 1));
    }

    #[test]
    fn by_the_clock_between_two_changes() {
        // The change came a millisecond after the start.
        assert_eq!(brief(START), (SaleState::Active, false, 0, 10, 1));
        assert_eq!(brief(END), (SaleState::Ended, false, 4, 6, 4));
        assert_eq!(as_of(END).unwrap().end_reason, Some(EndReason::TimeExpired));
    }

    #[test]
    fn in_the_middle_and_paused() {
        assert_eq!(brief(START + 10 * SECOND - 1), (SaleState::Active, false, 0, 10, 2));
        assert_eq!(brief(START + 10 * SECOND), (SaleState::Active, false, 1, 9, 2));
        assert_eq!(brief(START + 25 * SECOND), (SaleState::Active, true, 2, 8, 3));
        let middle = as_of(START + 25 * SECOND).unwrap();
        let buyers: Vec<_> = middle.buyers.iter().map(|buyer| (buyer.sequence, buyer.user_id.as_str())).collect();
        assert_eq!(buyers, [(1, "u1"), (2, "u2")]);
        assert_eq!(middle.buyers[0].purchase_no, format!("PUR-20261123-{SALE}-000001"));
    }

    #[test]
    fn after_the_end() {
        assert_eq!(brief(END + 3_600 * SECOND), (SaleState::Ended, false, 4, 6, 5));
    }

    #[test]
    fn the_last_unit_ends_it() {
        let mut state = StateAt::new(sku(), Micros(START + 50 * SECOND));
        state.event(&change(1, ChangeKind::Created, START - SECOND));
        for n in 1..=STOCK {
            state.decision(&unit(n, &format!("u{n}"), START + n, None));
        }
        let snapshot = state.build(None).unwrap();
        assert_eq!((snapshot.state, snapshot.end_reason), (SaleState::Ended, Some(EndReason::SoldOut)));
        assert_eq!((snapshot.stock, snapshot.sold), (0, 10));
    }

    #[test]
    fn the_sale_of_then_is_not_the_sale_of_now() {
        let again = "06C5HN3T8Q30";
        let state = |at: i64| {
            let mut state = StateAt::new(sku(), Micros(at));
            state.event(&change(1, ChangeKind::Created, START - SECOND));
            state.event(&change(2, ChangeKind::Deleted, END));
            state.event(&SaleEvent { sale_id: again.into(), ..change(1, ChangeKind::Created, END + SECOND) });
            state.decision(&unit(1, "ann", START, None));
            state.decision(&PurchaseDecision { sku: "OTHER".into(), ..unit(2, "bob", START, None) });
            state.build(None).unwrap()
        };
        let then = state(END - 1);
        assert_eq!((then.sale_id, then.sold, then.removed), (sale_id(), 1, false));
        assert!(state(END).removed);
        let now = state(END + SECOND);
        assert_eq!((now.sale_id.as_str(), now.sold), (again, 0));
    }

    #[test]
    fn of_many_buyers_the_first_and_the_last_are_listed() {
        let mut state = StateAt::new(sku(), Micros(END - 1));
        state.event(&SaleEvent { initial_stock: 5_000, ..change(1, ChangeKind::Created, START) });
        for n in 1..=1_500 {
            state.decision(&unit(n, &format!("u{n}"), START + n, None));
        }
        let snapshot = state.build(None).unwrap();
        assert_eq!((snapshot.buyers_total, snapshot.buyers.len(), snapshot.stock), (1_500, 1_000, 3_500));
        assert_eq!((snapshot.buyers[499].sequence, snapshot.buyers[500].sequence), (500, 1_001));
        let json = serde_json::to_value(&snapshot).unwrap();
        assert_eq!((&json["state"], &json["lastChange"]["kind"]), (&"ACTIVE".into(), &"CREATED".into()));
        assert_eq!((&json["buyers"][0]["userId"], &json["at"]), (&"u1".into(), &"2026-11-23T12:01:59.999Z".into()));
    }
}
