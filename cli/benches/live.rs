//! From decision to every open page: 5,000 listeners while 2,000 purchases a second are accepted, everything on this
//! machine.
//!
//! The lag of a unit is the time from its decision, by the clock of Redis, to the first event that shows a listener a
//! stock without it. Each tenth listener is looked at.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

mod installation;

use std::time::Duration;

use flashsale_drills::audience::{Audience, Seen};
use installation::{RATE, client, create_sale, drive, percentile, start};
use tokio::time::{Instant, sleep};

const LISTENERS: usize = 5_000;
const LASTS: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

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

fn main() {
    flashsale_platform::open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::Builder::new().prefix("flashsale-bench-").tempdir().unwrap();
        let up = start(folder.path());
        let http = client();
        let stock = u64::from(RATE) * LASTS.as_secs();
        create_sale(&http, &up.url, &up.database, stock).await;
        let server = up.url.trim_start_matches("http://").parse().unwrap();
        let before = resident_kib(up.pid());
        let audience = Audience::gather(&[server], "BENCH", LISTENERS, 0);
        let there = until("all listeners to have a stream", || audience.open() == LISTENERS).await;
        sleep(Duration::from_secs(1)).await;
        let each = (resident_kib(up.pid()) - before) as f64 / LISTENERS as f64;
        audience.cut(LISTENERS);
        until("the cut to be felt", || audience.open() == 0).await;
        let back = until("all listeners to be back", || audience.open() == LISTENERS).await;

        let answers = drive(&http, &up.url, "user", LASTS).await;
        let ended = until("every listener to see the end", || audience.told("ENDED") == LISTENERS).await;
        let seen = audience.leave().await;
        let rows = "select count(*) from purchases";
        while flashsale_localstack::psql(&up.database, rows).unwrap().trim() != stock.to_string() {
            sleep(Duration::from_millis(100)).await;
        }
        let decided = decided(&up.database);
        let mut lags: Vec<u64> = seen.iter().step_by(10).flat_map(|seen| lags(seen, &decided)).collect();
        lags.sort_unstable();
        let events: usize = seen.iter().map(|seen| seen.stocks.len()).sum();
        assert!(seen.iter().all(|seen| seen.stocks.last().is_some_and(|(stock, _)| *stock == 0)), "all saw the end");
        let of = |per_mille| percentile(&lags, per_mille);
        println!("{LISTENERS} listeners, {stock} purchases accepted at {RATE}/s, confirm=log, durable servers, all on this machine");
        println!("  decision to listener    p50 / p99 / p99.9   {:.0} / {:.0} / {:.0} ms   (goal p99 500)", of(500), of(990), of(999));
        println!("  events a listener                           {}", events / LISTENERS);
        println!("  every listener saw the end after the last answer in {:.1} s", ended.as_secs_f64());
        println!("  memory of our process a listener            {each:.1} KiB   (goal 15)");
        println!("  all there in {:.1} s; all cut and back in {:.1} s   (goal 10)", there.as_secs_f64(), back.as_secs_f64());
        println!(
            "  answer to a purchase meanwhile, from the intended send time   p50 / p99 {:.1} / {:.1} ms",
            percentile(&answers, 500), percentile(&answers, 990)
        );
    });
}
