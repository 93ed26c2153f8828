use flashsale_schemas::events::{Outcome, SaleEvent};
use serde_json::{Value, json};

use super::*;
use crate::{
    Builder,
    sample::{END, SALE, SECOND, START, STOCK, builder, change, log_of, refusal, sku, unit},
};

/// The sale with all its units sold, one each 1.5 seconds from the start.
fn sold_out() -> Report {
    let units: Vec<_> = (1..=STOCK).map(|n| unit(n, &format!("u{n}"), START + (n - 1) * 1_500_000, None)).collect();
    log_of(&units)
}

#[test]
fn an_empty_sale() {
    let report = log_of(&[]);
    assert_eq!(
        (report.state, report.end_reason, report.paused, report.removed),
        (SaleState::Active, None, false, false)
    );
    assert_eq!((report.sold, report.first_at, report.last_at, report.time_to_sell_out_ms), (0, None, None, None));
    assert_eq!(report.totals, Totals::default());
    assert!(report.per_second.is_empty() && report.units.curve.is_empty());
    assert_eq!((report.units.left_over, report.retries.shoppers), (10, 0));
}

#[test]
fn sold_out_is_from_the_start_to_the_last_unit() {
    let report = sold_out();
    assert_eq!(report.time_to_sell_out_ms, Some(13_500));
    // The log may lack the change yet; the rule is the same.
    assert_eq!((report.state, report.end_reason), (SaleState::Ended, Some(EndReason::SoldOut)));
}

#[test]
fn a_sale_that_is_set_up_after_its_start_begins_then() {
    let mut builder = Builder::new(sku());
    builder.event(&change(1, ChangeKind::Created, START + 10 * SECOND));
    for n in 1..=STOCK {
        builder.decision(&unit(n, &format!("u{n}"), START + 12 * SECOND, None), None);
    }
    let report = builder.build(None).unwrap();
    assert_eq!(report.time_to_sell_out_ms, Some(2_000));
    assert_eq!(report.start_time, Micros(START));
}

#[test]
fn without_the_last_unit_the_change_tells_when_it_sold_out() {
    let mut builder = builder();
    let ended = SaleEvent {
        reason: Some("SOLD_OUT".into()),
        as_of_sequence: STOCK,
        ..change(3, ChangeKind::Ended, START + 7 * SECOND)
    };
    builder.event(&ended);
    let report = builder.build(None).unwrap();
    assert_eq!((report.time_to_sell_out_ms, report.units.missing), (Some(7_000), 10));
}

#[test]
fn an_expired_sale_did_not_sell_out() {
    let mut builder = builder();
    builder.decision(&unit(1, "ann", START, None), None);
    builder.event(&change(4, ChangeKind::Ended, END));
    builder.event(&change(3, ChangeKind::Paused, START + SECOND));
    let report = builder.build(None).unwrap();
    assert_eq!((report.state, report.end_reason), (SaleState::Ended, Some(EndReason::TimeExpired)));
    assert_eq!(report.time_to_sell_out_ms, None);
    let kinds: Vec<_> = report.changes.iter().map(|change| (change.number, change.kind)).collect();
    let expected = [ChangeKind::Created, ChangeKind::Started, ChangeKind::Paused, ChangeKind::Ended].into_iter();
    assert_eq!(kinds, (1..).zip(expected).collect::<Vec<_>>());
}

#[test]
fn a_removed_sale_still_has_its_report() {
    let mut builder = builder();
    builder.event(&change(3, ChangeKind::Deleted, END));
    assert!(builder.build(None).unwrap().removed);
}

/// The names of `GET /api/v1/ops/sales/{sku}/report`.
#[test]
fn json_has_the_names_of_the_api() {
    let report = log_of(&[
        unit(1, "ann", START + 1_000, None),
        refusal(1, "bob", Outcome::SaleNotActive, Some("PAUSED"), START + 2 * SECOND),
    ]);
    let json = serde_json::to_value(&report).unwrap();
    let expected = json!({
        "sku": "PHONE", "saleId": SALE, "productName": "Phone", "state": "ACTIVE", "endReason": null,
        "initialStock": 10, "sold": 1,
        "startTime": "2026-11-23T12:00:00.000Z", "endTime": "2026-11-23T12:02:00.000Z",
        "firstAt": "2026-11-23T12:00:00.001Z", "lastAt": "2026-11-23T12:00:02.000Z", "timeToSellOutMs": null,
        "totals": {
            "attempts": 2, "accepted": 1, "alreadyPurchased": 0, "soldOut": 0, "notActive": {"PAUSED": 1}, "atTheEdge": 0,
        },
        "perSecond": [
            {"at": "2026-11-23T12:00:00.000Z", "attempts": 1, "accepted": 1, "alreadyPurchased": 0, "soldOut": 0, "notActive": 0},
            {"at": "2026-11-23T12:00:02.000Z", "attempts": 1, "accepted": 0, "alreadyPurchased": 0, "soldOut": 0, "notActive": 1},
        ],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&json[name], value, "{name}");
    }
    assert_eq!(json["latency"]["receivedToDecided"]["p50Ms"], Value::Null);
    assert_eq!(json["units"]["lastSoldAt"], "2026-11-23T12:00:00.001Z");
}
