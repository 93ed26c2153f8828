//! An ingest under five times the load that it can take, everything on this machine.
//!
//! What it can take is measured first: so many connections, each with the next attempt as soon as it has its answer.
//! Then attempts come by schedule, five times as many a second, whether or not there are answers. `FLOOD_SECONDS` says
//! for how long, `FLOOD_CONNECTIONS` on how many connections. Exit code 1: something else was answered than a decision
//! or a refusal that says when to come back, or the stores do not agree afterwards.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

mod installation;

use std::{path::Path, process::ExitCode, time::Duration};

use flashsale_loadtest::{
    arrivals::Arrivals,
    recorder::{Outcome, Recording, Route},
};
use flashsale_testkit::figures::{Figure, Figures};
use installation::{
    SYNCED, client, create_sale,
    edge::Edge,
    from_environment,
    load::{Load, milliseconds},
    processes::memory_kib,
    proven, start, until_selling,
};

/// More than anybody buys here.
const STOCK: u64 = 50_000_000;
const OVERLOAD: f64 = 5.0;
const CALM_CONNECTIONS: usize = 256;
const CALM_LASTS: Duration = Duration::from_secs(10);

/// Floods the ingest beside the installation, which does the rest.
fn flood(edge: &Edge, users: &str, connections: usize, arrivals: Arrivals, lasts: Duration) -> Recording {
    let load = Load { threads: 2, keep_attempts: true, ..Load::purchases(edge.server, "BENCH", connections) };
    tokio::task::block_in_place(|| load.run(users, arrivals, lasts))
}

/// How many answers were of a kind.
fn count(recording: &Recording, is_meant: impl Fn(Outcome) -> bool) -> u64 {
    let counts = recording.tally(Route::Purchase).into_iter().flat_map(|tally| &tally.counts);
    counts.filter(|(outcome, _)| is_meant(**outcome)).map(|(_, count)| count).sum()
}

/// What should not have been; nothing under a flood that was stood well.
fn wrong(recording: &Recording) -> Vec<String> {
    let counts = recording.tally(Route::Purchase).into_iter().flat_map(|tally| &tally.counts);
    let unknown = counts.filter(|(outcome, _)| !outcome.is_decided() && !outcome.is_refused());
    let mut wrong: Vec<String> =
        unknown.map(|(outcome, count)| format!("{count} attempts: {}", outcome.name())).collect();
    if !wrong.is_empty() {
        wrong.push(format!("{:?}", recording.failures));
    }
    let impolite = recording.attempts.iter().filter(|attempt| !attempt.polite).count();
    if impolite > 0 {
        wrong.push(format!("{impolite} refusals that do not say when to come back"));
    }
    wrong
}

/// Adds what came of it; returns how many were decided a second.
fn show(figures: &mut Figures, id: &str, name: &str, recording: &Recording, calm: Option<f64>) -> f64 {
    let a_second = |count: u64| count as f64 / recording.took.as_secs_f64();
    let decided = a_second(count(recording, Outcome::is_decided));
    let figure = Figure::new(format!("{id}-decided"), format!("decided, {name}"), "/s", [decided]);
    figures.add(match calm {
        Some(calm) => figure.beside("the same, as fast as answers come", calm),
        None => figure,
    });
    let Some(tally) = recording.tally(Route::Purchase) else { return decided };
    let refused = a_second(count(recording, Outcome::is_refused));
    let sent = [a_second(tally.total()), refused];
    figures.add(Figure::new(format!("{id}-sent"), format!("sent / refused, {name}"), "/s", sent));
    for (part, what, times) in [
        ("sent", "decided, from sending", &tally.since_sent),
        ("due", "decided, from when it was due", &tally.since_due),
        ("refused", "refused, from when it was due", &tally.refused),
    ] {
        if !times.is_empty() {
            let times = milliseconds([0.5, 0.99, 0.999], |quantile| times.value_at_quantile(quantile));
            let name = format!("{what}, {name}, p50 / p99 / p99.9");
            figures.add(Figure::new(format!("{id}-{part}-ms"), name, "ms", times));
        }
    }
    decided
}

async fn bench(folder: &Path) -> ExitCode {
    let lasts = Duration::from_secs(from_environment("FLOOD_SECONDS", 60));
    let connections = usize::try_from(from_environment("FLOOD_CONNECTIONS", 6_000)).unwrap();
    let settings = format!(
        "`flashsale up` and one more `ingest`, load and servers on one machine; {SYNCED}. Calm: {CALM_CONNECTIONS} \
         connections, each with the next attempt as soon as it has its answer. Flood: {OVERLOAD} times as many attempts \
         a second, {connections} connections, {} s",
        lasts.as_secs()
    );
    let mut figures = Figures::new("flood", env!("CARGO_TARGET_TMPDIR"), &settings);
    let up = start(folder);
    let (http, edge) = (client(), Edge::start(folder));
    create_sale(&http, &up.url, &up.database, "BENCH", STOCK).await;
    until_selling(&http, &format!("http://{}", edge.server), "BENCH").await;

    let memory = |name: &str| memory_kib(edge.pid(), name) as f64 / 1_024.0;
    let calm = flood(&edge, "calm", CALM_CONNECTIONS, Arrivals::Closed, CALM_LASTS);
    let capacity = show(&mut figures, "flood-calm", "calm", &calm, None);
    let before = memory("VmRSS");
    let flood = flood(&edge, "flood", connections, Arrivals::Constant { rate: OVERLOAD * capacity }, lasts);
    let memory = [before, memory("VmHWM"), memory("VmRSS")];
    show(&mut figures, "flood", "under five times as much", &flood, Some(capacity));
    figures.add(Figure::new("flood-memory", "memory of the ingest before / highest / after", "MiB", memory));
    if flood.unsent > 0 {
        println!("  never sent, because no connection was free: {}", flood.unsent);
    }
    let wrong = [wrong(&calm), wrong(&flood)].concat();
    wrong.iter().for_each(|what| println!("  wrong: {what}"));
    let is_proven = proven(folder, "BENCH");
    figures.write().unwrap();
    if is_proven && wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    flashsale_platform::open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::Builder::new().prefix("flashsale-bench-").tempdir().unwrap();
    runtime.block_on(bench(folder.path()))
}
