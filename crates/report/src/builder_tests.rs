use super::*;
use crate::sample::{SALE, SECOND, START, builder, change, log_of, refusal, sale_id, sku, unit};

impl Attempt {
    /// An attempt of which only this is known.
    pub(crate) fn sample(answer: Answer, decided_at: Micros) -> Self {
        Self { decided_at, received_us: None, logged_ms: None, shopper: 0, instance: 0, answer, at_the_edge: false }
    }
}

/// Greater than [`SALE`]: the same SKU, sold again.
const LATER: &str = "06C5HN3T8Q30";

fn later_sale() -> SaleId {
    SaleId::new(LATER).unwrap()
}

fn of_later(decision: PurchaseDecision) -> PurchaseDecision {
    PurchaseDecision { sale_id: LATER.into(), ..decision }
}

#[test]
fn repeated_records_count_once() {
    let (first, refused) = (unit(1, "ann", START, None), refusal(1, "bob", Outcome::SoldOut, None, START));
    let report = log_of(&[first.clone(), refused.clone(), first.clone(), refused.clone(), refused]);
    assert_eq!((report.totals.attempts, report.totals.accepted, report.totals.sold_out), (2, 1, 1));
    assert_eq!((report.sold, report.repeats), (1, 3));
    assert_eq!(report.retries.shoppers, 2);
}

#[test]
fn a_unit_told_of_two_shoppers_counts_once() {
    let report = log_of(&[unit(1, "ann", START, None), unit(1, "bob", START, None)]);
    assert_eq!((report.sold, report.repeats, report.units.buyers, report.retries.shoppers), (1, 1, 1, 1));
}

#[test]
fn a_unit_keeps_its_earliest_arrival_whatever_the_order_of_its_records() {
    let records = [
        (unit(1, "ann", START + 2_000, None), START / 1_000 + 9),
        (unit(1, "ann", START + 2_000, Some(START + 30 * SECOND)), START / 1_000 + 30_000),
        (unit(1, "ann", START + 2_000, Some(START)), START / 1_000 + 5),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut builder = builder();
        for index in order {
            builder.decision(&records[index].0, Some(records[index].1));
        }
        let latency = builder.build(None).unwrap().latency;
        assert_eq!(latency.received_to_decided.max_ms, Some(2.0), "{order:?}");
        assert_eq!(latency.received_to_logged.max_ms, Some(5.0), "{order:?}");
    }
}

#[test]
fn another_sale_of_the_sku_is_not_mixed_in() {
    let log = || {
        let mut builder = builder();
        let again = SaleEvent { sale_id: LATER.into(), ..change(1, ChangeKind::Created, START + 200 * SECOND) };
        builder.event(&again);
        builder.decision(&unit(1, "ann", START, None), None);
        builder.decision(&unit(2, "bob", START, None), None);
        builder.decision(&of_later(unit(1, "cy", START + 200 * SECOND, None)), None);
        builder.decision(&PurchaseDecision { sku: "OTHER".into(), ..unit(3, "dan", START, None) }, None);
        builder
    };
    assert_eq!(log().newest(), Some(&later_sale()));
    assert_eq!(log().created_at(&sale_id()), Some(Micros(START - 10 * SECOND)));
    let newest = log().build(None).unwrap();
    assert_eq!((newest.sale_id.as_str(), newest.sold, newest.totals.attempts), (LATER, 1, 1));
    let named = log().build(Some(&sale_id())).unwrap();
    assert_eq!((named.sale_id.as_str(), named.sold, named.totals.attempts), (SALE, 2, 2));
}

#[test]
fn a_sale_that_the_log_does_not_know_has_no_report() {
    assert!(Builder::new(sku()).build(None).is_none());
    assert!(builder().build(Some(&later_sale())).is_none());
    let mut only_decisions = builder();
    only_decisions.decision(&of_later(unit(1, "cy", START, None)), None);
    assert_eq!(only_decisions.newest(), Some(&sale_id()));
    assert!(only_decisions.build(Some(&later_sale())).is_none());
}

#[test]
fn what_is_newer_than_this_build_is_counted_apart() {
    let mut builder = builder();
    builder.event(&change(3, ChangeKind::Unknown, START));
    builder.event(&SaleEvent { sale_id: "?".into(), ..change(3, ChangeKind::Paused, START) });
    builder.decision(&refusal(1, "ann", Outcome::Unknown, None, START), None);
    builder.decision(&PurchaseDecision { sequence: None, ..unit(1, "ann", START, None) }, None);
    builder.unreadable();
    let report = builder.build(None).unwrap();
    assert_eq!((report.not_understood, report.totals.attempts, report.changes.len()), (5, 0, 2));
}
