//! What becomes of the view when the sink, its group, or Postgres fails.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_ledger::SINK_POSTGRES;
use flashsale_localstack::{Fault, Kind};
use flashsale_schemas::Topic;
use flashsale_streaming::{Observer, Partition};
use nix::sys::signal::Signal;
use rand::Rng;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    Arena, Drill, Outcome,
    installation::{Service, until},
    rows::{rows, until_counts_agree, until_written},
    shoppers::Told,
    stage::{Cast, Stage},
    verdict::Expected,
};

pub(crate) const SINK: &[&str] = &["sink", "postgres"];
/// A member with a name of its own gets its partitions back at once; without one a dead member keeps them for 45 s.
const NAMED: &[(&str, &str)] = &[("FLASHSALE_INSTANCE", "drill-sink")];
/// How often the sink is killed.
const KILLS: u32 = 8;
/// How often another sink joins or leaves, and the time between.
const COMINGS_AND_GOINGS: u32 = 10;
const BETWEEN: Duration = Duration::from_secs(2);
/// Looks at the rows, one each time, among which there must be more.
const PROGRESS_WITHIN: usize = 4;
/// How long the brokers' answers vanish, and how long until the sink must have noticed.
const SILENCE: Duration = Duration::from_secs(20);
const NOTICED_MAX: Duration = Duration::from_secs(60);
/// Shoppers a second while Postgres is away.
const A_SECOND: u32 = 60;
/// How often connections to Postgres are reset.
const CUTS: u32 = 5;
/// The sink in metrics.
const SINK_NAME: &str = "consumer=\"sink-postgres\"";
const BREAKER: &str = "flashsale_consumer_breaker_state";
const FAILURES: &str = "flashsale_consumer_failures_total";
const STALLED: &str = "flashsale_consumer_stalled_total";

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F15",
        name: "sink-dies-again-and-again",
        broken: "SIGKILL of the sink under load, eight times at random moments",
        checked: "Postgres counts exactly the successes and refusals of the log",
        quick: true,
        play: |arena, seed| Box::pin(dies_again_and_again(arena, seed)),
    },
    Drill {
        fault: "F16",
        name: "sinks-come-and-go",
        broken: "a second sink joins or leaves every 2 s, Postgres 100 ms away",
        checked: "rows are written all the time",
        quick: false,
        play: |arena, seed| Box::pin(come_and_go(arena, seed)),
    },
    Drill {
        fault: "F17",
        name: "partitions-yield-nothing",
        broken: "the brokers' answers vanish for 20 s: partitions are assigned and yield nothing",
        checked: "the sink connects anew and goes on within 60 s",
        quick: false,
        play: |arena, seed| Box::pin(yield_nothing(arena, seed)),
    },
    Drill {
        fault: "F18",
        name: "postgres-away",
        broken: "Postgres killed for 10 s under load",
        checked: "the sink's breaker opens and closes, no dead letters, the edges' p99 unchanged",
        quick: true,
        play: |arena, seed| Box::pin(postgres_away(arena, seed, Duration::from_secs(10))),
    },
    Drill {
        fault: "F18",
        name: "postgres-away-two-minutes",
        broken: "Postgres killed for 120 s under load",
        checked: "the sink's breaker opens and closes, no dead letters, the edges' p99 unchanged",
        quick: false,
        play: |arena, seed| Box::pin(postgres_away(arena, seed, Duration::from_secs(120))),
    },
    Drill {
        fault: "F19",
        name: "postgres-slow-cut-deadlocked",
        broken: "Postgres 300 ms away, connections reset five times, its table locked for 3 s, then a deadlock",
        checked: "batches are tried again whole",
        quick: false,
        play: |arena, seed| Box::pin(slow_cut_and_deadlocked(arena, seed)),
    },
    Drill {
        fault: "F24",
        name: "group-reset-to-the-start",
        broken: "the offsets of the stopped sink's group on the broker set to 0",
        checked: "Postgres is unchanged and no record is read twice",
        quick: true,
        play: |arena, seed| Box::pin(group_reset(arena, seed)),
    },
];

async fn dies_again_and_again(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let cast = Cast { sinks: 0, ..Cast::default() };
    // Fewer units than shoppers, so that refusals are counted too.
    let mut stage = Stage::set(arena, seed, cast, 600, Duration::from_secs(600)).await?;
    let first = stage.shop.start_with(SINK, NAMED).await?;
    stage.sinks.push(first);
    let rush = stage.crowd("f15", 1_000, 100);
    let mut written = Vec::new();
    for _ in 0..KILLS {
        // The load runs.
        let moment = stage.random.random_range(50..900);
        sleep(Duration::from_millis(moment)).await;
        stage.sinks[0].kill();
        written.push(rows(&stage).await?);
        let next = stage.shop.start_with(SINK, NAMED).await?;
        stage.sinks[0] = next;
    }
    rush.finish().await?;
    let logged = until_counts_agree(&stage, Duration::from_secs(40)).await?;
    ensure!(logged.refused() > 0, "nobody was refused");
    stage.figure("rows at each kill", format!("{written:?}"));
    stage.figure("refused", logged.refused());
    stage.conclude(Expected { sold_out: true, ..Expected::default() }).await
}

async fn come_and_go(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 8_000, Duration::from_secs(600)).await?;
    let (delay, jitter) = (Duration::from_millis(50), Duration::from_millis(20));
    arena.postgres.set(Fault::Latency { delay, jitter });
    let rush = stage.crowd("f16", 2_400, 100);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(rows(&stage).await? > 100)).await?;
    let (mut guests, mut seen): (Vec<Service>, Vec<u64>) = (Vec::new(), Vec::new());
    for number in 0..COMINGS_AND_GOINGS {
        match guests.last() {
            Some(guest) if number % 2 == 1 => guest.signal(Signal::SIGTERM),
            _ => guests.push(stage.shop.spawn(SINK, &[])?),
        }
        sleep(BETWEEN).await;
        seen.push(rows(&stage).await?);
    }
    ensure!(
        seen.windows(PROGRESS_WITHIN + 1).all(|few| few[0] < few[PROGRESS_WITHIN]),
        "no row was written for {} s: {seen:?} rows",
        BETWEEN.as_secs() * PROGRESS_WITHIN as u64
    );
    for guest in &guests {
        let left = until("a sink to leave", Duration::from_secs(40), async || Ok(guest.ended().is_some())).await;
        left.with_context(|| guest.log_tail())?;
    }
    rush.finish().await?;
    arena.postgres.heal();
    stage.figure("rows after each coming and going", format!("{seen:?}"));
    stage.conclude(Expected::default()).await
}

async fn yield_nothing(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 2_000, Duration::from_secs(600)).await?;
    stage.crowd("f17-before", 200, 0).finish().await?;
    until_written(&stage, Duration::from_secs(20)).await?;
    // Nobody buys: what is lost is the answers to those who wait for records.
    arena.kafka.set(Fault::OneWay { to_server: false });
    sleep(SILENCE).await;
    arena.kafka.heal();
    let healed = Instant::now();
    let rush = stage.crowd("f17-after", 200, 0);
    rush.finish().await?;
    let left = NOTICED_MAX.saturating_sub(healed.elapsed());
    until_written(&stage, left).await.context("the sink has not noticed")?;
    let took = healed.elapsed();
    // A counter that was never counted is not shown: the client itself was sooner.
    let stalled = stage.shop.metric(&stage.sinks[0], STALLED, "").await.unwrap_or(0.0);
    stage.figure("went on after", format!("{:.0} s", took.as_secs_f64()));
    stage.figure("started anew by the watchdog", stalled);
    stage.conclude(Expected { converge_max: Some(NOTICED_MAX), ..Expected::default() }).await
}

/// How long the slowest success but for one in a hundred took.
fn p99(told: &[Told]) -> Result<Duration> {
    let mut took: Vec<Duration> = told.iter().filter(|one| one.is_success()).map(|one| one.took).collect();
    took.sort_unstable();
    took.get(took.len() * 99 / 100).copied().context("nobody bought anything")
}

async fn postgres_away(arena: Arc<Arena>, seed: u64, outage: Duration) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 20_000, Duration::from_secs(900)).await?;
    let seconds = usize::try_from(outage.as_secs())? + 6;
    let rush = stage.crowd("f18", seconds * A_SECOND as usize, A_SECOND);
    let swing = 3 * A_SECOND as usize;
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > swing)).await?;
    let (before, server) = (stage.diary.len(), arena.server(Kind::Postgres)?);
    server.kill();
    let began = Instant::now();
    let breaker = async || stage.shop.metric(&stage.sinks[0], BREAKER, SINK_NAME).await;
    until("the sink's breaker to open", Duration::from_secs(20), async || Ok(breaker().await? > 0.0)).await?;
    sleep_until(began + outage).await;
    let still_open = breaker().await? > 0.0;
    let during = stage.diary.len();
    tokio::task::block_in_place(|| server.restart())?;
    let closed = until("the breaker to close", Duration::from_secs(20), async || Ok(breaker().await? == 0.0)).await?;
    ensure!(still_open, "the sink took Postgres for well while it was away");
    rush.finish().await?;
    let told = stage.diary.all();
    let (calm, away) = (p99(&told[..before])?, p99(&told[before..during])?);
    let most = calm * 3 + Duration::from_millis(50);
    ensure!(away <= most, "with Postgres away the edges' p99 was {away:?}, before it {calm:?}");
    stage.figure("p99 before", format!("{} ms", calm.as_millis()));
    stage.figure("p99 meanwhile", format!("{} ms", away.as_millis()));
    stage.figure("breaker closed after", format!("{:.1} s", closed.as_secs_f64()));
    stage.conclude(Expected::default()).await
}

async fn slow_cut_and_deadlocked(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 8_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f19", 1_600, 100);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(rows(&stage).await? > 100)).await?;
    // Each way, so 300 ms for an answer.
    let (delay, jitter) = (Duration::from_millis(150), Duration::from_millis(30));
    arena.postgres.set(Fault::Latency { delay, jitter });
    for _ in 0..CUTS {
        let moment = stage.random.random_range(400..1_200);
        sleep(Duration::from_millis(moment)).await;
        tokio::task::block_in_place(|| arena.postgres.reset());
    }
    arena.postgres.heal();
    until("rows again", Duration::from_secs(30), async || breaker_is_closed(&stage).await).await?;
    stage.shop.sql("BEGIN; LOCK TABLE purchases IN EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT").await?;
    let victim = deadlock(&stage).await?;
    rush.finish().await?;
    until_counts_agree(&stage, Duration::from_secs(40)).await?;
    let failures = write_failures(&stage).await;
    stage.figure("writes that failed", failures);
    stage.figure("victim of the deadlock", victim);
    stage.conclude(Expected::default()).await
}

async fn breaker_is_closed(stage: &Stage) -> Result<bool> {
    Ok(stage.shop.metric(&stage.sinks[0], BREAKER, SINK_NAME).await? == 0.0)
}

async fn write_failures(stage: &Stage) -> f64 {
    // A counter that was never counted is not shown.
    stage.shop.metric(&stage.sinks[0], FAILURES, "step=\"write\"").await.unwrap_or(0.0)
}

/// Takes the table that the sink inserts into, then wants the offsets that the sink holds by then, while shoppers buy.
/// Returns whose transaction Postgres ended.
async fn deadlock(stage: &Stage) -> Result<&'static str> {
    const TRIES: u32 = 5;
    let embrace = "BEGIN; LOCK TABLE purchases IN EXCLUSIVE MODE; SELECT pg_sleep(1); \
                   UPDATE consumer_offsets SET updated_at = updated_at; COMMIT";
    for number in 1..=TRIES {
        let before = write_failures(stage).await;
        let rush = stage.crowd(&format!("f19-lock-{number}"), 30, 30);
        let embraced = stage.shop.sql(embrace).await;
        rush.finish().await?;
        if let Err(error) = embraced {
            ensure!(format!("{error:#}").contains("deadlock"), "{error:#}");
            return Ok("the drill");
        }
        let failed = async || Ok(write_failures(stage).await > before);
        if until("the sink to be the victim", Duration::from_secs(3), failed).await.is_ok() {
            return Ok("the sink");
        }
    }
    anyhow::bail!("nothing deadlocked in {TRIES} tries")
}

/// What stands in Postgres of the shoppers who came before the reset, with the times when it was written.
async fn image(stage: &Stage) -> Result<String> {
    let rows = "SELECT count(*), md5(string_agg(p::text, '|' ORDER BY p.sequence)) FROM purchases p \
                WHERE p.user_id NOT LIKE 'f24-after-%'";
    stage.shop.sql(rows).await
}

async fn group_reset(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 2_000, Duration::from_secs(600)).await?;
    stage.crowd("f24-before", 400, 0).finish().await?;
    until_counts_agree(&stage, Duration::from_secs(20)).await?;
    stage.sinks[0].signal(Signal::SIGTERM);
    until("the sink to stop", Duration::from_secs(40), async || Ok(stage.sinks[0].ended().is_some())).await?;
    let before = image(&stage).await?;
    let ledger = &stage.shop.ledger;
    let (group, topic) = (ledger.group(SINK_POSTGRES), ledger.topic(Topic::PurchaseDecisions));
    let beginnings = flashsale_streaming::partitions(ledger.streaming(), topic).await?;
    let start = |number| (Partition { topic: topic.into(), number }, 0);
    let (mut observer, start) = (Observer::new(ledger.streaming())?, beginnings.into_keys().map(start).collect());
    tokio::task::spawn_blocking(move || observer.commit(&group, &start)).await??;
    stage.shop.restart(&stage.sinks[0]).await?;
    stage.crowd("f24-after", 100, 0).finish().await?;
    until_counts_agree(&stage, Duration::from_secs(20)).await?;
    let after = image(&stage).await?;
    ensure!(before == after, "rows were written again: {before}, then {after}");
    let twice = stage.shop.sql("SELECT count(*) FROM consumer_offsets WHERE consumed <> next_offset").await?;
    ensure!(twice == "0", "{twice} partitions were read twice");
    let read = stage.shop.sql("SELECT sum(consumed) FROM consumer_offsets").await?;
    stage.figure("records, each read once", read);
    stage.conclude(Expected::default()).await
}
