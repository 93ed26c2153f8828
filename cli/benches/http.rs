//! What a whole installation takes over HTTP, beside a bare server that decides nothing and keeps nothing.
//!
//! First a thousand attempts at once (NF-2). Then rounds, as fast as answers come: the bare server and the installation
//! in turns, by the same generator, so that a noisy machine is noisy for both; and as fast again with a thousand
//! connections. Then attempts come by schedule at a half
//! and at four fifths of what was accepted, to see what shoppers wait; and again with an installation that tells winners
//! before the log has them; beside what they waited stands how many were not accepted, whom percentiles leave out.
//! `BENCH_SECONDS` says how long a round is. Exit code 1: the thousand waited for too long, or the stores do not agree
//! afterwards.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

mod installation;

use std::{
    net::SocketAddr,
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use flashsale_loadtest::{
    arrivals::Arrivals,
    recorder::{Outcome, Recording, Route, Tally},
};
use flashsale_testkit::figures::{Figure, Figures, median};
use installation::{
    SYNCED, Up,
    bare::{self, Bare},
    client, create_sale, from_environment,
    load::{Load, SOLD, milliseconds, told},
    processes::{PARTS, cpu_seconds, memory_kib},
    proven, psql, start_with, until_selling,
};
use tokio::runtime::Runtime;

/// As in the server, so that it is no difference to the bare one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The sale that goes on, and the one that is over.
const OPEN: &str = "OPEN";
const GONE: &str = "GONE";
/// More than anybody buys here.
const STOCK: u64 = 50_000_000;
const CONNECTIONS: usize = 256;
/// As many as there may have to be at once when attempts do not wait for answers.
const CONNECTIONS_MAX: usize = 2_000;
const ROUNDS: usize = 3;
const ROUND_SECONDS: u64 = 8;
/// What a stampede has at least.
const CROWD: usize = 1_000;
/// Until the broker's machine code is compiled: after half of it a purchase takes nearly twice as much of the broker.
const WARM_UP: Duration = Duration::from_secs(60);
/// How long all rows and counts may take to be in Postgres.
const PATIENCE: Duration = Duration::from_secs(120);
const AT_ONCE: u64 = 1_000;
/// Half, 95 % and 99 % of the thousand are answered within so many ms.
const AT_ONCE_MAX: [f64; 3] = [500.0, 1_000.0, 2_000.0];
/// From the decision to the row, half and 99 % within so many ms.
const ROW_MAX: [f64; 2] = [30.0, 150.0];
const MEMORY_MIB_MAX: f64 = 200.0;
/// Of the bare server's answers.
const ACCEPTED_MIN: f64 = 0.6;
const REFUSED_MIN: f64 = 0.85;
const STATUS_MIN: f64 = 0.85;
const BARE_POST: &str = "bare axum, POST of the same body";
const BARE_GET: &str = "bare axum, GET";
/// A shop as one usually builds it, a call of a script for each purchase, a queue to the database: known from elsewhere.
const PEER: &str = "a conventional shop, p50 52 ms, p99 589 ms: a known figure from elsewhere, not of this run";
const PEER_ACCEPTED: f64 = 1_128.0;
const PEER_MIN: f64 = 20.0;
/// In ms: half of its answers, 99 % of them.
const PEER_WAITED: [f64; 2] = [52.0, 589.0];

/// CPU time of one answer, in µs: of each of `PARTS`, and of the generator.
type Cost = [f64; PARTS.len() + 1];

/// An installation with a sale that goes on and one that is over; stopped when dropped.
struct Shop {
    up: Up,
    folder: tempfile::TempDir,
}

impl Shop {
    /// `confirm`: when a winner is told.
    fn open(runtime: &Runtime, confirm: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("flashsale-bench-").tempdir().unwrap();
        let up = start_with(folder.path(), &[("FLASHSALE_INGEST__CONFIRM", confirm)]);
        runtime.block_on(async {
            let http = client();
            for (sku, stock) in [(OPEN, STOCK), (GONE, 1)] {
                create_sale(&http, &up.url, &up.database, sku, stock).await;
                until_selling(&http, &up.url, sku).await;
            }
        });
        let shop = Self { up, folder };
        shop.round(OPEN, "warm", WARM_UP, &SOLD);
        shop.round(GONE, "warm", WARM_UP / 6, &[Outcome::SoldOut]);
        shop
    }

    /// Attempts by schedule, for the sale that goes on; returns when all are in Postgres. What was sold, too.
    fn sell(&self, prefix: &str, arrivals: Arrivals, lasts: Duration) -> (Recording, u64) {
        let known = self.counted(OPEN);
        let recording = Load::purchases(self.up.server(), OPEN, CONNECTIONS_MAX).run(prefix, arrivals, lasts);
        let sold = told(&recording, Route::Purchase, &SOLD);
        self.until_counted(OPEN, known + sold);
        (recording, sold)
    }

    /// Answers a second as fast as they come, and what each cost until Postgres had it.
    fn round(&self, sku: &str, prefix: &str, lasts: Duration, wanted: &[Outcome]) -> (f64, Cost) {
        let (known, before) = (self.counted(sku), cpu_seconds(self.up.pid()));
        let recording = closed(self.up.server(), sku, Route::Purchase, prefix, lasts);
        let answers = told(&recording, Route::Purchase, wanted);
        self.until_counted(sku, known + answers);
        let after = cpu_seconds(self.up.pid());
        let generator = recording.client_cpu.as_secs_f64();
        let seconds = |part: usize| if part < PARTS.len() { after[part] - before[part] } else { generator };
        let cost = std::array::from_fn(|part| seconds(part) * 1e6 / answers.max(1) as f64);
        (answers as f64 / recording.took.as_secs_f64(), cost)
    }

    /// Decisions of a sale that are in Postgres, refusals too.
    fn counted(&self, sku: &str) -> u64 {
        let sql = format!(
            "select coalesce(sum(count), 0)::bigint from decision_counts \
             where sale_id = (select sale_id from products where sku = '{sku}')"
        );
        psql(&self.up.database, &sql).trim().parse().unwrap()
    }

    fn until_counted(&self, sku: &str, count: u64) {
        let began = Instant::now();
        while self.counted(sku) < count {
            assert!(began.elapsed() < PATIENCE, "{} of {count} decisions are in Postgres", self.counted(sku));
            sleep(Duration::from_millis(200));
        }
    }

    /// From Redis' clock at the decision to Postgres' at the start of the row's transaction, in ms: half, 99 %.
    fn row_delays(&self, prefix: &str) -> Vec<f64> {
        let sql = format!(
            "select 1000 * p from unnest((select percentile_cont(array[0.5, 0.99]) within group \
             (order by extract(epoch from recorded_at - decided_at)) from purchases \
             where sku = '{OPEN}' and user_id like '{prefix}-%')) p"
        );
        let lines = psql(&self.up.database, &sql);
        lines.lines().map(|line| line.trim().parse().unwrap()).collect()
    }

    fn is_proven(&self) -> bool {
        proven(self.folder.path(), OPEN) & proven(self.folder.path(), GONE)
    }
}

/// The next request when an answer is there.
fn closed(server: SocketAddr, sku: &str, route: Route, prefix: &str, lasts: Duration) -> Recording {
    let load = Load { route, ..Load::purchases(server, sku, CONNECTIONS) };
    load.run(prefix, Arrivals::Closed, lasts)
}

/// Answers a second where nothing is counted afterwards.
fn rate(server: SocketAddr, route: Route, prefix: &str, lasts: Duration) -> f64 {
    let recording = closed(server, OPEN, route, prefix, lasts);
    let wanted = if route == Route::Purchase { Outcome::Purchased } else { Outcome::Found };
    told(&recording, route, &[wanted]) as f64 / recording.took.as_secs_f64()
}

/// All sold, and the connections opened meanwhile.
fn nf_2_a_thousand_attempts_at_once_are_answered_in_time(shop: &Shop, figures: &mut Figures) -> bool {
    let (recording, sold) = shop.sell("at-once", Arrivals::Burst { count: AT_ONCE }, Duration::from_secs(1));
    assert_eq!(sold, AT_ONCE, "all are accepted; never sent, because no connection was free: {}", recording.unsent);
    let since_due = &recording.tally(Route::Purchase).unwrap().since_due;
    let took = milliseconds([0.5, 0.95, 0.99], |quantile| since_due.value_at_quantile(quantile));
    let name = "1,000 purchases at once, p50 / p95 / p99";
    let figure = Figure::new("http-at-once", name, "ms", took).at_most(AT_ONCE_MAX);
    let is_met = figure.is_met() == Some(true);
    figures.add(figure);
    is_met
}

/// A figure of each round.
#[derive(Default)]
struct Measured {
    bare_post: Vec<f64>,
    bare_get: Vec<f64>,
    accepted: Vec<f64>,
    refused: Vec<f64>,
    status: Vec<f64>,
    cost_accepted: Vec<Cost>,
    cost_refused: Vec<Cost>,
}

fn rounds(shop: &Shop, lasts: Duration) -> Measured {
    let bare = Bare::start();
    rate(bare.server, Route::Purchase, "warm", WARM_UP / 15);
    let mut measured = Measured::default();
    for round in 0..ROUNDS {
        measured.bare_post.push(rate(bare.server, Route::Purchase, "bare", lasts));
        let (accepted, cost) = shop.round(OPEN, &format!("accepted-{round}"), lasts, &SOLD);
        measured.accepted.push(accepted);
        measured.cost_accepted.push(cost);
        let (refused, cost) = shop.round(GONE, &format!("refused-{round}"), lasts, &[Outcome::SoldOut]);
        measured.refused.push(refused);
        measured.cost_refused.push(cost);
        measured.bare_get.push(rate(bare.server, Route::Status, "bare", lasts));
        measured.status.push(rate(shop.up.server(), Route::Status, "status", lasts));
    }
    measured
}

/// Adds the medians; returns what was accepted a second.
fn saturation(shop: &Shop, figures: &mut Figures, lasts: Duration) -> f64 {
    let measured = rounds(shop, lasts);
    let accepted = median(measured.accepted);
    let (post, get) = (median(measured.bare_post), median(measured.bare_get));
    let mut beside = |id: &str, name: &str, rate: f64, (limit, value): (&str, f64), ratio: f64| {
        figures.add(Figure::new(id, name, "/s", [rate]).beside(limit, value).at_least(ratio));
    };
    let name = "purchases over HTTP, confirm=log, all accepted";
    beside("http-accepted", name, accepted, (BARE_POST, post), ACCEPTED_MIN);
    let refused = median(measured.refused);
    beside("http-sold-out", "purchases over HTTP, all sold out", refused, (BARE_POST, post), REFUSED_MIN);
    beside("http-status", "status over HTTP", median(measured.status), (BARE_GET, get), STATUS_MIN);
    beside("http-peer", "accepted purchases beside a conventional shop", accepted, (PEER, PEER_ACCEPTED), PEER_MIN);
    for (what, costs) in [("accepted", measured.cost_accepted), ("refused", measured.cost_refused)] {
        let cost: Vec<f64> =
            (0..=PARTS.len()).map(|part| median(costs.iter().map(|cost| cost[part]).collect())).collect();
        let name = format!("CPU of one {what} purchase: {} / generator", PARTS.join(" / "));
        figures.add(Figure::new(format!("http-cpu-{what}"), name, "µs", cost));
    }
    let memory = memory_kib(shop.up.pid(), "VmHWM") as f64 / 1_024.0;
    let name = format!("memory of our process, the most it was up to here, with {CONNECTIONS} connections");
    figures.add(Figure::new("http-memory", name, "MiB", [memory]).at_most([MEMORY_MIB_MAX]));
    accepted
}

/// The same with a thousand connections, beside the conventional shop; what they wait for each other is in it. After the
/// memory was looked at: all that is sold is remembered.
fn crowd(shop: &Shop, figures: &mut Figures, lasts: Duration) {
    let (mut accepted, mut waited) = (Vec::new(), [Vec::new(), Vec::new()]);
    let (mut answered, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let known = shop.counted(OPEN);
        let load = Load::purchases(shop.up.server(), OPEN, CROWD);
        let recording = load.run(&format!("crowd-{round}"), Arrivals::Closed, lasts);
        let sold = told(&recording, Route::Purchase, &SOLD);
        shop.until_counted(OPEN, known + sold);
        refused += recording.tally(Route::Purchase).map_or(0, Tally::total) - sold;
        answered += sold;
        accepted.push(sold as f64 / recording.took.as_secs_f64());
        let since_due = &recording.tally(Route::Purchase).unwrap().since_due;
        let took = milliseconds([0.5, 0.99], |quantile| since_due.value_at_quantile(quantile));
        for (all, one) in waited.iter_mut().zip(took) {
            all.push(one);
        }
    }
    let name = format!("accepted purchases with {CROWD} connections, beside a conventional shop");
    figures.add(
        Figure::new("http-peer-crowd", name, "/s", [median(accepted)]).beside(PEER, PEER_ACCEPTED).at_least(PEER_MIN),
    );
    let name =
        format!("with {CROWD} connections, from sending, p50 / p99; the goal is what the conventional shop took");
    figures.add(Figure::new("http-crowd", name, "ms", waited.map(median)).at_most(PEER_WAITED));
    let figure =
        Figure::new("http-crowd-others", "attempts that were not accepted meanwhile", "attempts", [refused as f64]);
    figures.add(figure.beside("accepted", answered as f64).at_most([0.0]));
}

/// What shoppers wait when they do not wait for each other, at a half and at four fifths of what can be accepted.
fn by_schedule(shop: &Shop, figures: &mut Figures, confirm: &str, accepted: f64, lasts: Duration) {
    for percent in [50, 80] {
        let prefix = format!("at-{percent}");
        let rate = accepted * f64::from(percent) / 100.0;
        let (recording, sold) = shop.sell(&prefix, Arrivals::Poisson { rate }, lasts);
        let since_due = &recording.tally(Route::Purchase).unwrap().since_due;
        let waited = milliseconds([0.5, 0.99, 0.999], |quantile| since_due.value_at_quantile(quantile));
        let (id, at) =
            (format!("http-{confirm}-{percent}"), format!("at {percent} % of saturation, confirm={confirm}"));
        figures.add(Figure::new(id.as_str(), format!("purchase {at}, p50 / p99 / p99.9"), "ms", waited));
        left_out(figures, &format!("{id}-others"), &at, &recording, sold);
        if confirm == "log" && percent == 50 {
            let name = "decision to row in Postgres, at 50 %, p50 / p99";
            figures.add(Figure::new("http-row", name, "ms", shop.row_delays(&prefix)).at_most(ROW_MAX));
        }
    }
}

/// Adds how many of those who were due were not accepted. What the others waited leaves them out: it flatters when they
/// are many.
fn left_out(figures: &mut Figures, id: &str, at: &str, recording: &Recording, accepted: u64) {
    let (answered, unsent) = (recording.tally(Route::Purchase).map_or(0, Tally::total), recording.unsent);
    let due = answered + unsent;
    let otherwise = answered - accepted;
    println!("  due: {due}; accepted: {accepted}; answered otherwise: {otherwise}; never sent: {unsent}");
    let name = format!("purchases by schedule that were not accepted, {at}");
    let figure = Figure::new(id, name, "attempts", [(due - accepted) as f64]);
    figures.add(figure.beside("due", due as f64).at_most([0.0]));
}

fn main() -> ExitCode {
    if let Some(port) = bare::asked() {
        return bare::serve(port);
    }
    flashsale_platform::open_files::raise_limit();
    let round = Duration::from_secs(from_environment("BENCH_SECONDS", ROUND_SECONDS));
    // 15 s by schedule for rounds of 8.
    let schedule = round * 15 / 8;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = format!(
        "`flashsale up`, load and servers on one machine; {SYNCED}. Saturation: {CONNECTIONS} connections, medians of \
         {ROUNDS} rounds of {} s in turns with the limit. By schedule: Poisson, {} s, waiting counts from when a request \
         was due",
        round.as_secs(),
        schedule.as_secs()
    );
    let mut figures = Figures::new("http", env!("CARGO_TARGET_TMPDIR"), &settings);

    let shop = Shop::open(&runtime, "log");
    let is_quick = nf_2_a_thousand_attempts_at_once_are_answered_in_time(&shop, &mut figures);
    let accepted = saturation(&shop, &mut figures, round);
    crowd(&shop, &mut figures, round);
    by_schedule(&shop, &mut figures, "log", accepted, schedule);
    let mut is_proven = shop.is_proven();
    drop(shop);
    let shop = Shop::open(&runtime, "redis");
    by_schedule(&shop, &mut figures, "redis", accepted, schedule);
    is_proven &= shop.is_proven();
    figures.write().unwrap();
    if is_quick && is_proven { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
