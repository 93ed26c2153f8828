//! Topics and what is in them.

use flashsale_core::SaleId;
use flashsale_schemas::Topic;
use serde_json::{Value, json};

use super::{names, sold};
use crate::{App, config};

fn decisions(app: &App) -> String {
    app.ledger.topic(Topic::PurchaseDecisions).to_owned()
}

/// Two units and something else, each in the log.
async fn written() -> (App, SaleId) {
    let (app, sale) = (App::start().await, config("PHONE", 1).sale_id);
    app.decide(&sold(&sale, 1, "ann")).await;
    app.decide(&sold(&sale, 2, "zoë")).await;
    let headers = [("trace".to_owned(), b"a=b".to_vec())];
    app.ledger.producer().deliver(&decisions(&app), b"odd", Some(b"\x07garbage"), &headers).await.unwrap();
    (app, sale)
}

/// The keys of the messages that are answered, without the sale in front.
async fn keys(app: &App, query: &str) -> Vec<String> {
    let answer = app.ops(&format!("topics/{}/messages?{query}", decisions(app))).await;
    let messages = answer.data(200)["messages"].as_array().unwrap();
    let mut keys: Vec<String> = messages
        .iter()
        .map(|one| one["key"].as_str().unwrap().rsplit(':').next().unwrap_or_default().to_owned())
        .collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn topics_are_listed_with_what_is_not_as_their_papers_say() {
    let (app, _) = written().await;
    let list = app.ops("topics").await.data(200)["topics"].clone();
    let list = list.as_array().unwrap();
    let is_ours =
        |topic: &Value| topic["name"].as_str().is_some_and(|name| name.starts_with(app.ledger.group("").as_str()));
    assert!(list[..Topic::ALL.len()].iter().all(is_ours), "ours first");
    let shown = list.iter().find(|topic| topic["name"] == decisions(&app)).unwrap();
    let fields = ["drift", "internal", "name", "partitions", "records", "replication", "settings", "summary"];
    assert_eq!(names(shown), fields);
    assert_eq!((&shown["records"], &shown["drift"], &shown["replication"]), (&json!(3), &json!([]), &json!(1)));
    assert_eq!(shown["partitions"].as_array().unwrap().len(), 6);
    assert_eq!(names(&shown["partitions"][0]), ["end", "first", "partition"]);
    assert_eq!(shown["settings"]["retention.ms"], "2592000000");
    assert!(shown["summary"].as_str().is_some_and(|summary| summary.contains("attempt to buy")), "{shown}");
}

#[tokio::test]
async fn messages_are_decoded_and_filtered() {
    let (app, sale) = written().await;
    let answer = app.ops(&format!("topics/{}/messages?user=zo%C3%AB", decisions(&app))).await;
    assert_eq!(names(answer.data(200)), ["messages", "next", "scanned", "topic"]);
    assert_eq!((&answer.data(200)["scanned"], &answer.data(200)["next"]), (&json!(3), &Value::Null));
    let message = &answer.data(200)["messages"][0];
    let fields = ["headers", "hex", "key", "offset", "partition", "problem", "schemaId", "timestamp", "value"];
    assert_eq!(names(message), fields);
    assert_eq!((&message["key"], &message["schemaId"]), (&json!(format!("{sale}:zoë")), &json!(1)));
    assert_eq!((&message["value"]["user_id"], &message["value"]["sequence"]), (&json!("zoë"), &json!(2)));
    assert_eq!((&message["hex"], &message["problem"]), (&Value::Null, &Value::Null));

    for (query, expected) in [
        ("", vec!["ann", "odd", "zoë"]),
        ("offset=0", vec!["ann", "odd", "zoë"]),
        ("time=2020-01-01T00:00:00Z", vec!["ann", "odd", "zoë"]),
        ("time=2099-01-01T00:00:00Z", vec![]),
        ("outcome=ACCEPTED&sku=PHONE", vec!["ann", "zoë"]),
        ("outcome=SOLD_OUT", vec![]),
        ("user=ann&sku=", vec!["ann"]),
        ("key=od", vec!["odd"]),
        ("header=trace%3Da%3Db", vec!["odd"]),
        ("offset=0&header=trace%3Da", vec![]),
    ] {
        assert_eq!(keys(&app, query).await, expected, "{query}");
    }
    assert_eq!(keys(&app, "limit=1").await.len(), 1);
    let odd = app.ops(&format!("topics/{}/messages?key=odd", decisions(&app))).await;
    let odd = &odd.data(200)["messages"][0];
    assert_eq!(
        (&odd["value"], &odd["hex"], &odd["schemaId"]),
        (&Value::Null, &json!("0767617262616765"), &Value::Null)
    );
    assert!(odd["problem"].as_str().is_some_and(|problem| problem.contains("0x07")), "{odd}");
}

#[tokio::test]
async fn looking_goes_on_from_where_the_answer_says() {
    let (app, sale) = (App::start().await, config("PHONE", 1).sale_id);
    // One shopper, one partition.
    for sequence in 1..=3 {
        app.decide(&sold(&sale, sequence, "ann")).await;
    }
    let path = format!("topics/{}/messages", decisions(&app));
    let partition = app.ops(&path).await.data(200)["messages"][0]["partition"].clone();
    let page = app.ops(&format!("{path}?partition={partition}&offset=0&limit=2")).await.data(200).clone();
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["next"]), (2, &json!({ partition.to_string(): 2 })));
    let rest = app.ops(&format!("{path}?partition={partition}&offset=2&limit=2")).await.data(200).clone();
    assert_eq!((&rest["messages"][0]["offset"], &rest["next"]), (&json!(2), &Value::Null));
}

#[tokio::test]
async fn pr_9_everything_wrong_with_a_look_is_named_at_once() {
    let app = App::start().await;
    let path = format!("topics/{}/messages", decisions(&app));
    let (whole, time) =
        ("must be a whole number from 0", "must be ISO 8601 with an offset, such as 2026-11-23T12:00:00.000Z");
    let all = app.ops(&format!("{path}?partition=-1&offset=x&time=now&header=trace&limit=0")).await;
    let limit = "must be a whole number from 1 to 500";
    let expected =
        json!({"partition": whole, "offset": whole, "time": time, "header": "must be name=value", "limit": limit});
    assert_eq!(all.fields(), &expected);
    for (query, fields) in [
        ("partition=2147483648", json!({ "partition": "is too large" })),
        ("offset=1&time=2026-11-23T12:00:00Z", json!({ "time": "cannot stand beside offset" })),
        ("offset=9223372036854775808", json!({ "offset": whole })),
    ] {
        assert_eq!(app.ops(&format!("{path}?{query}")).await.fields(), &fields, "{query}");
    }
    for unknown in ["topics/none/messages".to_owned(), format!("{path}?partition=6")] {
        let answer = app.ops(&unknown).await;
        assert_eq!((answer.status, answer.code()), (404, "NOT_FOUND"), "{unknown}");
    }
}

#[tokio::test]
async fn pr_9_a_path_that_is_no_text_is_answered_in_the_envelope() {
    let app = App::start().await;
    for path in ["topics/%ff/messages", "dlq/%ff"] {
        let answer = app.ops(path).await;
        assert!([400, 404].contains(&answer.status) && !answer.code().is_empty(), "{path}: {answer:?}");
    }
    for verb in ["pause", "resume", "reset"] {
        let answer = app.order(&format!("consumers/%ff/{verb}"), &json!({ "to": "latest" })).await;
        assert!([400, 404].contains(&answer.status) && !answer.code().is_empty(), "{verb}: {answer:?}");
    }
}
