//! `/api/v1/ops`: what operators see and do, and what is refused.

mod consumers;
mod letters;
mod log;
mod sales;

use std::time::SystemTime;

use axum::{
    body::Body,
    http::{HeaderValue, Method, Request},
};
use flashsale_core::{Micros, SaleId};
use flashsale_schemas::events::PurchaseDecision;
use flashsale_streaming::Delivery;
use flashsale_testkit::wait_until;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tower::ServiceExt;

use crate::{ADMIN_KEY, Answer, App, PATIENCE};

const ACCEPTED: &str = include_str!("../../../schemas/examples/flashsale.purchase-decisions.v1/1/accepted.json");
const GETS: [&str; 8] =
    ["overview", "acts", "consumers", "topics", "topics/none/messages", "dlq", "dlq/0-0", "reconciliations"];
const POSTS: [&str; 6] = [
    "consumers/nobody/pause",
    "consumers/nobody/resume",
    "consumers/nobody/reset",
    "dlq/redrive",
    "dlq/discard",
    "reconciliations",
];

impl App {
    /// Asks for something as an operator.
    async fn ops(&self, path: &str) -> Answer {
        self.admin(Method::GET, &format!("/api/v1/ops/{path}"), None).await
    }

    /// Has something done as an operator.
    async fn order(&self, path: &str, body: &Value) -> Answer {
        self.admin(Method::POST, &format!("/api/v1/ops/{path}"), Some(body)).await
    }

    /// Posts `body` with these headers beside the key.
    async fn post(&self, path: &str, headers: &[(&str, &[u8])], body: impl Into<Body>) -> Answer {
        let mut request = Request::post(path).header("x-admin-key", ADMIN_KEY);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Writes a decision to the log, where nothing else hears of it.
    async fn decide(&self, decision: &PurchaseDecision) {
        let delivery = Delivery::begin();
        self.ledger.send_decision(&delivery, decision, &[]);
        delivery.seal();
        delivery.wait().await.expect("the log takes it");
    }
}

/// A unit that was sold just now.
fn sold(sale: &SaleId, sequence: i64, user: &str) -> PurchaseDecision {
    let example: PurchaseDecision = serde_json::from_str(ACCEPTED).unwrap();
    let now = Micros::from_utc(SystemTime::now().into());
    PurchaseDecision {
        sale_id: sale.to_string(),
        sku: "PHONE".into(),
        user_id: user.into(),
        sequence: Some(sequence),
        decided_at: now,
        received_at: Some(Micros(now.0 - 5_000)),
        ..example
    }
}

/// The names of what an object has.
fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn t_6_only_who_has_the_key_is_an_operator() {
    let app = App::start().await;
    let gets = GETS.iter().chain(&["sales/PHONE/report"]).map(|path| (Method::GET, path));
    for (method, path) in gets.chain(POSTS.iter().map(|path| (Method::POST, path))) {
        for key in [None, Some(""), Some("sesame-open-sesam")] {
            let mut request = Request::builder().method(&method).uri(format!("/api/v1/ops/{path}"));
            if let Some(key) = key {
                request = request.header("x-admin-key", key);
            }
            let answer = app.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!((answer.status, answer.code()), (401, "UNAUTHORIZED"), "{method} {path} {key:?}");
        }
    }
}

#[tokio::test]
async fn t_6_who_acts_has_a_short_and_printable_name() {
    let app = App::start().await;
    let long = "x".repeat(65);
    let products = ["/api/v1/products".to_owned(), "/api/v1/products/PHONE/pause".to_owned()];
    for path in POSTS.iter().map(|path| format!("/api/v1/ops/{path}")).chain(products) {
        for name in [b"".as_slice(), b"  ", b"a\tb", b"\xff", long.as_bytes()] {
            let answer = app.post(&path, &[("x-operator", name)], Body::empty()).await;
            let why = "header X-Operator must have 1 to 64 printable characters";
            assert_eq!(answer.fields(), &json!({ "operator": why }), "{path} {name:?}");
        }
    }
}

#[tokio::test]
async fn pr_9_a_body_that_is_none_of_the_contract_is_refused() {
    let app = App::start().await;
    for path in POSTS.map(|path| format!("/api/v1/ops/{path}")) {
        let json = [("content-type", b"application/json".as_slice())];
        for (body, why) in
            [("{\"colour\":1}", "unknown field `colour`"), ("{", "not valid"), ("[]", "object"), ("7", "object")]
        {
            let answer = app.post(&path, &json, body).await;
            assert!(
                answer.fields()["body"].as_str().is_some_and(|text| text.contains(why)),
                "{path} {body}: {answer:?}"
            );
        }
        let large = app.post(&path, &json, " ".repeat(256 * 1024 + 1)).await;
        assert_eq!((large.status, large.code()), (413, "PAYLOAD_TOO_LARGE"), "{path}");
        let form = app.post(&path, &[("content-type", b"text/plain".as_slice())], "{}").await;
        assert_eq!((form.status, form.code()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{path}");
    }
}

#[tokio::test]
async fn pr_9_numbers_have_their_bounds() {
    let app = App::start().await;
    let limit = json!({ "limit": "must be a whole number from 1 to 500" });
    for path in ["acts", "dlq", "reconciliations", "topics/none/messages"] {
        for bad in ["0", "501", "-1", "1.5", "many", ""] {
            assert_eq!(app.ops(&format!("{path}?limit={bad}")).await.fields(), &limit, "{path} {bad}");
        }
    }
    for path in ["acts", "dlq", "reconciliations"] {
        app.ops(&format!("{path}?limit=500&utm=ignored")).await.data(200);
    }
}

#[tokio::test]
async fn what_an_administrator_does_to_a_sale_is_written_down_with_their_name() {
    let app = App::start().await;
    assert_eq!(app.ops("acts").await.data(200), &json!({ "acts": [] }));
    let product = app.product("PHONE", -60, 60).await;
    let (json, zoe) = (("content-type", b"application/json".as_slice()), ("x-operator", " zoë ".as_bytes()));
    app.post("/api/v1/products", &[json, zoe], product.to_string()).await.data(201);
    app.post("/api/v1/products/PHONE/pause", &[zoe], Body::empty()).await.data(200);
    app.admin(Method::POST, "/api/v1/products/PHONE/resume", None).await.data(200);
    assert_eq!(app.create(&product).await.code(), "ALREADY_EXISTS");

    let acts = app.ops("acts").await.data(200)["acts"].clone();
    let acts = acts.as_array().unwrap();
    let what: Vec<_> = acts.iter().map(|act| (act["by"].as_str(), act["action"].as_str())).collect();
    let (zoe, admin) = (Some("zoë"), Some("admin"));
    let expected = [(admin, Some("SALE_RESUME")), (zoe, Some("SALE_PAUSE")), (zoe, Some("SALE_CREATE"))];
    assert_eq!(what, expected, "the newest first, and nothing of what was refused");
    let mut created = acts[2].clone();
    let at = created["at"].take();
    assert!(OffsetDateTime::parse(at.as_str().unwrap(), &Rfc3339).is_ok(), "{at}");
    let named =
        json!({"at": null, "by": "zoë", "action": "SALE_CREATE", "target": "PHONE", "reason": null, "detail": product});
    assert_eq!(created, named);
    assert_eq!(app.ops("acts?limit=1").await.data(200)["acts"], json!([acts[0]]));
}

#[tokio::test]
async fn the_overview_shows_sales_and_the_decisions_of_each_second() {
    let app = App::start().await;
    let product = app.product("PHONE", -60, 60).await;
    let created = app.create(&product).await.data(201).clone();
    let sale = SaleId::new(created["saleId"].as_str().unwrap()).unwrap();
    let seen = wait_until(PATIENCE, "a second with a decision", async || {
        app.decide(&sold(&sale, 1, "ann")).await;
        let seen = app.ops("overview").await.data(200).clone();
        let is_counted = seen["sales"][0]["soldPerSecond"].as_f64().is_some_and(|rate| rate > 0.0);
        let is_whole = !seen["deadLetters"]["open"].is_null() && !seen["outbox"]["entries"].is_null();
        if is_counted && is_whole { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert_eq!(names(&seen), ["at", "deadLetters", "decisions", "lastReconciliation", "outbox", "sales"]);
    assert_eq!((&seen["deadLetters"], &seen["outbox"]), (&json!({ "open": 0 }), &json!({ "entries": 0 })));
    assert_eq!(seen["lastReconciliation"], Value::Null);
    let mut shown = seen["sales"].clone();
    shown[0]["soldPerSecond"].take();
    let expected = json!([{
        "sku": "PHONE", "saleId": sale.as_str(), "productName": product["productName"], "state": "ACTIVE",
        "endReason": null, "paused": false, "initialStock": 5, "sold": 0, "stock": 5,
        "startTime": product["startTime"], "endTime": product["endTime"], "outbox": 0, "soldPerSecond": null,
    }]);
    assert_eq!(shown, expected);

    let seconds = seen["decisions"]["seconds"].as_array().unwrap();
    let all = ["accepted", "alreadyPurchased", "at", "notActive", "p50Ms", "p99Ms", "soldOut"];
    assert!(seconds.iter().all(|second| names(second) == all), "{seconds:?}");
    let at = |second: &Value| OffsetDateTime::parse(second["at"].as_str().unwrap(), &Rfc3339).unwrap();
    let is_next = |pair: &[Value]| at(&pair[1]) - at(&pair[0]) == time::Duration::SECOND;
    assert!(seconds.len() <= 300 && seconds.windows(2).all(is_next), "dense and ascending: {seconds:?}");
    for second in seconds {
        let latency = (second["p50Ms"].as_f64(), second["p99Ms"].as_f64());
        match second["accepted"].as_u64() {
            Some(0) => assert_eq!(latency, (None, None), "not known, and not 0"),
            _ => assert!(latency.0.is_some() && latency.0 <= latency.1, "{second}"),
        }
    }
}

#[tokio::test]
async fn the_overview_counts_open_letters_and_shows_the_last_comparison() {
    let app = App::start().await;
    letters::bury(&app, "ann", b"\x07garbage").await;
    app.store.insert_reconciliation(&sales::comparison("run-1", "PHONE", 1)).await.unwrap();
    let seen = wait_until(PATIENCE, "the letter", async || {
        let seen = app.ops("overview").await.data(200).clone();
        if seen["deadLetters"]["open"] == 1 { Ok(seen) } else { Err(seen) }
    })
    .await;
    assert_eq!(seen["lastReconciliation"], sales::shown("run-1", "PHONE", 1));
}

#[tokio::test]
async fn f_18_without_postgres_the_overview_shows_the_rest() {
    let app = App::start().await.without_postgres();
    let seen = app.ops("overview").await;
    let data = seen.data(200);
    assert_eq!((&data["lastReconciliation"], &data["sales"]), (&Value::Null, &json!([])));
    for path in ["reconciliations", "sales/PHONE/report"] {
        app.ops(path).await.assert_unavailable();
    }
}

#[tokio::test]
async fn the_console_is_served_with_its_policy() {
    let routes = crate::finish(flashsale_api::page_routes());
    let get = async |path: &str| {
        let response = routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts, body.collect().await.unwrap().to_bytes())
    };
    let (shop, page) = get("/").await;
    for path in ["/ops", "/ops/"] {
        let (parts, body) = get(path).await;
        assert_eq!((parts.status.as_u16(), &body), (200, &page), "{path}: the same page looks at its address");
        let policy = parts.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        for name in ["content-security-policy", "cache-control", "etag", "content-type", "x-frame-options"] {
            assert_eq!(parts.headers.get(name), shop.headers.get(name), "{path} {name}");
        }
    }
}
