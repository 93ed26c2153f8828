//! What became of sales: comparisons of the stores, and reports.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use flashsale_core::{
    EndReason, Micros, NotActive, Receipt, RequestId, SaleId, SaleState, SaleStatus, Sku, UserId, invariants::Sold,
};
use flashsale_sql::{Answer, Applied, Apply, Decided, Entry, Read, Reconciliation};
use flashsale_testkit::wait_until;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::names;
use crate::{App, PATIENCE, sku};

const FINISHED: Micros = Micros(1_795_435_200_000_000);

/// A comparison that was finished so many seconds into a day in November.
pub(super) fn comparison(run: &str, sku: &str, second: i64) -> Reconciliation {
    Reconciliation {
        run_id: run.into(),
        sale_id: "06C5HN3T8Q2Z".into(),
        sku: sku.into(),
        finished_at: Micros(FINISHED.0 + second * 1_000_000),
        mode: "REPAIR".into(),
        trigger: "DEMAND".into(),
        compared: 5,
        found: 1,
        repaired: 1,
        discrepancies: discrepancies().to_string(),
    }
}

fn discrepancies() -> Value {
    json!([{"class": "MISSING_IN_POSTGRES", "subject": "06C5HN3T8Q2Z-3", "detail": "the log has it", "repaired": true}])
}

/// The same as it is answered.
pub(super) fn shown(run: &str, sku: &str, second: i64) -> Value {
    json!({
        "runId": run, "saleId": "06C5HN3T8Q2Z", "sku": sku,
        "finishedAt": Micros(FINISHED.0 + second * 1_000_000).to_string(), "mode": "REPAIR", "trigger": "DEMAND",
        "compared": 5, "found": 1, "repaired": 1, "discrepancies": discrepancies(),
    })
}

#[tokio::test]
async fn comparisons_are_listed_the_newest_first() {
    let app = App::start().await;
    assert_eq!(app.ops("reconciliations").await.data(200), &json!({ "reconciliations": [] }));
    for (run, sku, second) in [("run-1", "PHONE", 1), ("run-3", "PHONE", 3), ("run-2", "LAMP", 2)] {
        app.store.insert_reconciliation(&comparison(run, sku, second)).await.unwrap();
    }
    let (one, two, three) = (shown("run-1", "PHONE", 1), shown("run-2", "LAMP", 2), shown("run-3", "PHONE", 3));
    for (query, expected) in [
        ("", json!([three, two, one])),
        ("?limit=1", json!([three])),
        ("?sku=PHONE", json!([three, one])),
        ("?sku=LAMP&limit=500", json!([two])),
        ("?sku=NOBODY", json!([])),
    ] {
        let list = app.ops(&format!("reconciliations{query}")).await;
        assert_eq!(list.data(200)["reconciliations"], expected, "{query}");
    }
    let sku = app.ops("reconciliations?sku=a%20b").await;
    assert_eq!(sku.fields(), &json!({ "sku": "may only contain A-Z, a-z, 0-9 and -" }));
}

#[tokio::test]
async fn a_comparison_on_demand_compares_what_is_asked_and_repairs_only_when_told() {
    let mut app = App::start().await;
    type Asked = Vec<(Vec<String>, bool)>;
    let asked: Arc<Mutex<Asked>> = Arc::default();
    let (store, seen) = (app.store.clone(), asked.clone());
    app.tools.reconcile = Arc::new(move |skus: BTreeSet<Sku>, repair| {
        seen.lock().unwrap().push((skus.iter().map(Sku::to_string).collect(), repair));
        let store = store.clone();
        Box::pin(async move {
            let run = format!("run-{}", skus.len());
            for sku in &skus {
                let found = Reconciliation { sale_id: format!("sale-{sku}"), ..comparison(&run, sku.as_str(), 1) };
                store.insert_reconciliation(&found).await?;
            }
            Ok((!skus.is_empty()).then_some(run))
        })
    });
    let app = app.rebuilt(true);
    assert_eq!(app.order("reconciliations", &json!({})).await.data(200), &json!({ "reconciliations": [] }));
    let unknown = app.order("reconciliations", &json!({ "sku": "PHONE" })).await;
    assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"));
    for name in ["PHONE", "LAMP"] {
        app.create(&app.product(name, -60, 60).await).await.data(201);
    }

    let one = app.order("reconciliations", &json!({ "sku": "PHONE" })).await.data(200)["reconciliations"].clone();
    assert_eq!(
        (one.as_array().unwrap().len(), &one[0]["sku"], &one[0]["runId"]),
        (1, &json!("PHONE"), &json!("run-1"))
    );
    let all = app.order("reconciliations", &json!({ "mode": "REPAIR" })).await.data(200)["reconciliations"].clone();
    assert_eq!(all.as_array().unwrap().len(), 2, "of this run alone: {all}");
    let expected =
        [(vec![], false), (vec!["PHONE".to_owned()], false), (vec!["LAMP".to_owned(), "PHONE".to_owned()], true)];
    assert_eq!(*asked.lock().unwrap(), expected);
    let act = app.ops("acts?limit=1").await.data(200)["acts"][0].clone();
    assert_eq!((&act["action"], &act["target"]), (&json!("RECONCILE"), &json!("all sales")));
    assert_eq!(act["detail"], json!({ "found": 2, "repaired": 2, "done": true }));

    assert!(app.order("reconciliations", &json!({ "mode": "MAYBE" })).await.fields()["body"].is_string());
    let bad = app.order("reconciliations", &json!({ "sku": "a b" })).await;
    assert_eq!(bad.fields(), &json!({ "sku": "may only contain A-Z, a-z, 0-9 and -" }));
}

#[tokio::test]
async fn one_comparison_on_demand_runs_at_a_time_and_a_failed_one_says_nothing_of_the_inside() {
    let mut app = App::start().await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, waits) = (begun.clone(), go_on.clone());
    app.tools.reconcile = Arc::new(move |_, _| {
        let (begins, waits) = (begins.clone(), waits.clone());
        Box::pin(async move {
            begins.notify_one();
            waits.notified().await;
            Err("redis is away".into())
        })
    });
    let app = app.rebuilt(true);
    let first = tokio::spawn({
        let app = app.clone();
        async move { app.order("reconciliations", &json!({})).await }
    });
    begun.notified().await;
    let second = app.order("reconciliations", &json!({})).await;
    assert_eq!((second.status, second.code()), (409, "REFUSED"));
    go_on.notify_one();
    first.await.unwrap().assert_unavailable();
}

/// What Postgres is to hold of one decision.
fn decided(sale: &SaleId, answer: Answer, at: Micros, sequence: u64) -> Decided {
    let (sale_id, decided_at) = (sale.clone(), at);
    if answer != Answer::Accepted {
        return Decided::Refused { sale_id, answer, decided_at };
    }
    let unit = Sold {
        user: UserId::new(&format!("user-{sequence}")).unwrap(),
        request_id: RequestId::new("r").unwrap(),
        receipt: Receipt { sale_id, sequence, decided_at },
    };
    Decided::Sold { sku: sku("PHONE"), unit }
}

/// Applies decisions as the sink does: answer, seconds after `begin`, and the unit.
async fn apply(app: &App, sale: &SaleId, begin: Micros, answers: &[(Answer, i64, u64)]) {
    let decided: Vec<Decided> = answers
        .iter()
        .map(|(answer, second, sequence)| decided(sale, *answer, Micros(begin.0 + second * 1_000_000), *sequence))
        .collect();
    let consumed = decided.len() as u64;
    let reads = vec![Read { topic: "t", partition: 0, next: 100, consumed, rejected: 0, skipped: 0 }];
    let entries = (0..).zip(&decided).map(|(offset, decided)| Entry { read: 0, offset, decided, origin: None });
    let batch = Apply { reads, entries: entries.collect() };
    assert_eq!(app.store.apply("test", &batch).await.unwrap(), Applied::Written(vec![(consumed, 0)]));
}

#[tokio::test]
async fn a_report_tells_what_a_sale_answered_second_by_second() {
    let app = App::start().await;
    let product = app.product("PHONE", -60, 60).await;
    app.create(&product).await.data(201);
    let before = app.ops("sales/PHONE/report").await.data(200).clone();
    assert_eq!((&before["sold"], &before["firstAt"], &before["lastAt"]), (&json!(0), &Value::Null, &Value::Null));
    assert_eq!((&before["perSecond"], &before["timeToSellOutMs"]), (&json!([]), &Value::Null));

    let stored = app.store.product(&sku("PHONE")).await.unwrap().unwrap();
    let sale = &stored.config.sale_id;
    // Set up after its start, so it could be bought in from then on.
    let begin = stored.created_at;
    let (paused, early) = (Answer::NotActive(NotActive::Paused), Answer::NotActive(NotActive::NotStarted));
    let answers = [
        (early, 0, 0),
        (Answer::Accepted, 2, 1),
        (Answer::Accepted, 2, 2),
        (Answer::AlreadyPurchased, 2, 0),
        (paused, 2, 0),
        (paused, 4, 0),
        (Answer::Accepted, 4, 3),
        (Answer::SoldOut, 5, 0),
    ];
    apply(&app, sale, begin, &answers).await;
    let ended = SaleStatus {
        config: stored.config.clone(),
        state: SaleState::Ended,
        end_reason: Some(EndReason::SoldOut),
        paused: false,
        as_of_sequence: 5,
        as_of_event: 9,
        as_of: begin,
    };
    app.tell(&ended).await;

    let report = app.ops("sales/PHONE/report").await.data(200).clone();
    let second = |number: i64| Micros((begin.0.div_euclid(1_000_000) + number) * 1_000_000).to_string();
    let row = |number: i64, counts: [u64; 5]| {
        let [attempts, accepted, already, sold_out, not_active] = counts;
        json!({"at": second(number), "attempts": attempts, "accepted": accepted, "alreadyPurchased": already,
            "soldOut": sold_out, "notActive": not_active})
    };
    let expected = json!({
        "sku": "PHONE", "saleId": sale.as_str(), "productName": product["productName"], "state": "ENDED",
        "endReason": "SOLD_OUT", "initialStock": 5, "sold": 3,
        "startTime": product["startTime"], "endTime": product["endTime"], "firstAt": second(0), "lastAt": second(5),
        "timeToSellOutMs": 4_000,
        "totals": {"attempts": 8, "accepted": 3, "alreadyPurchased": 1, "soldOut": 1,
            "notActive": {"NOT_STARTED": 1, "PAUSED": 2}},
        "perSecond": [row(0, [1, 0, 0, 0, 1]), row(2, [4, 2, 1, 0, 1]), row(4, [2, 1, 0, 0, 1]), row(5, [1, 0, 0, 1, 0])],
    });
    assert_eq!(report, expected);
}

#[tokio::test]
async fn a_sale_that_did_not_sell_out_has_no_time_to_that_and_one_that_is_none_no_report() {
    let app = App::start().await;
    app.create(&app.product("PHONE", -60, 60).await).await.data(201);
    let stored = app.store.product(&sku("PHONE")).await.unwrap().unwrap();
    apply(&app, &stored.config.sale_id, stored.created_at, &[(Answer::Accepted, 1, 1)]).await;
    let report = wait_until(PATIENCE, "the state", async || {
        let report = app.ops("sales/PHONE/report").await.data(200).clone();
        if report["state"] == "ACTIVE" { Ok(report) } else { Err(report) }
    })
    .await;
    assert_eq!(
        (&report["sold"], &report["timeToSellOutMs"], &report["endReason"]),
        (&json!(1), &Value::Null, &Value::Null)
    );
    assert_eq!(names(&report["totals"]), ["accepted", "alreadyPurchased", "attempts", "notActive", "soldOut"]);
    let unknown = app.ops("sales/NOBODY/report").await;
    assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"));
    assert_eq!(app.ops("sales/a%20b/report").await.fields(), &json!({ "sku": "may only contain A-Z, a-z, 0-9 and -" }));
}
