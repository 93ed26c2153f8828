//! One trace from a request to the row of its unit, through processes that share nothing but the log.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::Method, routing::post};
use flashsale_schemas::{Topic, events::PurchaseDecision};
use flashsale_streaming::{View, ViewConfig};
use flashsale_testkit::{unique, wait_until};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::json;

use crate::process::{Installation, PATIENCE};

const REQUEST: &str = "POST /api/v1/purchases";
/// What a stranger may send along.
const STRANGER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Takes OTLP over HTTP and keeps it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    /// Returns it with its address.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (collector, url)
    }

    /// The spans so far, each with the name of the instance that sent it.
    fn spans(&self) -> Vec<(String, Span)> {
        let mut spans = Vec::new();
        for of_process in self.0.lock().unwrap().iter().flat_map(|message| &message.resource_spans) {
            let resource = attributes(&of_process.resource.as_ref().unwrap().attributes);
            assert_eq!(resource["service.name"], "flashsale");
            let instance = &resource["service.instance.id"];
            let theirs = of_process.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.extend(theirs.map(|span| (instance.clone(), span.clone())));
        }
        spans
    }

    fn said(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

async fn take(State(Collector(taken)): State<Collector>, body: Bytes) {
    taken.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone().and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", attribute.key),
    };
    all.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// User and headers of each record in the log.
type Headers = Arc<Mutex<Vec<(String, Vec<(String, String)>)>>>;

async fn follow(shop: &Installation) -> (View, Headers) {
    let headers = Headers::default();
    let decoder = shop.ledger.decoder::<PurchaseDecision>().await.unwrap();
    let topics = vec![shop.ledger.topic(Topic::PurchaseDecisions).to_owned()];
    let view = View::start(shop.ledger.streaming(), ViewConfig { name: unique("traces"), topics }, {
        let headers = headers.clone();
        move |record| {
            let decision = decoder.decode(record.payload.as_deref().unwrap_or_default()).expect("our own record");
            let text = |(name, value): (String, Vec<u8>)| (name, String::from_utf8(value).expect("text"));
            headers.lock().unwrap().push((decision.user_id, record.headers.into_iter().map(text).collect()));
        }
    });
    (view.unwrap(), headers)
}

async fn headers_of(headers: &Headers, user: &str) -> Vec<(String, String)> {
    wait_until(PATIENCE, "the record in the log", async || {
        headers.lock().unwrap().iter().find(|(of, _)| of == user).map(|(_, found)| found.clone()).ok_or("nothing")
    })
    .await
}

/// The spans of a trace by name, each with who sent it.
type Trace = BTreeMap<String, (String, Span)>;

/// The trace of the only request with that outcome, once it has its four spans.
async fn trace_of(collector: &Collector, outcome: &str) -> Trace {
    let is_wanted = |span: &Span| {
        let attributes = attributes(&span.attributes);
        span.name == REQUEST && attributes.get("flashsale.outcome").is_some_and(|is| is == outcome)
    };
    wait_until(PATIENCE, &format!("four spans of what was {outcome}"), async || {
        let all = collector.spans();
        let wanted = all.iter().filter(|(_, span)| is_wanted(span));
        let ids: HashSet<Vec<u8>> = wanted.map(|(_, span)| span.trace_id.clone()).collect();
        let of_trace = all.into_iter().filter(|(_, span)| ids.contains(&span.trace_id));
        let trace: Trace = of_trace.map(|(instance, span)| (span.name.clone(), (instance, span))).collect();
        if ids.len() == 1 && trace.len() == 4 { Ok(trace) } else { Err((ids.len(), trace)) }
    })
    .await
}

fn assert_linked(trace: &Trace) {
    let span = |name: &str| &trace[name].1;
    let (request, publish) = (span(REQUEST), span("publish"));
    assert_eq!(request.parent_span_id, b"");
    assert_eq!((&span("decide").parent_span_id, &publish.parent_span_id), (&request.span_id, &request.span_id));
    assert_eq!(span("postgres transaction").parent_span_id, publish.span_id);
    assert!(request.start_time_unix_nano <= span("decide").start_time_unix_nano);
    assert!(span("decide").end_time_unix_nano <= publish.start_time_unix_nano);
    for (name, kind, by) in [
        (REQUEST, SpanKind::Server, "the-edge"),
        ("decide", SpanKind::Client, "the-edge"),
        ("publish", SpanKind::Producer, "the-edge"),
        ("postgres transaction", SpanKind::Consumer, "the-sink"),
    ] {
        assert_eq!((span(name).kind, trace[name].0.as_str()), (kind as i32, by), "{name}");
        assert!(span(name).start_time_unix_nano <= span(name).end_time_unix_nano, "{name}");
    }
}

fn assert_told(trace: &Trace, outcome: &str) {
    let told = |name: &str| attributes(&trace[name].1.attributes);
    let expected = [
        ("flashsale.outcome", outcome),
        ("flashsale.sku", "TRACES"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
    ];
    assert_eq!(told(REQUEST), expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(told("decide"), [("flashsale.batch.size".to_owned(), "1".to_owned())].into());
    assert!(told("publish").is_empty());
    let transaction = told("postgres transaction");
    let keys: Vec<&str> = transaction.keys().map(String::as_str).collect();
    let expected = ["flashsale.batch.rows", "flashsale.lag", "messaging.kafka.offset", "messaging.kafka.partition"];
    assert_eq!(keys, expected);
    assert!(transaction.values().all(|number| number.parse::<f64>().unwrap() >= 0.0), "{transaction:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_from_the_request_through_the_decision_and_the_record_to_the_transaction() {
    let (collector, endpoint) = Collector::start().await;
    let traced = |instance: &'static str| {
        [
            ("FLASHSALE_TRACING__OTLP_ENDPOINT", endpoint.as_str()),
            ("FLASHSALE_TRACING__SAMPLE_RATIO", "1"),
            ("FLASHSALE_INSTANCE", instance),
        ]
    };
    let shop = Installation::new().await;
    let (_view, headers) = follow(&shop).await;
    let _processor = shop.start(&["processor"]).await;
    let _sink = shop.start_with(&["sink", "postgres"], &traced("the-sink")).await;
    let api = shop.start(&["api"]).await;
    let edges = [shop.start_with(&["ingest"], &traced("the-edge")).await, shop.start(&["ingest"]).await];
    let (sku, _) = shop.sale(&api, "TRACES", 2, 1_500).await;
    shop.until_start(&edges, &sku).await;
    let users = [unique("shopper"), unique("shopper"), unique("shopper")];
    for (edge, user, code) in [(0, 0, ""), (1, 1, ""), (0, 2, "SOLD_OUT")] {
        let (url, body) = (format!("{}/api/v1/purchases", edges[edge].url), json!({ "sku": "TRACES" }));
        let told = [("x-user-id", users[user].as_str()), ("traceparent", STRANGER)];
        let answer = shop.http.send(Method::POST, &url, &told, Some(body)).await.unwrap();
        assert_eq!((answer.status, answer.code()), (200, code), "{}", answer.body);
    }

    // A refusal is a record too, although no shopper waits for it.
    for (user, outcome) in [(0, "accepted"), (2, "sold_out")] {
        let trace = trace_of(&collector, outcome).await;
        assert_linked(&trace);
        assert_told(&trace, outcome);
        let publish = &trace["publish"].1;
        let id = hex(&publish.trace_id);
        assert!(!STRANGER.contains(&id), "the trace of a stranger is not gone on with");
        let traceparent = format!("00-{id}-{}-01", hex(&publish.span_id));
        assert_eq!(headers_of(&headers, &users[user]).await, [("traceparent".to_owned(), traceparent)]);
    }
    assert!(headers_of(&headers, &users[1]).await.is_empty(), "an edge that traces nothing adds no header");
    let said = collector.said();
    for user in users {
        assert!(!said.contains(&user), "{user} in {said}");
    }
}
