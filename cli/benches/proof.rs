//! A million decisions: writing them beside a COPY of the same rows, and taking them out, verifying and rebuilding beside
//! a raw pass over the same topic, in the same run.
//!
//! Starts servers of its own, decides a million units through the real script, publishes them, lets the real
//! sink write them, and then times the tools as a person would run them.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

mod installation;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use flashsale_core::{Challenge, Micros, SaleConfig, SaleId, Sku};
use flashsale_ledger::Ledger;
use flashsale_localstack::{Config, Kind, Stack};
use flashsale_lua::HotState;
use flashsale_schemas::Topic;
use flashsale_sql::Store;
use flashsale_streaming::read_all;
use flashsale_testkit::figures::{Figure, Figures, median};
use installation::buyers;
use tokio_util::sync::CancellationToken;

const UNITS: usize = 1_000_000;
const SINK_BATCH_MAX: usize = 5_000;
const PASSES: usize = 3;
const SETTINGS: &str = "a million accepted decisions, starts of the processes included but for the sink's; Redis AOF \
                        everysec, Postgres fsync on, one broker that leaves the sync to the kernel";
/// Of the limits.
const SINK_MIN: f64 = 0.5;
const PASS_MIN: f64 = 0.5;

struct Bench {
    environment: Vec<(&'static str, String)>,
    ledger: Ledger,
    hot: HotState,
    store: Store,
    sale: SaleConfig,
}

fn flashsale(bench: &Bench, arguments: &[&str]) -> (Duration, String) {
    let began = Instant::now();
    let output = Command::new(installation::binary()).args(arguments).envs(bench.environment.clone()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    (began.elapsed(), text)
}

async fn open(stack: &Stack) -> Bench {
    let url = |kind| stack.url(kind).unwrap().to_owned();
    let environment = vec![
        ("FLASHSALE_BROKERS", url(Kind::Kafka)),
        ("FLASHSALE_REDIS_URL", url(Kind::Redis)),
        ("FLASHSALE_DATABASE_URL", url(Kind::Postgres)),
        ("FLASHSALE_REPLICATION", "1".into()),
        ("FLASHSALE_PROCESSOR__RECOVER__IN_FLIGHT_MS", "0".into()),
        ("FLASHSALE_SINK__BATCH_MAX", SINK_BATCH_MAX.to_string()),
        ("RUST_LOG", "warn,rdkafka=off,librdkafka=off".into()),
    ];
    let ledger = Ledger::open(flashsale_ledger::Config::new(url(Kind::Kafka), "bench")).await.unwrap();
    let hot = HotState::connect(&flashsale_lua::Config::new(url(Kind::Redis))).await.unwrap();
    hot.open_new("bench").await.unwrap();
    let store = Store::connect(&flashsale_sql::Config::new(url(Kind::Postgres))).await.unwrap();
    let now = hot.now().await.unwrap();
    let sale = SaleConfig {
        sale_id: SaleId::generate(now, 1),
        sku: Sku::new("BENCH").unwrap(),
        product_name: "bench".into(),
        initial_stock: UNITS as u64,
        start: Micros::from_millis(now.as_millis() - 1_000),
        end: Micros::from_millis(now.as_millis() + 3_600_000),
        challenge: Challenge::None,
    };
    Bench { environment, ledger, hot, store, sale }
}

/// Sells every unit and publishes every decision, as the edge does.
async fn sell(bench: &Bench) {
    let created = bench.hot.create(&bench.sale).await.unwrap();
    let changes = created.changes.iter().map(|change| (change.change, &change.status));
    bench.ledger.publish_changes(changes).await.unwrap();
    let ids: Vec<String> = created.changes.iter().map(|change| change.outbox_id.clone()).collect();
    bench.hot.settle(&bench.sale.sku, &ids).await.unwrap();
    buyers::sell(&bench.hot, &bench.ledger, &bench.sale.sku, &bench.sale.sale_id, UNITS).await;
}

/// Lets the sink write everything; returns rows a second, from the first that are there to the last.
async fn fill(bench: &Bench) -> f64 {
    let began = Instant::now();
    let mut sink = Command::new(installation::binary())
        .args(["sink", "postgres"])
        .envs(bench.environment.clone())
        .env("FLASHSALE_HTTP_ADDRESS", "127.0.0.1:0")
        .spawn()
        .unwrap();
    let rows =
        || async { bench.store.counts(&bench.sale.sale_id).await.unwrap().iter().map(|one| one.count).sum::<u64>() };
    let mut first = None;
    let rate = loop {
        let (there, now) = (rows().await, Instant::now());
        match first {
            None if there > 0 => first = Some((there, now)),
            Some((before, since)) if there >= UNITS as u64 => {
                break (there - before) as f64 / now.duration_since(since).as_secs_f64();
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(began.elapsed() < Duration::from_secs(300), "the sink does not come to an end");
    };
    println!("sink, its start included: {:.1} s", began.elapsed().as_secs_f64());
    sink.kill().unwrap();
    sink.wait().unwrap();
    rate
}

/// Rows a second of a COPY of what the sink wrote, in the same order, into a table of the same shape.
fn copy(database: &str, file: &str) -> f64 {
    let psql = |command: &str| flashsale_localstack::psql(database, command).unwrap();
    psql(&format!("\\copy purchases to '{file}'"));
    psql("create table copied (like purchases including all)");
    let began = Instant::now();
    psql(&format!("\\copy copied from '{file}'"));
    let took = began.elapsed();
    assert_eq!(psql("select count(*) from copied").trim(), UNITS.to_string());
    psql("drop table copied");
    UNITS as f64 / took.as_secs_f64()
}

/// Records a second that are read and not even decoded.
fn raw(bench: &Bench) -> f64 {
    let passes = (0..PASSES).map(|_| {
        let began = Instant::now();
        let topic = bench.ledger.topic(Topic::PurchaseDecisions);
        let (mut records, stop) = (0, CancellationToken::new());
        read_all(bench.ledger.streaming(), topic, &stop, &mut |_| records += 1).unwrap();
        assert_eq!(records, UNITS);
        UNITS as f64 / began.elapsed().as_secs_f64()
    });
    median(passes.collect())
}

/// Times the tools as a person runs them.
fn tools(bench: &Bench, stack: &Stack, folder: &Path, figures: &mut Figures) {
    let limit = raw(bench);
    let mut time = |id: &str, name: &str, arguments: &[&str]| {
        let (took, _) = flashsale(bench, arguments);
        let figure = Figure::new(id, name, "records/s", [UNITS as f64 / took.as_secs_f64()]);
        let figure = figure.beside("raw pass over the topic", limit);
        let has_goal = ["proof-export", "proof-verify", "proof-rebuild"].contains(&id);
        figures.add(if has_goal { figure.at_least(PASS_MIN) } else { figure });
    };
    let into = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for (id, format, name) in [
        ("proof-export", "parquet", "export, Parquet"),
        ("proof-export-csv", "csv", "export, CSV"),
        ("proof-export-jsonl", "jsonl", "export, JSON Lines"),
    ] {
        time(id, name, &["export", "--json", "--format", format, "--output", &into(format)]);
    }
    flashsale(bench, &["export", "--json", "--output", &into("again")]);
    let same = Command::new("diff").args(["-rq", &into("parquet"), &into("again")]).output().unwrap();
    assert!(same.status.success(), "two exports differ: {}", String::from_utf8_lossy(&same.stdout));
    time("proof-report", "report", &["report", "--sku", "BENCH", "--json"]);
    time("proof-replay", "replay into a sandbox, full speed", &["replay", "--sandbox", "try.", "--json"]);
    time("proof-verify", "verify", &["verify", "--sku", "BENCH", "--json"]);
    let redis = stack.url(Kind::Redis).unwrap().rsplit(':').next().unwrap().to_owned();
    let flushed = Command::new("redis-cli").args(["-p", &redis, "FLUSHALL"]).output().unwrap();
    assert!(flushed.status.success());
    time("proof-rebuild", "rebuild redis, emptied", &["rebuild", "redis", "--json"]);
    time("proof-rebuild-again", "rebuild redis, nothing to do", &["rebuild", "redis", "--json"]);
    time("proof-rebuild-rows", "rebuild postgres, dry run", &["rebuild", "postgres", "--dry-run", "--json"]);
    time("proof-reconcile", "reconcile", &["reconcile", "--sku", "BENCH", "--json"]);
    let (_, proof) = flashsale(bench, &["verify", "--sku", "BENCH", "--json"]);
    assert!(proof.contains("\"verified\": true"), "{proof}");
    println!("verified again after the rebuild");
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Postgres may run under a user of its own, who has to pass.
    let permissions = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    let stack = Stack::start(&Config::new(folder.path().join("servers")), &Kind::ALL, &|_| ()).unwrap();
    let bench = runtime.block_on(open(&stack));
    flashsale(&bench, &["migrate"]);
    let began = Instant::now();
    runtime.block_on(sell(&bench));
    println!("decide and publish {UNITS} units: {:.1} s", began.elapsed().as_secs_f64());
    let mut figures = Figures::new("proof", env!("CARGO_TARGET_TMPDIR"), SETTINGS);
    let written = runtime.block_on(fill(&bench));
    let copied = copy(stack.url(Kind::Postgres).unwrap(), folder.path().join("rows").to_str().unwrap());
    let name = format!("sink, rows of {SINK_BATCH_MAX} records a transaction");
    let figure = Figure::new("proof-sink", name, "rows/s", [written]);
    figures.add(figure.beside("COPY of the same rows into the same table", copied).at_least(SINK_MIN));
    tools(&bench, &stack, folder.path(), &mut figures);
    figures.write().unwrap();
}
