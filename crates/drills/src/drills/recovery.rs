//! What becomes of a sale when the recovery itself is disturbed, or somebody sleeps through it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use flashsale_localstack::{Fault, Kind};
use nix::sys::signal::Signal;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::edge::{answered, once_each};
use crate::{
    Arena, Drill, Outcome,
    installation::until,
    stage::{Cast, Stage},
    verdict::Expected,
};

/// More successes than can have been under way when Redis was lost.
const UNDER_WAY_MAX: usize = 20;
/// From the death of whoever recovers until another has: a claim is over after 30 s, then everything begins anew.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(45);
/// From the return of the log until units are sold again.
const OPEN_WITH_LOG_MAX: Duration = Duration::from_secs(30);

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F29",
        name: "edge-sleeps-through-a-recovery",
        broken: "an edge is stopped with sales in hand that the log lacks; Redis is killed and loses these sales; the \
                 edge goes on 15 s later, when their units are sold to others",
        checked: "what the edge had in hand contradicts nothing, and nobody is told of it",
        quick: false,
        play: |arena, seed| Box::pin(sleeps_through_a_recovery(arena, seed)),
    },
    Drill {
        fault: "F30",
        name: "processor-dies-recovering",
        broken: "SIGKILL of the processor that recovers Redis",
        checked: "another takes over when the claim is over; selling again within 45 s",
        quick: false,
        play: |arena, seed| Box::pin(processor_dies_recovering(arena, seed)),
    },
    Drill {
        fault: "F31",
        name: "two-processors-recover",
        broken: "Redis loses its last second, and two processors find it at the same time",
        checked: "exactly one of them recovers, and both go on",
        quick: false,
        play: |arena, seed| Box::pin(two_processors_recover(arena, seed)),
    },
    Drill {
        fault: "F32",
        name: "redis-flushed-while-it-runs",
        broken: "FLUSHALL on a running Redis under load: the process stays, its data is gone",
        checked: "closed until rebuilt from the log; selling again within 15 s",
        quick: false,
        play: |arena, seed| Box::pin(flushed_while_it_runs(arena, seed)),
    },
    Drill {
        fault: "F33",
        name: "redis-dies-while-recovered",
        broken: "Redis loses its last second, and is killed twice more in the middle of its recovery",
        checked: "the last process is recovered and sells; none before it does",
        quick: false,
        play: |arena, seed| Box::pin(dies_while_recovered(arena, seed)),
    },
    Drill {
        fault: "F34",
        name: "no-log-to-recover-from",
        broken: "the broker is down when Redis restarts",
        checked: "closed as long as the log cannot be read; selling again within 30 s of its return",
        quick: false,
        play: |arena, seed| Box::pin(no_log_to_recover_from(arena, seed)),
    },
];

/// A place in the append-only file of Redis.
pub(super) struct Mark {
    file: PathBuf,
    length: u64,
}

impl Mark {
    /// Where it ends now.
    pub(super) fn set(arena: &Arena) -> Result<Self> {
        let file = super::redis::append_only_file(arena)?;
        let length = std::fs::metadata(&file)?.len();
        Ok(Self { file, length })
    }

    /// SIGKILL of Redis; what it wrote since is cut off, and it starts again. Returns how many bytes that were.
    pub(super) fn lose(&self, arena: &Arena) -> Result<u64> {
        let server = arena.server(Kind::Redis)?;
        server.kill();
        let lost = std::fs::metadata(&self.file)?.len().saturating_sub(self.length);
        ensure!(lost > 0, "nothing is to be cut from the append-only file");
        std::fs::OpenOptions::new().write(true).open(&self.file)?.set_len(self.length)?;
        tokio::task::block_in_place(|| server.restart())?;
        Ok(lost)
    }
}

/// The token of whoever recovers Redis now.
async fn recoverer(stage: &Stage) -> Result<Option<String>> {
    // A new connection each time: a recovery cuts all there are.
    let mut direct = stage.shop.redis().await?;
    Ok(redis::cmd("GET").arg(stage.shop.hot.keys().claim()).query_async(&mut direct).await?)
}

/// Waits until somebody recovers Redis.
async fn until_recovering(stage: &Stage) -> Result<()> {
    let patience = Duration::from_secs(20);
    until("a recovery to be under way", patience, async || Ok(recoverer(stage).await?.is_some())).await?;
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

async fn sleeps_through_a_recovery(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    const IN_HAND: usize = 50;
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    stage.crowd("f29", 200, 0).finish().await?;
    until("the outbox to be empty", Duration::from_secs(20), async || {
        Ok(stage.shop.hot.outbox_len(&stage.sale.sku).await? == 0)
    })
    .await?;
    let sold = stage.shop.hot.snapshot(&stage.sale.sku).await?.map_or(0, |sale| sale.sequence);

    // Decided, and nothing of it reaches the log: what is on its way there goes down with its connection.
    let mark = Mark::set(&arena)?;
    arena.kafka.set(Fault::HalfOpen);
    let mut in_hand = JoinSet::new();
    once_each(&mut in_hand, &stage, "f29-late", IN_HAND, &stage.ingests[0].url, Duration::from_secs(8));
    until("the edge to have sales in hand", Duration::from_secs(5), async || {
        let sale = stage.shop.hot.snapshot(&stage.sale.sku).await?;
        Ok(sale.is_some_and(|sale| sale.sequence >= sold + IN_HAND as u64))
    })
    .await?;
    stage.ingests[0].signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    tokio::task::block_in_place(|| arena.kafka.reset());
    arena.kafka.heal();
    mark.lose(&arena)?;

    let before = stage.diary.successes() + UNDER_WAY_MAX;
    let others = stage.crowd("f29-next", 300, 50);
    let reopened = super::redis::until_selling(&stage, stopped, before).await?;
    answered(in_hand).await?;
    // The same shoppers with the same keys, at both edges.
    let again = stage.crowd("f29-late", IN_HAND, 0);
    until("15 s to pass", Duration::from_secs(20), async || Ok(stopped.elapsed() >= Duration::from_secs(15))).await?;
    stage.ingests[0].signal(Signal::SIGCONT);
    again.finish().await?;
    others.finish().await?;
    stage.figure("sales in hand", IN_HAND);
    stage.figure("reopened in", seconds(reopened));
    stage.conclude(Expected::default()).await
}

async fn processor_dies_recovering(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let cast = Cast { processors: 2, ..Cast::default() };
    let mut stage = Stage::set(arena.clone(), seed, cast, 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f30", 300, 40);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 100)).await?;
    // So that it is known which one recovers.
    stage.processors[1].signal(Signal::SIGSTOP);
    let mark = Mark::set(&arena)?;
    sleep(Duration::from_secs(1)).await;
    mark.lose(&arena)?;
    until_recovering(&stage).await?;
    stage.processors[0].kill();
    stage.processors[1].signal(Signal::SIGCONT);
    let (began, before) = (Instant::now(), stage.diary.successes() + UNDER_WAY_MAX);
    let patience = TAKEN_OVER_MAX + Duration::from_secs(20);
    until("another to take over", patience, async || Ok(stage.diary.successes() > before)).await?;
    let taken_over = began.elapsed();
    ensure!(taken_over <= TAKEN_OVER_MAX, "selling again only after {taken_over:?}");
    rush.finish().await?;
    stage.figure("taken over and reopened in", seconds(taken_over));
    stage.conclude(Expected::default()).await
}

/// How many recoveries the processors have told of.
fn recoveries(stage: &Stage) -> usize {
    let told = |log: String| log.matches("Redis is verified against the log").count();
    stage.processors.iter().map(|processor| told(processor.log())).sum()
}

async fn two_processors_recover(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let cast = Cast { processors: 2, ..Cast::default() };
    let mut stage = Stage::set(arena.clone(), seed, cast, 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f31", 1_000, 60);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 100)).await?;
    let (mark, known) = (Mark::set(&arena)?, recoveries(&stage));
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let lost = mark.lose(&arena)?;
    let before = stage.diary.successes() + UNDER_WAY_MAX;
    let reopened = super::redis::until_selling(&stage, began, before).await?;
    ensure!(reopened <= super::redis::REOPEN_MAX, "selling again only after {reopened:?}");
    rush.finish().await?;
    until("the recovery to be told of", Duration::from_secs(10), async || Ok(recoveries(&stage) > known)).await?;
    let (more, claimed) = (recoveries(&stage) - known, recoverer(&stage).await?);
    ensure!(more == 1 && claimed.is_none(), "{more} recoveries of one Redis; recovering now: {claimed:?}");
    for processor in &stage.processors {
        ensure!(processor.ended().is_none(), "a processor has ended:\n{}", processor.log_tail());
        let open = stage.shop.metric(processor, "flashsale_fence_open", "").await?;
        ensure!(open == 1.0, "a processor takes Redis for closed");
    }
    stage.figure("bytes lost", lost);
    stage.figure("reopened in", seconds(reopened));
    stage.conclude(Expected::default()).await
}

async fn flushed_while_it_runs(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f32", 800, 80);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 200)).await?;
    let mut direct = stage.shop.redis().await?;
    let began = Instant::now();
    redis::cmd("FLUSHALL").exec_async(&mut direct).await?;
    let before = stage.diary.successes() + UNDER_WAY_MAX;
    let reopened = super::redis::until_selling(&stage, began, before).await?;
    ensure!(reopened <= super::redis::REOPEN_MAX, "selling again only after {reopened:?}");
    rush.finish().await?;
    stage.figure("reopened in", seconds(reopened));
    stage.conclude(Expected::default()).await
}

async fn dies_while_recovered(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    const DEATHS: usize = 2;
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f33", 400, 50);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 100)).await?;
    let mark = Mark::set(&arena)?;
    sleep(Duration::from_secs(1)).await;
    mark.lose(&arena)?;
    let before = stage.diary.successes() + UNDER_WAY_MAX;
    for _ in 0..DEATHS {
        until_recovering(&stage).await?;
        // Somewhere in its middle.
        sleep(Duration::from_secs(2)).await;
        let server = arena.server(Kind::Redis)?;
        server.kill();
        tokio::task::block_in_place(|| server.restart())?;
    }
    let began = Instant::now();
    let sold = stage.diary.successes();
    ensure!(sold <= before, "{sold} units were sold by a Redis that nobody had recovered");
    until("units to be sold again", Duration::from_secs(60), async || Ok(stage.diary.successes() > before)).await?;
    let reopened = began.elapsed();
    rush.finish().await?;
    stage.figure("reopened after the last death in", seconds(reopened));
    stage.conclude(Expected::default()).await
}

async fn no_log_to_recover_from(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f34", 500, 50);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 100)).await?;
    let (broker, server) = (arena.server(Kind::Kafka)?, arena.server(Kind::Redis)?);
    broker.kill();
    server.kill();
    tokio::task::block_in_place(|| server.restart())?;
    // What was decided before is answered by then, if only with PENDING.
    sleep(Duration::from_secs(5)).await;
    let (before, tries) = (stage.diary.successes(), stage.diary.len());
    // Longer than a recovery takes when the log is there.
    sleep(Duration::from_secs(12)).await;
    let (sold, refused) = (stage.diary.successes() - before, stage.diary.len() - tries);
    ensure!(sold == 0, "{sold} units were sold although the log could not be read");
    ensure!(refused > 0, "nobody tried while the log was away");
    ensure!(!stage.shop.hot.fence().await?.verified, "Redis was verified without the log");
    tokio::task::block_in_place(|| broker.restart())?;
    let reopened = super::redis::until_selling(&stage, Instant::now(), before).await?;
    ensure!(reopened <= OPEN_WITH_LOG_MAX, "selling again only {reopened:?} after the log came back");
    rush.finish().await?;
    stage.figure("refused meanwhile", refused);
    stage.figure("reopened after the log in", seconds(reopened));
    stage.conclude(Expected::default()).await
}
