//! Consumers: seen, held, let go on, put elsewhere.

use std::time::SystemTime;

use axum::http::Method;
use flashsale_core::Micros;
use flashsale_ledger::SINK_POSTGRES;
use flashsale_schemas::Topic;
use flashsale_streaming::{ConsumerConfig, Hold, KafkaSource, Observer, Partition, Source};
use flashsale_testkit::{unique, wait_until};
use serde_json::{Value, json};

use super::{names, sold};
use crate::{App, PATIENCE, Setup, config};

/// The group of the Postgres sink.
fn sink(app: &App) -> String {
    app.ledger.group(SINK_POSTGRES)
}

/// What the list says of a group, once that is what is waited for.
async fn seen(app: &App, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_until(PATIENCE, "the group in the list", async || {
        let list = app.ops("consumers").await.data(200).clone();
        let is_it = |one: &&Value| one["name"] == name && holds(one);
        let found = list["consumers"].as_array().unwrap().iter().find(is_it).cloned();
        found.ok_or(list)
    })
    .await
}

/// Has a group without members say where it goes on in partition 0 of the decisions.
async fn commit(app: &App, group: &str, next: i64) {
    let partition = Partition { topic: app.ledger.topic(Topic::PurchaseDecisions).into(), number: 0 };
    wait_until(PATIENCE, "the brokers to take an offset", async || {
        tokio::task::block_in_place(|| {
            let mut observer = Observer::new(app.ledger.streaming())?;
            observer.commit(group, &[(partition.clone(), next)].into())
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_group_is_listed_ours_first() {
    let app = App::start().await;
    let group = unique("readers");
    commit(&app, &group, 0).await;
    app.decide(&sold(&config("PHONE", 1).sale_id, 1, "ann")).await;
    let other = seen(&app, &group, |one| one["partitions"][0]["end"].is_number()).await;
    let fields = [
        "lagRecords",
        "lagSeconds",
        "members",
        "name",
        "order",
        "ours",
        "partitions",
        "paused",
        "perSecond",
        "state",
        "verdict",
        "why",
    ];
    assert_eq!(names(&other), fields);
    assert_eq!((&other["ours"], &other["state"], &other["members"]), (&json!(false), &json!("EMPTY"), &json!([])));
    assert_eq!((&other["paused"], &other["order"]), (&json!("NONE"), &Value::Null));
    let partition = &other["partitions"][0];
    let fields = [
        "committed",
        "end",
        "lagRecords",
        "lagSeconds",
        "owner",
        "partition",
        "paused",
        "perSecond",
        "position",
        "stored",
        "topic",
        "verdict",
        "why",
    ];
    assert_eq!(names(partition), fields);
    assert_eq!((&partition["committed"], &partition["position"]), (&json!(0), &json!(0)));
    assert_eq!((&partition["stored"], &partition["owner"]), (&Value::Null, &Value::Null));

    let list = app.ops("consumers").await.data(200).clone();
    assert_eq!(names(&list), ["at", "consumers", "problem", "windowSeconds"]);
    assert_eq!((&list["windowSeconds"], &list["problem"]), (&json!(30), &Value::Null));
    let ours: Vec<bool> =
        list["consumers"].as_array().unwrap().iter().map(|one| one["ours"].as_bool().unwrap()).collect();
    assert_eq!(ours[..3], [true, true, false]);
}

#[tokio::test]
async fn a_consumer_is_held_and_let_go_on() {
    let app = App::start().await;
    let (sink, path) = (sink(&app), format!("consumers/{}", sink(&app)));
    let some = app.order(&format!("{path}/pause"), &json!({ "partitions": [3, 0] })).await;
    let mut order = some.data(200)["order"].clone();
    assert!(order["issuedAt"].take().as_str().is_some_and(|at| at.ends_with('Z')), "{some:?}");
    let expected =
        json!({"action": "PAUSE", "partitions": [0, 3], "untilOffset": null, "issuedBy": "admin", "issuedAt": null});
    assert_eq!((&some.data(200)["consumer"], &order), (&json!(sink), &expected));
    seen(&app, &sink, |one| one["paused"] == "SOME" && one["partitions"][3]["paused"] == true).await;

    // Without a body every partition is meant.
    let all = app.admin(Method::POST, &format!("/api/v1/ops/{path}/pause"), None).await;
    assert_eq!(all.data(200)["order"]["partitions"], json!([]));
    let held = seen(&app, &sink, |one| one["paused"] == "ALL").await;
    assert_eq!(held["order"], all.data(200)["order"]);
    let less = app.order(&format!("{path}/resume"), &json!({ "partitions": [1] })).await;
    assert_eq!(less.data(200)["order"]["partitions"], json!([0, 2, 3, 4, 5]));
    let none = app.order(&format!("{path}/resume"), &json!({})).await;
    assert_eq!(none.data(200)["order"]["action"], "RESUME");
    seen(&app, &sink, |one| one["paused"] == "NONE" && one["order"]["action"] == "RESUME").await;

    for verb in ["pause", "resume"] {
        let unknown = app.order(&format!("consumers/nobody/{verb}"), &json!({})).await;
        assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"));
        let refused = app.order(&format!("{path}/{verb}"), &json!({ "partitions": [0, 6] })).await;
        assert_eq!((refused.status, refused.code()), (409, "REFUSED"));
        let odd = app.order(&format!("{path}/{verb}"), &json!({ "partitions": ["all"] })).await;
        assert!(odd.fields()["body"].is_string(), "{odd:?}");
    }
    assert_eq!(app.ops("acts").await.data(200)["acts"].as_array().unwrap().len(), 4, "what was refused is no act");
}

#[tokio::test]
async fn pr_9_a_reset_names_what_it_lacks() {
    let app = App::start().await;
    let path = format!("consumers/{}/reset", sink(&app));
    let time = "must be ISO 8601 with an offset, such as 2026-11-23T12:00:00.000Z";
    for (body, fields) in [
        (json!({ "to": "offset" }), json!({ "offset": "is missing" })),
        (json!({ "to": "time" }), json!({ "time": "is missing" })),
        (json!({ "to": "group" }), json!({ "group": "is missing" })),
        (json!({ "to": "time", "time": "yesterday" }), json!({ "time": time })),
    ] {
        assert_eq!(app.order(&path, &body).await.fields(), &fields, "{body}");
    }
    for body in [json!({}), json!({ "to": "yesterday" }), json!({ "to": "earliest", "dryRun": "no" })] {
        assert!(app.order(&path, &body).await.fields()["body"].is_string(), "{body}");
    }
    for (group, more) in [(unique("nobody"), json!({})), (sink(&app), json!({ "topic": unique("topic") }))] {
        let mut body = json!({ "to": "earliest" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let unknown = app.order(&format!("consumers/{group}/reset"), &body).await;
        assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"), "{group} {body}");
    }
    let nowhere = app.order(&path, &json!({ "to": "latest", "partitions": [99] })).await;
    assert_eq!((nowhere.status, nowhere.code()), (409, "REFUSED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_a_dry_run_unless_it_is_said_and_waits_for_the_consumer_to_stop() {
    let app = App::start().await;
    let (sink, topic) = (sink(&app), app.ledger.topic(Topic::PurchaseDecisions).to_owned());
    let path = format!("consumers/{sink}/reset");
    app.store.set_offsets(&sink, &[(topic.as_str(), 0, 7)]).await.unwrap();
    let mut member =
        KafkaSource::start(app.ledger.streaming(), &ConsumerConfig::new(&sink, [topic.clone()]), Hold::never())
            .unwrap();
    let plan = wait_until(PATIENCE, "the member", async || {
        let plan = app.order(&path, &json!({ "to": "earliest" })).await.data(200).clone();
        if plan["members"] == 1 { Ok(plan) } else { Err(plan) }
    })
    .await;
    assert_eq!(names(&plan), ["consumer", "dryRun", "members", "partitions", "replays", "skips", "warnings"]);
    assert_eq!((&plan["dryRun"], &plan["replays"], &plan["skips"]), (&json!(true), &json!(7), &json!(0)));
    let moved = json!({"topic": topic, "partition": 0, "from": 7, "to": 0, "replays": 7, "skips": 0});
    assert_eq!(plan["partitions"][0], moved);
    assert!(plan["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()), "{plan}");
    let really = json!({ "to": "earliest", "dryRun": false });
    let refused = app.order(&path, &really).await;
    assert_eq!((refused.status, refused.code()), (409, "CONSUMER_RUNNING"));
    assert_eq!(app.store.offsets(&sink, &[(topic.as_str(), 0)]).await.unwrap()[0].next_offset, 7);

    member.close().await;
    let done = wait_until(PATIENCE, "the member to be gone", async || {
        let answer = app.order(&path, &really).await;
        if answer.status == 200 { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert_eq!((&done.data(200)["dryRun"], &done.data(200)["members"]), (&json!(false), &json!(0)));
    assert_eq!(app.store.offsets(&sink, &[(topic.as_str(), 0)]).await.unwrap()[0].next_offset, 0);
    let now = Micros::from_utc(SystemTime::now().into());
    for to in
        [json!({"to": "offset", "offset": 0}), json!({"to": "time", "time": now.to_string()}), json!({"to": "latest"})]
    {
        assert_eq!(app.order(&path, &to).await.data(200)["partitions"][0]["to"], 0, "{to}: the log is empty");
    }
    assert_eq!(app.ops("acts").await.data(200)["acts"][0]["action"], "RESET");
}

#[tokio::test]
async fn f_18_without_postgres_the_sink_is_not_put_elsewhere() {
    let nobody = "postgres://nobody@127.0.0.1:1/none".to_owned();
    let app = Setup { database: nobody, ..Setup::new().await }.start().await;
    app.order(&format!("consumers/{}/reset", sink(&app)), &json!({ "to": "latest" })).await.assert_unavailable();
    app.ops("consumers").await.data(200);
}
