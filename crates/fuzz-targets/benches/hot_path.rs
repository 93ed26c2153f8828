//! The hot path over a fixed trace, for `cargo xtask instructions`, which counts.
//!
//! `hot_path PART ITEMS` takes so many items through one part and ends; without arguments it names the parts. No clock,
//! no chance, no IO, no threads, and the system's allocator, so that the same code does the same each time. It is here
//! because this crate may know services at both ends of the log.
#![allow(clippy::print_stdout, reason = "it names its parts")]

use std::{hint::black_box, process::ExitCode};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderValue, Request, request},
    response::Response,
    routing::post,
};
use bytes::Bytes;
use flashsale_core::{
    Attempt, Challenge, Decision, Micros, Outcome, RequestId, SaleBook, SaleConfig, SaleId, Sku, UserId,
};
use flashsale_identity::Shoppers;
use flashsale_ingest::{answer_to, parse_request};
use flashsale_ledger::refusal_id;
use flashsale_platform::{TrustedProxies, server};
use flashsale_schemas::{
    Decoder, Encoder, Event, Registry,
    events::{self, DecidedBy, PurchaseDecision, accepted_id},
};
use flashsale_sinks::postgres::stage;
use flashsale_streaming::{self as streaming, Partition, Position, Record};
use futures_util::FutureExt;
use tower::ServiceExt;

/// Attempts of the trace. A run is a number of whole passes over it, so that twice as many items do twice the same.
const TRACE_ITEMS: usize = 1_024;
/// So many that a few hundred come again, with a unit or without.
const SHOPPERS: u64 = 768;
/// Gone when three fifths of the trace are through.
const STOCK: u64 = 400;
const SEED: u64 = 20_261_123;
const OPENS: Micros = Micros::from_millis(1_795_435_200_000);
const INGEST: &str = "edge-1-0198c0de";
const PATH: &str = "/api/v1/purchases";
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Takes the item of this number, 0 to [`TRACE_ITEMS`], through a part.
type Step = Box<dyn FnMut(usize)>;
/// A part: its name, and what sets it up. What is set up before the first step is the same in every run.
type Part = (&'static str, fn(&Trace) -> Step);

static PARTS: [Part; 5] =
    [("parse", parse), ("encode", encode), ("decode", decode), ("answer", answer), ("replay", replay)];

fn main() -> ExitCode {
    // cargo adds one of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(name) = arguments.next() else {
        for (name, _) in &PARTS {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    let part = PARTS.iter().find(|(known, _)| *known == name);
    let items = arguments.next().and_then(|items| items.parse::<usize>().ok());
    let items = items.filter(|items| items.is_multiple_of(TRACE_ITEMS));
    let (Some((_, part)), Some(items)) = (part, items) else {
        eprintln!(
            "usage: hot_path PART ITEMS, where ITEMS is a multiple of {TRACE_ITEMS}; no arguments name the parts"
        );
        return ExitCode::from(64);
    };
    let mut step = part(&Trace::new());
    for item in 0..items {
        step(item % TRACE_ITEMS);
    }
    ExitCode::SUCCESS
}

/// Head and body of a request become a purchase request.
fn parse(trace: &Trace) -> Step {
    let shoppers = Shoppers::from_header();
    let attempts = trace.attempts.iter().enumerate();
    let requests: Vec<(HeaderMap, String)> =
        attempts.map(|(item, attempt)| (head(attempt), body(&trace.sale.sku, item))).collect();
    Box::new(move |item| {
        let (head, body) = &requests[item];
        let request = parse_request(&shoppers, head, body.as_bytes());
        drop(black_box(request.expect("every request of the trace is valid")));
    })
}

/// The event of a decision becomes the record that the producer takes.
fn encode(trace: &Trace) -> Step {
    let (encoder, _) = codec();
    let events = trace.events();
    Box::new(move |item| {
        let record = encoder.encode(&events[item]);
        drop(black_box(record.expect("an event of ours fits its schema")));
    })
}

/// A record of the log becomes what the Postgres sink writes.
fn decode(trace: &Trace) -> Step {
    let (encoder, decoder) = codec();
    let records: Vec<Record> = trace.events().iter().zip(0..).map(|(event, at)| record(&encoder, event, at)).collect();
    let read = stage(decoder);
    Box::new(move |item| {
        let streaming::Outcome::Emit(decided) = read(&records[item]) else {
            panic!("the sink does not take record {item} of the trace");
        };
        drop(black_box(decided));
    })
}

/// An outcome becomes an answer, with all that stands around the routes.
fn answer(trace: &Trace) -> Step {
    let routes = Router::new().route(PATH, post(answered));
    let routes = server::finish(routes, &server::Config::default(), TrustedProxies::default());
    let asked = trace.attempts.iter().zip(&trace.decisions);
    let asked: Vec<request::Parts> = asked.map(|(attempt, decision)| parts(attempt, &decision.outcome)).collect();
    Box::new(move |item| {
        let request = Request::from_parts(asked[item].clone(), Body::empty());
        let response = routes.clone().oneshot(request).now_or_never();
        let Ok(response) = response.expect("nothing is waited for");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, ANSWER_BYTES_MAX).now_or_never();
        let body = body.expect("an answer is there at once").expect("an answer is bounded");
        drop(black_box((parts, body)));
    })
}

async fn answered(Extension(outcome): Extension<Outcome>) -> Response {
    answer_to(outcome)
}

/// The rules by themselves, without Redis: what a verification does with a log.
fn replay(trace: &Trace) -> Step {
    let (sale, attempts) = (trace.sale.clone(), trace.attempts.clone());
    let mut book = SaleBook::create(sale.clone(), OPENS);
    Box::new(move |item| {
        if item == 0 {
            book = SaleBook::create(sale.clone(), OPENS);
        }
        drop(black_box(book.decide(at(item), &sale.sale_id, &attempts[item])));
    })
}

/// Attempts at one sale, and what the rules say to each: units sold until there are none, refusals, shoppers who come
/// again with another try or with the same.
struct Trace {
    sale: SaleConfig,
    attempts: Vec<Attempt>,
    decisions: Vec<Decision>,
}

impl Trace {
    fn new() -> Self {
        let sale = SaleConfig {
            sale_id: SaleId::generate(OPENS, 0),
            sku: Sku::new("TRACE-2026").expect("letters, digits and a hyphen"),
            product_name: "what is traced".to_owned(),
            initial_stock: STOCK,
            start: OPENS,
            end: Micros::from_millis(OPENS.as_millis() + 3_600_000),
            challenge: Challenge::None,
        };
        let attempts = attempts();
        let mut book = SaleBook::create(sale.clone(), OPENS);
        let tried = attempts.iter().enumerate();
        let decisions = tried.map(|(item, attempt)| book.decide(at(item), &sale.sale_id, attempt)).collect();
        Self { sale, attempts, decisions }
    }

    fn events(&self) -> Vec<PurchaseDecision> {
        let decided = self.attempts.iter().zip(&self.decisions).enumerate();
        decided.map(|(item, (attempt, decision))| event(&self.sale, attempt, decision, item)).collect()
    }
}

/// By hand, because a generator from elsewhere may give other numbers in its next version: SplitMix64
/// (<https://prng.di.unimi.it/splitmix64.c>).
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn attempts() -> Vec<Attempt> {
    let mut chance = Chance(SEED);
    let mut attempts: Vec<Attempt> = Vec::with_capacity(TRACE_ITEMS);
    while attempts.len() < TRACE_ITEMS {
        let (who, which) = (chance.draw() % SHOPPERS, chance.draw());
        // One in sixteen is the try before, sent again.
        let again = attempts.last().filter(|_| which.is_multiple_of(16)).cloned();
        attempts.push(again.unwrap_or_else(|| Attempt {
            user: UserId::new(&format!("shopper-{who:06}")).expect("short, without control characters"),
            request_id:
                RequestId::new(&format!("0198c0de-0000-7000-8000-{:012x}", which >> 16)).expect("visible ASCII"),
        }));
    }
    attempts
}

/// When item `item` is decided: 20,000 a second.
fn at(item: usize) -> Micros {
    Micros(OPENS.0 + 50 * item as i64)
}

/// What a browser sends, behind a proxy.
fn head(attempt: &Attempt) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).expect("visible ASCII");
    let mut headers = HeaderMap::new();
    headers.insert("host", value("shop.example"));
    headers.insert("user-agent", value("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"));
    headers.insert("accept", value("application/json"));
    headers.insert("accept-language", value("en-GB,en;q=0.7"));
    headers.insert("content-type", value("application/json"));
    headers.insert("x-forwarded-for", value("203.0.113.7"));
    headers.insert("x-correlation-id", value(attempt.request_id.as_str()));
    headers.insert("x-user-id", value(attempt.user.as_str()));
    headers.insert("idempotency-key", value(attempt.request_id.as_str()));
    headers
}

/// One in sixteen is valid in a way that only the second, slower look understands.
fn body(sku: &Sku, item: usize) -> String {
    let quantity = match item % 16 {
        0 => r#","qty":1.0"#,
        1..8 => r#","qty":1"#,
        _ => "",
    };
    format!(r#"{{"sku":"{sku}"{quantity}}}"#)
}

/// The head of a request, with what is to be answered.
fn parts(attempt: &Attempt, outcome: &Outcome) -> request::Parts {
    let request = Request::post(PATH).extension(outcome.clone()).body(());
    let (mut parts, ()) = request.expect("a path and nothing else").into_parts();
    parts.headers = head(attempt);
    parts
}

/// As the ingest makes it.
fn event(sale: &SaleConfig, attempt: &Attempt, decision: &Decision, item: usize) -> PurchaseDecision {
    let (outcome, reason) = match &decision.outcome {
        Outcome::Accepted(_) | Outcome::Repeated(_) => (events::Outcome::Accepted, None),
        Outcome::AlreadyPurchased(_) => (events::Outcome::AlreadyPurchased, None),
        Outcome::SoldOut => (events::Outcome::SoldOut, None),
        Outcome::NotActive(reason) => (events::Outcome::SaleNotActive, Some(reason.as_str().to_owned())),
    };
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (decision_id, decided_at) = match &decision.outcome {
        Outcome::Accepted(receipt) | Outcome::Repeated(receipt) => {
            (accepted_id(&receipt.sale_id, receipt.sequence), receipt.decided_at)
        }
        _ => (refusal_id(INGEST, item as u64), at(item)),
    };
    PurchaseDecision {
        decision_id,
        sale_id: sale.sale_id.to_string(),
        sku: sale.sku.to_string(),
        user_id: attempt.user.to_string(),
        request_id: attempt.request_id.to_string(),
        outcome,
        reason,
        sequence: decision.outcome.receipt().map(|receipt| signed(receipt.sequence)),
        as_of_sequence: Some(signed(decision.as_of_sequence)),
        remaining_stock: Some(signed(decision.remaining)),
        decided_at,
        received_at: Some(at(item)),
        decided_by: DecidedBy::Redis,
        ingest_id: INGEST.to_owned(),
    }
}

fn codec() -> (Encoder<PurchaseDecision>, Decoder<PurchaseDecision>) {
    let registry = Registry::builtin();
    let codec = registry.codec(PurchaseDecision::TOPIC.name()).now_or_never();
    codec.expect("the compiled-in registry does no IO").expect("the topic of an event has a schema")
}

fn record(encoder: &Encoder<PurchaseDecision>, event: &PurchaseDecision, offset: i64) -> Record {
    let topic = PurchaseDecision::TOPIC.name().into();
    Record {
        position: Position { partition: Partition { topic, number: 0 }, offset },
        key: Some(Bytes::from(format!("{}:{}", event.sale_id, event.user_id))),
        payload: Some(Bytes::from(encoder.encode(event).expect("an event of ours fits its schema"))),
        headers: Vec::new(),
        timestamp_ms: event.decided_at.as_millis(),
    }
}
