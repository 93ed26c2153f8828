//! From decision to every open page: 5,000 listeners while 2,000 purchases a second are accepted, everything on this
//! machine.
//!
//! The lag of a unit is the time from its decision, by the clock of Redis, to the first event that shows a listener a
//! stock without it. Each tenth listener is looked at. What is waited for has a deadline: a run that gets stuck says
//! for what, and how far it came.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

mod installation;

use std::{net::SocketAddr, time::Duration};

use flashsale_drills::audience::{Audience, Seen};
use flashsale_loadtest::{arrivals::Arrivals, recorder::Route};
use flashsale_testkit::{
    figures::{Figure, Figures},
    wait_until,
};
use installation::{
    SYNCED, client, create_sale,
    load::{Load, SOLD, milliseconds, told},
    percentile,
    processes::memory_kib,
    psql, start, until_selling,
};
use tokio::time::{Instant, sleep, timeout};

const LISTENERS: usize = 5_000;
/// Attempts a second, and how many there are.
const RATE: u32 = 2_000;
const LASTS: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);
/// How long all rows may take to be in Postgres.
const ROWS_WITHIN: Duration = Duration::from_secs(120);
/// From the decision to a listener, 99 % within so many ms.
const LAG_P99_MAX: f64 = 500.0;
const LISTENER_KIB_MAX: f64 = 15.0;
/// Until everybody who was cut is back, who waits up to 4 s as told.
const BACK_SECONDS_MAX: f64 = 10.0;

/// Waits until so many listeners have a stream; returns how long that took.
async fn until_open(audience: &Audience, wanted: usize, what: &str) -> Duration {
    let began = Instant::now();
    wait_until(PATIENCE, what, async || match audience.open() {
        open if open == wanted => Ok(()),
        open => Err(format!("{open} of {LISTENERS} have a stream; {:?}", audience.failures())),
    })
    .await;
    began.elapsed()
}

/// Waits until every listener was told that the sale is over; returns how long that took.
async fn until_ended(audience: &Audience) -> Duration {
    let began = Instant::now();
    wait_until(PATIENCE, "every listener to see the end", async || match audience.told("ENDED") {
        LISTENERS => Ok(()),
        told => Err(format!("{told} of {LISTENERS} saw it; {:?}", audience.failures())),
    })
    .await;
    began.elapsed()
}

/// Waits until Postgres has so many rows.
async fn until_written(database: &str, wanted: u64) {
    wait_until(ROWS_WITHIN, "all purchases to be in Postgres", async || {
        let there = psql(database, "select count(*) from purchases");
        if there.trim() == wanted.to_string() { Ok(()) } else { Err(format!("{} of {wanted}", there.trim())) }
    })
    .await;
}

/// When each unit was decided, in microseconds since 1970; the first unit first.
fn decided(database: &str) -> Vec<i64> {
    let rows = "select (extract(epoch from decided_at) * 1000000)::bigint from purchases order by sequence";
    psql(database, rows).lines().map(|line| line.trim().parse().unwrap()).collect()
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

/// Buys all that is left by schedule; returns what half and 99 % waited, in ms, from when they were due. It ends by
/// itself: the engine gives up what is not sent or not answered in time.
fn sell_out(server: SocketAddr, stock: u64) -> [f64; 2] {
    let load = Load::purchases(server, "BENCH", CONNECTIONS);
    let arrivals = Arrivals::Constant { rate: f64::from(RATE) };
    let recording = tokio::task::block_in_place(|| load.run("user", arrivals, LASTS));
    let sold = told(&recording, Route::Purchase, &SOLD);
    assert_eq!(sold, stock, "everybody gets a unit; never sent, because no connection was free: {}", recording.unsent);
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
    let there = until_open(&audience, LISTENERS, "all listeners to have a stream").await;
    sleep(Duration::from_secs(1)).await;
    let each = (memory_kib(up.pid(), "VmRSS") - before) as f64 / LISTENERS as f64;
    audience.cut(LISTENERS);
    until_open(&audience, 0, "the cut to be felt").await;
    let back = until_open(&audience, LISTENERS, "all listeners to be back").await;

    let waited = sell_out(up.server(), stock);
    let ended = until_ended(&audience).await;
    let Ok(seen) = timeout(PATIENCE, audience.leave()).await else { panic!("listeners are left after {PATIENCE:?}") };
    until_written(&up.database, stock + 1).await;
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
