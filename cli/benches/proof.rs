//! Verifying and rebuilding a million decisions, beside a raw pass over the same topic in the same run.
//!
//! Starts servers of its own, decides a million units through the real script, publishes them, lets the real
//! sink write them, and then times the tools as a person would run them.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use flashsale_core::{Attempt, Challenge, Micros, Outcome, RequestId, SaleConfig, SaleId, Sku, UserId};
use flashsale_ledger::Ledger;
use flashsale_localstack::{Config, Kind, Stack};
use flashsale_lua::{ATTEMPTS_MAX, HotState};
use flashsale_schemas::{
    Topic,
    events::{self, DecidedBy, PurchaseDecision, accepted_id},
};
use flashsale_sql::Store;
use flashsale_streaming::{Delivery, read_all};
use tokio_util::sync::CancellationToken;

const UNITS: usize = 1_000_000;
const CALLS_AT_ONCE: usize = 8;

struct Bench {
    environment: Vec<(&'static str, String)>,
    ledger: Ledger,
    hot: HotState,
    store: Store,
    sale: SaleConfig,
}

fn flashsale(bench: &Bench, arguments: &[&str]) -> (Duration, String) {
    let began = Instant::now();
    let output =
        Command::new(env!("CARGO_BIN_EXE_flashsale")).args(arguments).envs(bench.environment.clone()).output().unwrap();
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
        ("FLASHSALE_SINK__BATCH_MAX", "5000".into()),
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
    let attempts: Vec<Attempt> = (0..UNITS)
        .map(|number| Attempt {
            user: UserId::new(&format!("shopper-{number:07}")).unwrap(),
            request_id: RequestId::new(&format!("0198c0de-0000-7000-8000-{number:012}")).unwrap(),
        })
        .collect();
    let work = Arc::new(tokio::sync::Mutex::new(attempts.chunks(ATTEMPTS_MAX).map(<[_]>::to_vec).collect::<Vec<_>>()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CALLS_AT_ONCE {
        let (hot, ledger, sale, work) = (bench.hot.clone(), bench.ledger.clone(), bench.sale.clone(), work.clone());
        tasks.spawn(async move {
            loop {
                let Some(batch) = work.lock().await.pop() else { return };
                publish(&hot, &ledger, &sale, &batch).await;
            }
        });
    }
    tasks.join_all().await;
}

async fn publish(hot: &HotState, ledger: &Ledger, sale: &SaleConfig, batch: &[Attempt]) {
    let decided = hot.decide(&sale.sku, &sale.sale_id, "bench", batch).await.unwrap();
    let delivery = Delivery::begin();
    for (attempt, one) in batch.iter().zip(&decided.decided) {
        let Outcome::Accepted(receipt) = &one.decision.outcome else { panic!("{one:?}") };
        ledger.send_decision(
            &delivery,
            &PurchaseDecision {
                decision_id: accepted_id(&sale.sale_id, receipt.sequence),
                sale_id: sale.sale_id.to_string(),
                sku: sale.sku.to_string(),
                user_id: attempt.user.to_string(),
                request_id: attempt.request_id.to_string(),
                outcome: events::Outcome::Accepted,
                reason: None,
                sequence: Some(receipt.sequence as i64),
                as_of_sequence: Some(one.decision.as_of_sequence as i64),
                remaining_stock: Some(one.decision.remaining as i64),
                decided_at: receipt.decided_at,
                received_at: Some(receipt.decided_at),
                decided_by: DecidedBy::Redis,
                ingest_id: "bench".into(),
            },
            &[],
        );
    }
    for change in &decided.changes {
        ledger.send_change(&delivery, change.change, &change.status);
    }
    delivery.seal();
    delivery.wait().await.unwrap();
    let mut ids: Vec<String> = decided.changes.iter().map(|change| change.outbox_id.clone()).collect();
    ids.extend(decided.outbox_id.clone());
    hot.settle(&sale.sku, &ids).await.unwrap();
}

/// Lets the sink write everything; returns how long that took.
async fn fill(bench: &Bench) -> Duration {
    let began = Instant::now();
    let mut sink = Command::new(env!("CARGO_BIN_EXE_flashsale"))
        .args(["sink", "postgres"])
        .envs(bench.environment.clone())
        .env("FLASHSALE_HTTP_ADDRESS", "127.0.0.1:0")
        .spawn()
        .unwrap();
    let rows =
        || async { bench.store.counts(&bench.sale.sale_id).await.unwrap().iter().map(|one| one.count).sum::<u64>() };
    while rows().await < UNITS as u64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() < Duration::from_secs(300), "the sink does not come to an end");
    }
    let took = began.elapsed();
    sink.kill().unwrap();
    sink.wait().unwrap();
    took
}

fn raw(bench: &Bench) -> Duration {
    let began = Instant::now();
    let topic = bench.ledger.topic(Topic::PurchaseDecisions);
    let (mut records, stop) = (0, CancellationToken::new());
    read_all(bench.ledger.streaming(), topic, &stop, &mut |_| records += 1).unwrap();
    assert_eq!(records, UNITS);
    began.elapsed()
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
    println!("sink, its start included:         {:.1} s", runtime.block_on(fill(&bench)).as_secs_f64());
    println!();
    println!("{:34} {:>7} {:>12} {:>6}", "", "s", "records/s", "ratio");
    let limit = raw(&bench);
    let line = |name: &str, took: Duration| {
        let (seconds, ratio) = (took.as_secs_f64(), limit.as_secs_f64() / took.as_secs_f64());
        println!("{name:34} {seconds:>7.2} {:>12.0} {ratio:>6.2}", UNITS as f64 / seconds);
    };
    line("raw pass over the topic", limit);
    let into = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (format, name) in
        [("parquet", "export, Parquet (goal: 10 s)"), ("csv", "export, CSV"), ("jsonl", "export, JSON Lines")]
    {
        line(name, flashsale(&bench, &["export", "--json", "--format", format, "--output", &into(format)]).0);
    }
    flashsale(&bench, &["export", "--json", "--output", &into("again")]);
    let same = Command::new("diff").args(["-rq", &into("parquet"), &into("again")]).output().unwrap();
    assert!(same.status.success(), "two exports differ: {}", String::from_utf8_lossy(&same.stdout));
    line("report", flashsale(&bench, &["report", "--sku", "BENCH", "--json"]).0);
    line("replay into a sandbox, full speed", flashsale(&bench, &["replay", "--sandbox", "try.", "--json"]).0);
    line("verify (goal: 10 s)", flashsale(&bench, &["verify", "--sku", "BENCH", "--json"]).0);
    let redis = stack.url(Kind::Redis).unwrap().rsplit(':').next().unwrap().to_owned();
    let flushed = Command::new("redis-cli").args(["-p", &redis, "FLUSHALL"]).output().unwrap();
    assert!(flushed.status.success());
    line("rebuild redis, empty (goal: 15 s)", flashsale(&bench, &["rebuild", "redis", "--json"]).0);
    line("rebuild redis, nothing to do", flashsale(&bench, &["rebuild", "redis", "--json"]).0);
    line("rebuild postgres, dry run", flashsale(&bench, &["rebuild", "postgres", "--dry-run", "--json"]).0);
    line("reconcile", flashsale(&bench, &["reconcile", "--sku", "BENCH", "--json"]).0);
    let (_, proof) = flashsale(&bench, &["verify", "--sku", "BENCH", "--json"]);
    assert!(proof.contains("\"verified\": true"), "{proof}");
    println!("verified again after the rebuild");
}
