//! How throughput and latency move with one dial at a time, everything else held, all on this machine.
//!
//! The dials: ingests beside `flashsale up`, partitions of the decisions, sales at once, buyers that a sale has
//! already, and the length of user ids and of idempotency keys. Each point stands beside the first of its dial, and the
//! last lines say which dial takes most away. `SCALE_DIAL` names one to turn alone, by its id; `BENCH_SECONDS` says for
//! how long a point is loaded. Exit code 1: a decision costs Redis more with many buyers recorded or with many sales
//! open, or the stores do not agree afterwards.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

#[path = "scale/decisions.rs"]
mod decisions;
#[path = "scale/dial.rs"]
mod dial;
mod installation;
#[path = "scale/point.rs"]
mod point;
#[path = "scale/shop.rs"]
mod shop;

use std::{
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use dial::{BUYERS, Dial, INGESTS, KEYS, PARTITIONS, SALES, USERS};
use flashsale_core::Sku;
use flashsale_ledger::Ledger;
use flashsale_localstack::Kind;
use flashsale_lua::{ATTEMPTS_MAX, HotState};
use flashsale_schemas::Topic;
use flashsale_testkit::figures::Figures;
use installation::{SYNCED, buyers, from_environment};
use point::{Measured, Point, Turned, show};
use shop::{CONNECTIONS, ROUNDS, Shop, parts};
use tokio::runtime::Runtime;

/// As in the server, so that the generator is not slower than it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const POINT_SECONDS: u64 = 6;
/// Of a command line that asks for what there is not.
const USAGE: u8 = 64;

/// Turns a dial.
type Turn = fn(&Runtime, &mut Figures, Duration) -> Turned;

static DIALS: [(Dial, Turn); 6] = [
    (INGESTS, ingests),
    (PARTITIONS, partitions),
    (SALES, sales),
    (BUYERS, buyers_recorded),
    (USERS, user_ids),
    (KEYS, idempotency_keys),
];

/// Ingests beside the one of `up`, which is idle. All run all the time; what is turned is how many are loaded.
fn ingests(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> Turned {
    let mut shop = Shop::open(runtime, 1, None);
    shop.add_edges(runtime, INGESTS.most());
    let servers: Vec<SocketAddr> = shop.edges.iter().map(|edge| edge.server).collect();
    let point = |count: &usize| Point { servers: servers[..*count].to_vec(), ..shop.point() };
    let points: Vec<Point> = INGESTS.values.iter().map(point).collect();
    shop.turn(&INGESTS, &points, figures, lasts)
}

/// An installation for each number of them: a topic that loses partitions is a new one.
fn partitions(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> Turned {
    let mut measured: Vec<Measured> = Vec::new();
    let mut is_proven = true;
    for count in PARTITIONS.values {
        let shop = Shop::open(runtime, 1, Some(*count));
        let log = flashsale_streaming::Config::new(shop.url(Kind::Kafka), "bench");
        let name = Topic::PurchaseDecisions.name();
        let topics = runtime.block_on(flashsale_streaming::topics(&log, Some(name))).unwrap();
        assert_eq!(topics[0].partitions.len(), *count, "{name}");
        let first = measured.first().map(|first| first.full.rate());
        measured.extend(shop.rounds(&[shop.point()], lasts, first));
        is_proven &= shop.is_proven();
    }
    Turned { weakest: show(figures, &PARTITIONS, &measured), is_flat: true, is_proven }
}

/// All are open all the time; what is turned is over how many the attempts are spread.
fn sales(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> Turned {
    let is_flat = runtime.block_on(decisions::by_sales(figures));
    let shop = Shop::open(runtime, SALES.most(), None);
    let point = |count: &usize| Point { skus: shop.skus[..*count].to_vec(), ..shop.point() };
    let points: Vec<Point> = SALES.values.iter().map(point).collect();
    Turned { is_flat, ..shop.turn(&SALES, &points, figures, lasts) }
}

/// Sales with buyers in Redis, in the log and in Postgres, and what is measured on top.
fn buyers_recorded(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> Turned {
    let is_flat = runtime.block_on(decisions::by_buyers(figures));
    // The first one is for the warming up.
    let shop = Shop::open(runtime, 1 + BUYERS.values.len(), None);
    let known = shop.counted();
    let skus = &shop.skus[1..];
    runtime.block_on(async {
        let log = flashsale_ledger::Config::new(shop.url(Kind::Kafka), "bench");
        let ledger = Ledger::open(log).await.unwrap();
        let hot = HotState::connect(&flashsale_lua::Config::new(shop.url(Kind::Redis))).await.unwrap();
        for (sku, count) in skus.iter().zip(BUYERS.values) {
            let sku = Sku::new(sku).unwrap();
            let sale = hot.snapshot(&sku).await.unwrap().unwrap().sale_id;
            buyers::sell(&hot, &ledger, &sku, &sale, *count).await;
        }
    });
    shop.until_counted(known + BUYERS.values.iter().sum::<usize>() as u64);
    let points: Vec<Point> = skus.iter().map(|sku| Point { skus: vec![sku.clone()], ..shop.point() }).collect();
    Turned { is_flat, ..shop.turn(&BUYERS, &points, figures, lasts) }
}

fn user_ids(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> Turned {
    let shop = Shop::open(runtime, 1, None);
    let points: Vec<Point> = USERS.values.iter().map(|chars| Point { user_chars: *chars, ..shop.point() }).collect();
    shop.turn(&USERS, &points, figures, lasts)
}

/// As clients send them; without one the ingest makes a UUID.
fn idempotency_keys(runtime: &Runtime, figures: &mut Figures, lasts: Duration) -> Turned {
    let shop = Shop::open(runtime, 1, None);
    let points: Vec<Point> = KEYS.values.iter().map(|chars| Point { key_chars: *chars, ..shop.point() }).collect();
    shop.turn(&KEYS, &points, figures, lasts)
}

/// How a dial is measured.
fn settings(dial: &Dial, lasts: Duration) -> String {
    let [full, scheduled] = parts(lasts).map(|part| part.as_secs_f64());
    let turns = if dial.id == PARTITIONS.id { "" } else { ", in turns" };
    let decision = if [SALES.id, BUYERS.id].contains(&dial.id) {
        format!(
            ". The decision: batches of {ATTEMPTS_MAX}, one call after the other, on a Redis with nothing else to do; \
             medians"
        )
    } else {
        String::new()
    };
    format!(
        "one dial, each point beside the first. Over HTTP: `flashsale up`, load and servers on one machine; {SYNCED}; \
         {ROUNDS} rounds of {full:.1} s on {CONNECTIONS} connections, the next attempt when an answer is there, and of \
         {scheduled:.1} s by schedule (Poisson){turns}{decision}"
    )
}

/// Says which dial takes most away: what breaks first when everything grows.
fn conclude(mut turned: Vec<Turned>) -> ExitCode {
    turned.sort_by(|one, other| one.weakest.1.total_cmp(&other.weakest.1));
    println!("the weakest point of each dial, and what is accepted there as a multiple of its first:");
    for Turned { weakest: (point, ratio), .. } in &turned {
        println!("  {ratio:.2}  {point}");
    }
    let is_flat = turned.iter().all(|one| one.is_flat);
    if !is_flat {
        println!("a decision costs Redis more with many buyers recorded, or with many sales open");
    }
    if is_flat && turned.iter().all(|one| one.is_proven) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    flashsale_platform::open_files::raise_limit();
    let lasts = Duration::from_secs(from_environment("BENCH_SECONDS", POINT_SECONDS));
    let alone = std::env::var("SCALE_DIAL").ok().filter(|id| !id.is_empty());
    let is_asked = |dial: &Dial| alone.as_deref().is_none_or(|id| id == dial.id);
    if !DIALS.iter().any(|(dial, _)| is_asked(dial)) {
        let known: Vec<&str> = DIALS.iter().map(|(dial, _)| dial.id).collect();
        println!("SCALE_DIAL names none of {}", known.join(", "));
        return ExitCode::from(USAGE);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut turned = Vec::new();
    for (dial, turn) in DIALS.iter().filter(|(dial, _)| is_asked(dial)) {
        let began = Instant::now();
        let bench = format!("scale-{}", dial.id);
        let mut figures = Figures::new(&bench, env!("CARGO_TARGET_TMPDIR"), &settings(dial, lasts));
        turned.push(turn(&runtime, &mut figures, lasts));
        figures.write().unwrap();
        println!("{bench}: {:.0} s", began.elapsed().as_secs_f64());
    }
    conclude(turned)
}
