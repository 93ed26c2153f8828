//! Far more attempts than an ingest can take: what is not served is refused at once and politely, and nothing breaks.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use flashsale_loadtest::{
    arrivals::Arrivals,
    engine::{self, Live, Options, Request, Target},
    recorder::{Outcome, Recording, Route},
};
use flashsale_schemas::Topic;
use flashsale_testkit::wait_until;
use serde_json::Value;

use crate::process::{Installation, PATIENCE, Service};

/// Few, so that a test on a busy machine reaches it.
const IN_FLIGHT_MAX: usize = 16;
const OVERLOAD: f64 = 5.0;
const CALM_LASTS: Duration = Duration::from_millis(1_500);
const FLOOD_LASTS: Duration = Duration::from_secs(5);
/// What a flood may add to the memory of the process.
const MEMORY_KIB_MAX: u64 = 64 * 1024;
/// What is admitted waits for at most `IN_FLIGHT_MAX` others; the rest is a debug build beside other tests.
const DECIDED_MAX: Duration = Duration::from_secs(5);

/// Attempts to buy, each of a shopper of its own.
fn send(edge: &Service, users: &str, connections: usize, arrivals: Arrivals, lasts: Duration) -> Recording {
    let server = edge.address();
    let target = Target {
        servers: vec![server],
        host: server.to_string(),
        skus: vec!["FLOOD".into()],
        prefix: users.into(),
        headers: Vec::new(),
    };
    let options = Options {
        connections,
        open_first: false,
        threads: 1,
        keep_alive: true,
        pipeline: 1,
        answer_max: Duration::from_secs(30),
        keep_attempts: true,
    };
    let request = |number: u64| Request { route: Route::Purchase, shopper: number, key: 0, sku: 0 };
    let run = || engine::run(&target, &options, arrivals, lasts, 1, &request, &Live::default());
    tokio::task::block_in_place(run).unwrap()
}

/// How many attempts were answered like this.
fn count(recording: &Recording, is_meant: impl Fn(Outcome) -> bool) -> u64 {
    let counts = recording.tally(Route::Purchase).into_iter().flat_map(|tally| &tally.counts);
    counts.filter(|(outcome, _)| is_meant(**outcome)).map(|(_, count)| count).sum()
}

/// What else there is than decisions, and refusals that say when to come back.
fn wrong(recording: &Recording) -> Vec<String> {
    let other = recording.attempts.iter().filter(|attempt| {
        let known = attempt.outcome.is_decided() || attempt.outcome.is_refused();
        !known || !attempt.polite
    });
    let mut wrong: Vec<String> = other.take(10).map(|attempt| format!("{attempt:?}")).collect();
    if !wrong.is_empty() {
        wrong.push(format!("{:?}", recording.failures));
    }
    wrong
}

fn memory_kib(edge: &Service, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", edge.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_5_five_times_the_capacity_is_shed_politely_and_the_stores_agree() {
    let shop = Installation::new().await;
    let (_processor, _sink) = (shop.start(&["processor"]).await, shop.start(&["sink", "postgres"]).await);
    let api = shop.start(&["api"]).await;
    let few = IN_FLIGHT_MAX.to_string();
    let edge = shop.start_with(&["ingest"], &[("FLASHSALE_INGEST__IN_FLIGHT_MAX", few.as_str())]).await;
    let (_, sale) = shop.sale(&api, "FLOOD", 1_000_000, -1_000).await;
    wait_until(PATIENCE, "the edge to know the sale", async || {
        shop.http.buy(&edge.url, "probe", None, "FLOOD").await.unwrap().status == 200
    })
    .await;

    let calm = send(&edge, "calm", IN_FLIGHT_MAX / 2, Arrivals::Closed, CALM_LASTS);
    assert_eq!(wrong(&calm), Vec::<String>::new());
    let capacity = count(&calm, Outcome::is_decided) as f64 / calm.took.as_secs_f64();
    let before = memory_kib(&edge, "VmRSS");
    let rate = OVERLOAD * capacity;
    let flood = send(&edge, "flood", 20 * IN_FLIGHT_MAX, Arrivals::Constant { rate }, FLOOD_LASTS);
    let highest = memory_kib(&edge, "VmHWM");

    assert_eq!(wrong(&flood), Vec::<String>::new());
    let tally = flood.tally(Route::Purchase).unwrap();
    let decided = count(&flood, Outcome::is_decided);
    assert!(tally.counts.contains_key(&Outcome::Unavailable) && decided > 0, "{:?}", tally.counts);
    assert!(tally.total() > 2 * decided, "hardly a flood: {:?}", tally.counts);
    let slow = tally.since_sent.value_at_quantile(0.99);
    assert!(Duration::from_micros(slow) < DECIDED_MAX, "one in a hundred waited for {slow} µs");
    assert!(highest < before + MEMORY_KIB_MAX, "memory rose from {before} to {highest} KiB");

    wait_until(PATIENCE, "the proof to hold", async || {
        let output = shop.tool(&["verify", "--sku", "FLOOD", "--json"]);
        let (code, text) = (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned());
        if code == Some(0) { Ok(()) } else { Err(text) }
    })
    .await;
    let sold = shop.store.purchases(&sale).await.unwrap().len() as u64;
    let is_sold = |outcome| matches!(outcome, Outcome::Purchased | Outcome::Pending);
    let told = count(&calm, is_sold) + count(&flood, is_sold);
    assert!(sold > told, "{sold} rows; {told} units told, and the probe's");
}

/// The keys of an installation in Redis.
async fn keys(shop: &Installation) -> BTreeSet<String> {
    let server = flashsale_testkit::redis().await.trim_start_matches("redis://");
    let mut stream = TcpStream::connect(server.split('/').next().unwrap()).unwrap();
    stream.write_all(format!("KEYS {}:*\r\n", shop.prefix()).as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let count: usize = lines.next().unwrap().trim_start_matches('*').parse().unwrap();
    // Each has its length in front.
    lines.take(2 * count).skip(1).step_by(2).collect()
}

/// The series of a process, without their values.
async fn series(shop: &Installation, edge: &Service) -> BTreeSet<String> {
    let metrics = shop.http.get(&format!("{}/metrics", edge.url)).await.unwrap();
    let lines = metrics.body.as_str().unwrap().lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect()
}

/// How many records the log of attempts and the log of sales have.
fn records(shop: &Installation) -> Vec<u64> {
    let output = shop.tool(&["ops", "topics", "--json"]);
    let topics: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |topic: Topic| {
        let name = shop.ledger.topic(topic);
        let all = topics["topics"].as_array().unwrap();
        all.iter().find(|one| one["name"] == *name).unwrap()["records"].as_u64().unwrap()
    };
    [Topic::PurchaseDecisions, Topic::SaleEvents].map(count).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_5_random_skus_and_users_leave_nothing_behind() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let api = shop.start(&["api"]).await;
    let edge = shop.start(&["ingest"]).await;
    let (sku, _) = shop.sale(&api, "FLOOD", 1, -1_000).await;
    // All that a refusal makes once is there after these.
    wait_until(PATIENCE, "the edge to know the sale", async || {
        shop.http.buy(&edge.url, "probe", Some("key"), "FLOOD").await.unwrap().status == 200
    })
    .await;
    for n in 0..2 {
        let answer = shop.http.buy(&edge.url, &format!("late-{n}"), Some("key"), "FLOOD").await.unwrap();
        assert_eq!(answer.code(), "SOLD_OUT");
    }
    wait_until(PATIENCE, "the decisions in the log", async || shop.decided("late-") == 2).await;
    wait_until(PATIENCE, "the outbox to be empty", async || shop.hot.outbox_len(&sku).await.unwrap() == 0).await;
    let (keys_before, series_before, records_before) = (keys(&shop).await, series(&shop, &edge).await, records(&shop));
    assert!(keys_before.len() > 2 && series_before.len() > 20, "{keys_before:?} {series_before:?}");

    for n in 0..500 {
        let (user, key, sku) = (format!("stranger-{n}"), format!("key-{n}"), format!("NOTHING-{n}"));
        let answer = shop.http.buy(&edge.url, &user, Some(&key), &sku).await.unwrap();
        assert_eq!((answer.status, answer.code()), (404, "NOT_FOUND"));
    }
    assert_eq!(records(&shop), records_before, "nothing is written of what does not exist");
    for n in 0..500 {
        let (user, key) = (format!("stranger-{n}"), format!("key-{n}"));
        let answer = shop.http.buy(&edge.url, &user, Some(&key), "FLOOD").await.unwrap();
        assert_eq!((answer.status, answer.code()), (200, "SOLD_OUT"));
    }
    let made: Vec<String> = keys(&shop).await.difference(&keys_before).cloned().collect();
    assert_eq!(made, Vec::<String>::new(), "keys in Redis");
    let made: Vec<String> = series(&shop, &edge).await.difference(&series_before).cloned().collect();
    assert_eq!(made, Vec::<String>::new(), "series of the metrics");
}
