//! An ingest under five times the load that it can take, everything on this machine.
//!
//! What it can take is measured first: so many connections, each with the next attempt as soon as it has its answer.
//! Then attempts come by schedule, five times as many a second, whether or not there are answers. `FLOOD_SECONDS` says
//! for how long, `FLOOD_CONNECTIONS` on how many connections. Exit code 1: something else was answered than a decision
//! or a refusal that says when to come back, or the stores do not agree afterwards.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

mod installation;

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitCode},
    time::{Duration, Instant},
};

use axum::http::Request;
use flashsale_drills::flood::{Flood, Tally};
use flashsale_localstack::Kind;
use installation::{client, create_sale, percentile, send, start};

/// More than anybody buys here.
const STOCK: u64 = 50_000_000;
const OVERLOAD: f64 = 5.0;
const CALM_CONNECTIONS: usize = 256;
const CALM_LASTS: Duration = Duration::from_secs(10);
/// How long the rows may take to be there afterwards.
const PATIENCE: Duration = Duration::from_secs(600);

/// The ingest that is flooded, beside the installation that does the rest; killed when dropped.
struct Edge {
    child: Child,
    server: SocketAddr,
}

impl Drop for Edge {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Edge {
    fn start(folder: &Path) -> Self {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashsale"));
        command.arg("ingest").env("FLASHSALE_HTTP_ADDRESS", server.to_string()).env("RUST_LOG", "warn");
        for (kind, url) in flashsale_localstack::running(folder).unwrap() {
            let name = match kind {
                Kind::Kafka => "FLASHSALE_BROKERS",
                Kind::Redis => "FLASHSALE_REDIS_URL",
                Kind::Postgres => "FLASHSALE_DATABASE_URL",
            };
            command.env(name, url);
        }
        Self { child: command.spawn().unwrap(), server }
    }

    /// A line of what the kernel knows of its memory, in KiB.
    fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    fn flood(&self, users: &str, connections: usize, rate: Option<f64>, lasts: Duration) -> Tally {
        let flood = Flood {
            server: self.server,
            sku: "BENCH".into(),
            users: users.into(),
            connections,
            rate,
            lasts,
            attempts_per_connection: 100,
            threads: 2,
        };
        tokio::task::block_in_place(|| flood.run().unwrap())
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Whether `verify` proves the sale, as soon as the rows are there.
fn proven(folder: &Path) -> bool {
    let began = Instant::now();
    loop {
        let mut verify = Command::new(env!("CARGO_BIN_EXE_flashsale"));
        let output = verify.args(["verify", "--sku", "BENCH"]).env("FLASHSALE_DATA_DIR", folder).output().unwrap();
        if output.status.success() {
            return true;
        }
        if began.elapsed() > PATIENCE {
            println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            return false;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn show(name: &str, tally: &Tally, lasts: Duration) {
    let seconds = lasts.as_secs_f64();
    println!("{name}: {} attempts in {seconds:.0} s, {:.0}/s", tally.sent(), tally.sent() as f64 / seconds);
    for (status, count) in &tally.statuses {
        println!("  {status}   {count}   {:.0}/s", *count as f64 / seconds);
    }
    let times = [
        ("decided, from sending", &tally.decided_us),
        ("decided, from the intended send time", &tally.decided_since_due_us),
        ("refused, from sending", &tally.refused_us),
    ];
    for (what, times) in times.into_iter().filter(|(_, times)| !times.is_empty()) {
        let of = |per_mille| percentile(times, per_mille);
        println!("  {what:<37} p50 / p99 / p99.9   {:.1} / {:.1} / {:.1} ms", of(500), of(990), of(999));
    }
}

async fn bench(folder: &Path) -> ExitCode {
    let lasts = Duration::from_secs(from_environment("FLOOD_SECONDS", 60));
    let connections = usize::try_from(from_environment("FLOOD_CONNECTIONS", 6_000)).unwrap();
    let up = start(folder);
    let (http, edge) = (client(), Edge::start(folder));
    create_sale(&http, &up.url, &up.database, STOCK).await;
    let url = format!("http://{}", edge.server);
    while std::net::TcpStream::connect(edge.server).is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let probe = || {
        let request = Request::post(format!("{url}/api/v1/purchases"));
        let request = request.header("x-user-id", "probe").header("content-type", "application/json");
        request.body(r#"{"sku":"BENCH"}"#.into()).unwrap()
    };
    while send(&http, probe()).await.0 != 200 {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }

    let calm = edge.flood("calm", CALM_CONNECTIONS, None, CALM_LASTS);
    let capacity = calm.decided() as f64 / CALM_LASTS.as_secs_f64();
    show(&format!("as fast as answers come, {CALM_CONNECTIONS} connections"), &calm, CALM_LASTS);
    let before = edge.memory_kib("VmRSS");
    let rate = OVERLOAD * capacity;
    let flood = edge.flood("flood", connections, Some(rate), lasts);
    let (highest, after) = (edge.memory_kib("VmHWM"), edge.memory_kib("VmRSS"));
    show(&format!("wanted {rate:.0}/s, {connections} connections"), &flood, lasts);
    println!("  memory of the ingest before / highest / after   {before} / {highest} / {after} KiB");
    let wrong = [calm.wrong(), flood.wrong()].concat();
    wrong.iter().for_each(|what| println!("  wrong: {what}"));
    let proven = proven(folder);
    println!("  verify: {}", if proven { "everything holds" } else { "it does not hold" });
    if proven && wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    flashsale_platform::open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::Builder::new().prefix("flashsale-bench-").tempdir().unwrap();
    runtime.block_on(bench(folder.path()))
}
