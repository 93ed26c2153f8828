//! From decision to every open page: 5,000 listeners while 2,000 purchases a second are accepted, everything on this
//! machine.
//!
//! The lag of a unit is the time from its decision, by the clock of Redis, to the first event that shows a listener a
//! stock without it. Each tenth listener is looked at.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

mod installation;

use std::{net::SocketAddr, time::Duration};

use flashsale_drills::audience::{Audience, Seen};
use flashsale_loadtest::{arrivals::Arrivals, recorder::Route};
use flashsale_testkit::figures::{Figure, Figures};
use installation::{
    SYNCED, client, create_sale,
    load::{Load, SOLD, milliseconds, told},
    percentile,
    processes::memory_kib,
    start, until_selling,
};
use tokio::time::{Instant, sleep};

const LISTENERS: usize = 5_000;
/// Attempts a second, and how many there are.
const RATE: u32 = 2_000;
const LASTS: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);
/// From the decision to a listener, 99 % within so many ms.
const LAG_P99_MAX: f64 = 500.0;
const LISTENER_KIB_MAX: f64 = 15.0;
/// Until everybody who was cut is back, who waits up to 4 s as told.
const BACK_SECONDS_MAX: f64 = 10.0;

async fn until(what: &str, seen: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !seen() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// When each unit was decided, in microseconds since 1970; the first unit first.
fn decided(database: &str) -> Vec<i64> {
    let rows = "select (extract(epoch from decided_at) * 1000000)::bigint from purchases order by sequence";
    flashsale_localstack::psql(database, rows).unwrap().lines().map(|line| line.trim().parse().unwrap()).collect()
}

/// The lag of every unit at one listener, in microseconds.
fn lags<'a>(seen: &'a Seen, decided: &'a [i64]) -> impl Iterator<Item = u64> + 'a {
    let stock = decided.len() as u64;
    let steps = seen.stocks.windows(2).flat_map(move |pair| {
        let ((before, _), (after, at)) = (pair[0], pair[1]);
        (stock - before..stock - after.min(before)).map(move |unit| (unit, at))
    });
    steps.map(move |(unit, at)| u64::try_from(at - decided[usize::try_from(unit).unwrap()]).unwrap_or(0))
}

/// Buys all that is left by schedule; returns what half and 99 % waited, in ms, from when they were due.
fn sell_out(server: SocketAddr, stock: u64) -> [f64; 2] {
    let load = Load::purchases(server, "BENCH", CONNECTIONS);
    let arrivals = Arrivals::Constant { rate: f64::from(RATE) };
    let recording = tokio::task::block_in_place(|| load.run("user", arrivals, LASTS));
    assert_eq!(told(&recording, Route::Purchase, &SOLD), stock, "everybody gets a unit");
    let since_due = &recording.tally(Route::Purchase).unwrap().since_due;
    milliseconds([0.5, 0.99], |quantile| since_due.value_at_quantile(quantile))
}

async fn bench(figures: &mut Figures) {
    let folder = tempfile::Builder::new().prefix("flashsale-bench-").tempdir().unwrap();
    let up = start(folder.path());
    let http = client();
    let stock = u64::from(RATE) * LASTS.as_secs();
    // One is for the probe.
    create_sale(&http, &up.url, &up.database, "BENCH", stock + 1).await;
    until_selling(&http, &up.url, "BENCH").await;
    let before = memory_kib(up.pid(), "VmRSS");
    let audience = Audience::gather(&[up.server()], "BENCH", LISTENERS, 0);
    let there = until("all listeners to have a stream", || audience.open() == LISTENERS).await;
    sleep(Duration::from_secs(1)).await;
    let each = (memory_kib(up.pid(), "VmRSS") - before) as f64 / LISTENERS as f64;
    audience.cut(LISTENERS);
    until("the cut to be felt", || audience.open() == 0).await;
    let back = until("all listeners to be back", || audience.open() == LISTENERS).await;

    let waited = sell_out(up.server(), stock);
    let ended = until("every listener to see the end", || audience.told("ENDED") == LISTENERS).await;
    let seen = audience.leave().await;
    let rows = "select count(*) from purchases";
    while flashsale_localstack::psql(&up.database, rows).unwrap().trim() != (stock + 1).to_string() {
        sleep(Duration::from_millis(100)).await;
    }
    let decided = decided(&up.database);
    let mut lags: Vec<u64> = seen.iter().step_by(10).flat_map(|seen| lags(seen, &decided)).collect();
    lags.sort_unstable();
    assert!(seen.iter().all(|seen| seen.stocks.last().is_some_and(|(stock, _)| *stock == 0)), "all saw the end");
    let events: usize = seen.iter().map(|seen| seen.stocks.len()).sum();

    let [half, most, nearly_all] = [500, 990, 999].map(|per_mille| percentile(&lags, per_mille));
    figures.add(Figure::new("live-lag", "decision to listener, p99", "ms", [most]).at_most([LAG_P99_MAX]));
    figures.add(Figure::new("live-lags", "of the same, p50 / p99.9", "ms", [half, nearly_all]));
    let name = "until every listener saw the end, after the last answer";
    figures.add(Figure::new("live-end", name, "s", [ended.as_secs_f64()]));
    let name = "memory of our process a listener, while they come";
    figures.add(Figure::new("live-memory", name, "KiB", [each]).at_most([LISTENER_KIB_MAX]));
    figures.add(Figure::new("live-there", "until all listeners are there", "s", [there.as_secs_f64()]));
    let name = "until all are back who were cut (they wait 1 to 4 s)";
    figures.add(Figure::new("live-back", name, "s", [back.as_secs_f64()]).at_most([BACK_SECONDS_MAX]));
    figures.add(Figure::new("live-events", "events a listener", "events", [events as f64 / LISTENERS as f64]));
    figures.add(Figure::new("live-answer", "purchase meanwhile, p50 / p99", "ms", waited));
}

fn main() {
    flashsale_platform::open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = format!(
        "`flashsale up`, load and servers on one machine; {SYNCED}. {LISTENERS} listeners, each tenth looked at; {RATE} \
         purchases a second for {} s",
        LASTS.as_secs()
    );
    let mut figures = Figures::new("live", env!("CARGO_TARGET_TMPDIR"), &settings);
    runtime.block_on(bench(&mut figures));
    figures.write().unwrap();
}
