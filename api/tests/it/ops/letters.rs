//! Dead letters: listed, read, sent again, given up.

use std::sync::Arc;

use flashsale_core::Micros;
use flashsale_schemas::Topic;
use flashsale_sql::{Answer, Decided};
use flashsale_streaming::{Outcome, Partition, Position, Record, Rejection};
use serde_json::{Value, json};

use super::names;
use crate::{App, Setup, config};

/// Buries a record of the decisions as the sink does.
pub(super) async fn bury(app: &App, key: &str, payload: &[u8]) {
    let topic = app.ledger.topic(Topic::PurchaseDecisions);
    let record = Record {
        position: Position { partition: Partition { topic: topic.into(), number: 2 }, offset: 17 },
        key: Some(key.to_owned().into()),
        payload: Some(payload.to_vec().into()),
        headers: Vec::new(),
        timestamp_ms: 0,
    };
    let rejection = Rejection::new("bad_magic", "the first byte is 7");
    app.ledger.dead_letters("sink-postgres").bury(&record, &rejection).await.unwrap();
}

/// Two letters, and the id of one.
async fn buried() -> (App, String) {
    let app = App::start().await;
    bury(&app, "ann", b"\x07garbage").await;
    bury(&app, "bob", b"\x07garbage").await;
    let list = app.ops("dlq").await.data(200).clone();
    let letter = list["letters"].as_array().unwrap().iter().find(|one| one["key"] == "ann").unwrap();
    let id = letter["id"].as_str().unwrap().to_owned();
    (app, id)
}

#[tokio::test]
async fn letters_are_listed_by_cause_and_shown_one_by_one() {
    let (app, id) = buried().await;
    let list = app.ops("dlq").await.data(200).clone();
    assert_eq!(names(&list), ["discarded", "groups", "letters", "more", "open", "redriven"]);
    assert_eq!((&list["open"], &list["redriven"], &list["discarded"]), (&json!(2), &json!(0), &json!(0)));
    let cause = &list["groups"][0];
    assert_eq!(names(cause), ["class", "consumer", "count", "firstSeen", "lastSeen", "message"]);
    assert_eq!(
        (&cause["class"], &cause["consumer"], &cause["count"]),
        (&json!("bad_magic"), &json!("sink-postgres"), &json!(2))
    );
    let one = app.ops("dlq?limit=1").await.data(200).clone();
    assert_eq!((one["letters"].as_array().unwrap().len(), &one["more"], &one["open"]), (1, &json!(true), &json!(2)));

    let shown = app.ops(&format!("dlq/{id}")).await.data(200).clone();
    let source = json!({"topic": app.ledger.topic(Topic::PurchaseDecisions), "partition": 2, "offset": 17});
    assert_eq!((&shown["id"], &shown["state"], &shown["source"]), (&json!(id), &json!("OPEN"), &source));
    assert_eq!((&shown["attempts"], &shown["key"], &shown["act"]), (&json!(1), &json!("ann"), &Value::Null));
    assert_eq!((&shown["value"], &shown["hex"]), (&Value::Null, &json!("0767617262616765")));
    assert_eq!((&shown["schemaId"], &shown["headers"]["dlq.class"]), (&Value::Null, &json!("bad_magic")));
    assert!(shown["problem"].is_string() && shown["firstSeen"] == shown["lastSeen"], "{shown}");
    let listed = list["letters"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    assert!(listed.as_object().unwrap().iter().all(|(name, value)| shown[name] == *value), "{listed} {shown}");
}

#[tokio::test]
async fn pr_9_which_letters_are_meant_is_said_in_one_way() {
    let (app, id) = buried().await;
    for (query, count) in [
        ("state=open", 2),
        ("state=all", 2),
        ("state=redriven", 0),
        ("state=discarded", 0),
        ("class=none", 0),
        ("class=", 2),
    ] {
        let found = app.ops(&format!("dlq?{query}")).await.data(200).clone();
        assert_eq!((found["letters"].as_array().unwrap().len(), &found["open"]), (count, &json!(2)), "{query}");
    }
    let state = json!({ "state": "must be open, redriven, discarded or all" });
    assert_eq!(app.ops("dlq?state=OPEN").await.fields(), &state);
    for unknown in ["0-4711", "99-0", "nonsense"] {
        assert_eq!(app.ops(&format!("dlq/{unknown}")).await.code(), "NOT_FOUND", "{unknown}");
    }
    let one_of = json!({ "ids": "name exactly one of ids (not empty), class and all" });
    for which in [
        json!({}),
        json!({ "ids": [] }),
        json!({ "all": false }),
        json!({ "ids": [id], "all": true }),
        json!({ "class": "bad_magic", "all": true }),
        json!({ "ids": [id], "class": "bad_magic" }),
    ] {
        assert_eq!(app.order("dlq/redrive", &which).await.fields(), &one_of, "{which}");
        let mut discard = which.clone();
        discard["reason"] = json!("why not");
        assert_eq!(app.order("dlq/discard", &discard).await.fields(), &one_of, "{which}");
    }
    for reason in ["", "  ", &"x".repeat(501)] {
        let answer = app.order("dlq/discard", &json!({ "all": true, "reason": reason, "dryRun": false })).await;
        assert_eq!(answer.fields(), &json!({ "reason": "must have 1 to 500 characters" }));
    }
    assert!(
        app.order("dlq/discard", &json!({ "all": true })).await.fields()["body"].is_string(),
        "a reason is missing"
    );
    assert!(app.order("dlq/redrive", &json!({ "ids": id })).await.fields()["body"].is_string(), "no list");
    assert_eq!(app.ops("dlq").await.data(200)["open"], 2, "nothing was done");
}

#[tokio::test]
async fn f_25_letters_are_sent_again_once_after_a_look() {
    let (app, id) = buried().await;
    let plan = app.order("dlq/redrive", &json!({ "class": "bad_magic" })).await.data(200).clone();
    let fields = ["dryRun", "letters", "more", "notOpen", "sent", "stillFailing", "wouldApply", "wouldBeDuplicate"];
    assert_eq!(names(&plan), fields);
    assert_eq!((&plan["dryRun"], &plan["stillFailing"], &plan["sent"]), (&json!(true), &json!(2), &json!(0)));
    let planned = plan["letters"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    let detail = "stand_in: no consumer runs here";
    assert_eq!(planned, &json!({"id": id, "verdict": "STILL_FAILING", "detail": detail, "sent": false}));

    let kept = app.order("dlq/redrive", &json!({ "all": true, "dryRun": false })).await;
    assert_eq!((&kept.data(200)["sent"], &kept.data(200)["dryRun"]), (&json!(0), &json!(false)));
    let failing = json!({ "ids": [id, "nonsense"], "dryRun": false, "includeFailing": true });
    let sent = app.order("dlq/redrive", &failing).await.data(200).clone();
    assert_eq!((&sent["sent"], &sent["stillFailing"], &sent["notOpen"]), (&json!(1), &json!(1), &json!(1)));
    let again = app.order("dlq/redrive", &failing).await.data(200).clone();
    assert_eq!((&again["sent"], &again["notOpen"]), (&json!(0), &json!(2)));
    let redriven = app.ops("dlq?state=redriven").await.data(200).clone();
    assert_eq!((&redriven["open"], &redriven["redriven"]), (&json!(1), &json!(1)));
    let act = &redriven["letters"][0]["act"];
    assert_eq!(names(act), ["action", "at", "by", "reason"]);
    assert_eq!((&act["action"], &act["by"], &act["reason"]), (&json!("REDRIVE"), &json!("admin"), &Value::Null));
}

#[tokio::test]
async fn letters_are_given_up_after_a_look_and_for_a_reason() {
    let (app, id) = buried().await;
    let plan = app.order("dlq/discard", &json!({ "ids": [id], "reason": " a load test " })).await.data(200).clone();
    assert_eq!((&plan["dryRun"], &plan["discarded"]), (&json!(true), &json!(0)));
    assert_eq!((&plan["letters"][0]["id"], &plan["letters"][0]["verdict"]), (&json!(id), &json!("WOULD_DISCARD")));
    let body = json!({ "ids": [id], "reason": " a load test ", "dryRun": false });
    assert_eq!(app.order("dlq/discard", &body).await.data(200)["discarded"], 1);
    let shown = app.ops(&format!("dlq/{id}")).await.data(200).clone();
    assert_eq!((&shown["state"], &shown["act"]["reason"]), (&json!("DISCARDED"), &json!("a load test")));
    assert_eq!(app.order("dlq/discard", &body).await.data(200)["letters"][0]["verdict"], "NOT_OPEN");
    let acts = app.ops("acts").await.data(200)["acts"].clone();
    assert_eq!((acts.as_array().unwrap().len(), &acts[0]["target"]), (1, &json!(id)));
    assert_eq!(acts[0]["reason"], "a load test");
}

#[tokio::test]
async fn f_18_without_postgres_nobody_can_say_what_a_letter_would_do() {
    let nobody = "postgres://nobody@127.0.0.1:1/none".to_owned();
    let mut app = Setup { database: nobody, ..Setup::new().await }.start().await;
    let refusal = Decided::Refused {
        sale_id: config("PHONE", 1).sale_id,
        answer: Answer::SoldOut,
        decided_at: Micros(1_795_435_200_000_000),
    };
    app.tools.trial = Arc::new(move |_| Outcome::Emit(refusal.clone()));
    let app = app.rebuilt(true);
    bury(&app, "ann", b"anything").await;
    app.order("dlq/redrive", &json!({ "all": true, "dryRun": false })).await.assert_unavailable();
    assert_eq!(app.ops("dlq").await.data(200)["open"], 1);
}
