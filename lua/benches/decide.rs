//! decide.lua beside the limit of the same server in the same minute: `redis-benchmark -t set -P 64 -c 16`.
//!
//! Both on a Redis of their own with AOF everysec, in turns, so that a noisy machine is noisy for both.
//! Figures are attempts a second; the goal is the ratio, not the absolute.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use flashsale_core::{Attempt, Challenge, Micros, Outcome, RequestId, SaleConfig, SaleId, Sku, UserId};
use flashsale_lua::{ATTEMPTS_MAX, Config, HotState};
use flashsale_testkit::figures::{Figure, Figures, median};

/// Attempts of one measurement.
const ATTEMPTS: usize = 400_000;
/// Calls under way at once, each on a connection of its own.
const CONNECTIONS: usize = 8;
const ROUNDS: usize = 5;
const LIMIT: &str = "`redis-benchmark` SET -P 64 -c 16";
/// As many times the limit.
const ACCEPTED_MIN: f64 = 0.45;
const SOLD_OUT_MIN: f64 = 1.8;

async fn connect(url: &str) -> HotState {
    let mut config = Config::new(url);
    config.response_timeout = Duration::from_secs(30);
    let hot = HotState::connect(&config).await.expect("Redis answers");
    if !hot.fence().await.expect("Redis answers").verified {
        hot.open_new("bench").await.expect("nobody recovers");
    }
    hot
}

async fn sale(hot: &HotState, sku: &str, stock: u64) -> SaleConfig {
    let now = hot.now().await.expect("time").as_millis();
    let config = SaleConfig {
        sale_id: SaleId::generate(Micros::from_millis(now), 0),
        sku: Sku::new(sku).expect("valid"),
        product_name: "bench".into(),
        initial_stock: stock,
        start: Micros::from_millis(now - 1_000),
        end: Micros::from_millis(now + 3_600_000),
        challenge: Challenge::None,
    };
    hot.create(&config).await.expect("create");
    config
}

fn batches(prefix: &str) -> Vec<Vec<Attempt>> {
    let attempt = |n: usize| Attempt {
        user: UserId::new(&format!("{prefix}-{n}")).expect("valid"),
        request_id: RequestId::new(&format!("0198c0de-0000-7000-8000-{n:012}")).expect("valid"),
    };
    let all: Vec<Attempt> = (0..ATTEMPTS).map(attempt).collect();
    all.chunks(ATTEMPTS_MAX).map(<[Attempt]>::to_vec).collect()
}

/// Attempts a second, how many were accepted, and the server's share of a core. Accepted batches are
/// settled as ingest does.
async fn measure(url: &str, pid: u32, config: &SaleConfig, prefix: &str) -> (f64, usize, f64) {
    let work = Arc::new(tokio::sync::Mutex::new(batches(prefix)));
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(url).await);
    }
    let (cpu, began) = (cpu_seconds(pid), Instant::now());
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|hot| {
            let (work, config) = (work.clone(), config.clone());
            tokio::spawn(async move {
                // Freeing the attempts is no part of deciding them.
                let (mut accepted, mut settled, mut spent) = (0, Vec::new(), Vec::new());
                while let Some(batch) = { work.lock().await.pop() } {
                    let decided = hot.decide(&config.sku, &config.sale_id, "bench", &batch).await.expect("decide");
                    let won = |d: &&flashsale_lua::Decided| matches!(d.decision.outcome, Outcome::Accepted(_));
                    accepted += decided.decided.iter().filter(won).count();
                    settled.extend(decided.outbox_id);
                    spent.push(batch);
                    if settled.len() >= 50 {
                        hot.settle(&config.sku, &std::mem::take(&mut settled)).await.expect("settle");
                    }
                }
                if !settled.is_empty() {
                    hot.settle(&config.sku, &settled).await.expect("settle");
                }
                (accepted, spent)
            })
        })
        .collect();
    let (mut accepted, mut spent) = (0, Vec::new());
    for task in tasks {
        let (won, batches) = task.await.expect("no panic");
        accepted += won;
        spent.push(batches);
    }
    let seconds = began.elapsed().as_secs_f64();
    (ATTEMPTS as f64 / seconds, accepted, (cpu_seconds(pid) - cpu) / seconds)
}

/// CPU seconds that a process has used.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name in brackets").split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().expect("user ticks") + fields[12].parse::<f64>().expect("system ticks");
    // Linux counts in hundredths.
    ticks / 100.0
}

fn redis_benchmark(url: &str) -> f64 {
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port");
    let output = Command::new("redis-benchmark")
        .args(["-p", port, "-t", "set", "-P", "64", "-c", "16", "-n", "1000000", "--csv"])
        .output()
        .expect("redis-benchmark comes with redis-server");
    let csv = String::from_utf8_lossy(&output.stdout);
    let line = csv.lines().find(|line| line.starts_with("\"SET\"")).expect("a line for SET");
    line.split(',').nth(1).and_then(|figure| figure.trim_matches('"').parse().ok()).expect("a figure")
}

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = flashsale_testkit::private_redis().await;
        let url = server.url().to_owned();
        let hot = connect(&url).await;
        let (mut sets, mut accepted, mut sold_out) = (Vec::new(), Vec::new(), Vec::new());
        let mut busy = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            sets.push(redis_benchmark(&url));
            let open = sale(&hot, &format!("OPEN-{round}"), ATTEMPTS as u64 + 1).await;
            let (rate, won, share) = measure(&url, server.pid(), &open, "buyer").await;
            busy[0].push(share);
            assert_eq!(won, ATTEMPTS, "everybody gets a unit");
            accepted.push(rate);
            let gone = sale(&hot, &format!("GONE-{round}"), 1).await;
            let (rate, won, share) = measure(&url, server.pid(), &gone, "late").await;
            busy[1].push(share);
            assert_eq!(won, 1, "one unit, one winner");
            sold_out.push(rate);
            let delete = [open, gone];
            for sale in delete {
                hot.delete(&sale.sku, &sale.sale_id).await.expect("delete");
            }
        }
        let settings = format!(
            "batches of {ATTEMPTS_MAX} over {CONNECTIONS} connections; receipts, outbox and settling; AOF everysec; \
             median of {ROUNDS} rounds of {ATTEMPTS} attempts, in turns with the limit"
        );
        let mut figures = Figures::new("decide", env!("CARGO_TARGET_TMPDIR"), &settings);
        let set = median(sets);
        let decided = |id: &str, name: &str, rates: Vec<f64>, ratio: f64| {
            Figure::new(id, name, "/s", [median(rates)]).beside(LIMIT, set).at_least(ratio)
        };
        figures.add(decided("decide-accepted", "`decide.lua`, all attempts accepted", accepted, ACCEPTED_MIN));
        figures.add(decided("decide-sold-out", "`decide.lua`, all attempts sold out", sold_out, SOLD_OUT_MIN));
        let busy = busy.map(|shares| 100.0 * median(shares));
        figures.add(Figure::new("decide-busy", "Redis' share of a core meanwhile, accepted / sold out", "%", busy));
        figures.write().expect("the target folder can be written");
    });
}
