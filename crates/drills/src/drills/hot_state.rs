//! What becomes of a sale when Redis is replaced by an older one, forgets its scripts, stands still or is full.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_localstack::{Config, Kind, Server};
use nix::sys::signal::Signal;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep};

use super::edge::address_of;
use crate::{
    Arena, Drill, Outcome,
    installation::until,
    stage::{Cast, Stage},
    verdict::Expected,
};

/// More successes than can have been under way when Redis was lost.
const UNDER_WAY_MAX: usize = 20;

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F7",
        name: "replica-takes-over-late",
        broken: "Redis is replaced by a replica that is 5 s behind, under load",
        checked: "closed until rebuilt from the log; selling again within 15 s",
        quick: false,
        play: |arena, seed| Box::pin(replica_takes_over_late(arena, seed)),
    },
    Drill {
        fault: "F8",
        name: "scripts-flushed",
        broken: "SCRIPT FLUSH every 200 ms under load",
        checked: "no purchase fails: the first answer of every shopper is the final one",
        quick: true,
        play: |arena, seed| Box::pin(scripts_flushed(arena, seed)),
    },
    Drill {
        fault: "F9",
        name: "redis-stands-still-then-is-full",
        broken: "Redis is stopped for 5 s under load, then has no memory left",
        checked: "503 with Retry-After and in time; no unit is taken without a trace; selling goes on afterwards",
        quick: false,
        play: |arena, seed| Box::pin(stands_still_then_is_full(arena, seed)),
    },
];

/// Makes `replica` follow the Redis of the arena; returns when it has what that has.
async fn follow(stage: &Stage, arena: &Arena, replica: &MultiplexedConnection) -> Result<()> {
    let address = address_of(&arena.direct(Kind::Redis)?)?;
    let (mut master, mut replica) = (stage.shop.redis().await?, replica.clone());
    // Else the copy begins only 5 s later, in case that more replicas want it.
    redis::cmd("CONFIG").arg("SET").arg("repl-diskless-sync-delay").arg(0).exec_async(&mut master).await?;
    let (host, port) = (address.ip().to_string(), address.port());
    redis::cmd("REPLICAOF").arg(host).arg(port).exec_async(&mut replica).await?;
    until("the replica to be in sync", Duration::from_secs(30), async || {
        let (mut master, mut replica) = (master.clone(), replica.clone());
        let info: String = redis::cmd("INFO").arg("replication").query_async(&mut replica).await?;
        let held: u64 = redis::cmd("DBSIZE").query_async(&mut master).await?;
        let copied: u64 = redis::cmd("DBSIZE").query_async(&mut replica).await?;
        Ok(info.contains("master_link_status:up") && held == copied)
    })
    .await?;
    Ok(())
}

/// Units sold as that server counts them.
async fn sold(stage: &Stage, server: &MultiplexedConnection) -> Result<u64> {
    let (mut server, key) = (server.clone(), stage.shop.hot.keys().sale(&stage.sale.sku));
    let sold: Option<u64> = redis::cmd("HGET").arg(key).arg("seq").query_async(&mut server).await?;
    Ok(sold.unwrap_or(0))
}

async fn replica_takes_over_late(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let dir = arena.scratch(&format!("replica-{}", stage.shop.prefix))?;
    let server = tokio::task::block_in_place(|| Server::start(Kind::Redis, &Config::new(dir), &|_| ()))?;
    let replica = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
    follow(&stage, &arena, &replica).await?;
    let rush = stage.crowd("f7", 1_500, 100);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 200)).await?;
    until("the replica to see it", Duration::from_secs(10), async || Ok(sold(&stage, &replica).await? >= 200)).await?;
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut replica.clone()).await?;
    // What is sold now only the master knows.
    sleep(Duration::from_secs(5)).await;
    let behind = sold(&stage, &stage.shop.redis().await?).await?.saturating_sub(sold(&stage, &replica).await?);
    let began = Instant::now();
    arena.server(Kind::Redis)?.kill();
    let address = address_of(server.url())?;
    tokio::task::block_in_place(|| arena.redis.set_upstream(address));
    let before = stage.diary.successes() + UNDER_WAY_MAX;
    let reopened = super::redis::until_selling(&stage, began, before).await?;
    ensure!(behind > 0, "the replica was not behind");
    ensure!(reopened <= super::redis::REOPEN_MAX, "selling again only after {reopened:?}");
    rush.finish().await?;
    stage.figure("units that the replica lacked", behind);
    stage.figure("reopened in", format!("{:.1} s", reopened.as_secs_f64()));
    let outcome = stage.conclude(Expected::default()).await;
    // Needed until now: it is the Redis that the verdict asked.
    tokio::task::block_in_place(|| drop(server));
    outcome
}

async fn scripts_flushed(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 600, Duration::from_secs(300)).await?;
    let mut direct = stage.shop.redis().await?;
    let rush = stage.crowd("f8", 800, 100);
    let (began, mut flushes) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(8) {
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut direct).await?;
        flushes += 1;
        sleep(Duration::from_millis(200)).await;
    }
    rush.finish().await?;
    let told = stage.diary.all();
    let mut failed = told.iter().filter(|told| told.user.starts_with("f8-") && !told.is_final());
    if let Some(first) = failed.next() {
        anyhow::bail!("{} purchases failed, such as that of {}: {:?}", failed.count() + 1, first.user, first.answer);
    }
    stage.figure("flushed", format!("{flushes} times"));
    stage.conclude(Expected { sold_out: true, ..Expected::default() }).await
}

/// How many were refused for now.
fn unavailable(stage: &Stage) -> usize {
    let told = stage.diary.all();
    told.iter().filter(|told| matches!(&told.answer, Ok(answer) if answer.status == 503)).count()
}

/// Leaves Redis without memory until purchases have been refused for it; returns how many were.
async fn fill(stage: &Stage, direct: &mut MultiplexedConnection) -> Result<usize> {
    let before = unavailable(stage);
    let info: String = redis::cmd("INFO").arg("memory").query_async(direct).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("Redis tells its memory")?;
    // Below what it has, for buffers come and go by more than a sale needs.
    let most = used.trim().parse::<u64>()? / 2;
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(most).exec_async(direct).await?;
    until("purchases to be refused", Duration::from_secs(15), async || Ok(unavailable(stage) >= before + 50)).await?;
    Ok(unavailable(stage) - before)
}

async fn stands_still_then_is_full(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 1_000, Duration::from_secs(300)).await?;
    let rush = stage.crowd("f9", 800, 40);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 50)).await?;
    let pid = arena.server(Kind::Redis)?.pid();
    crate::arena::signal(pid, Signal::SIGSTOP);
    sleep(Duration::from_secs(5)).await;
    crate::arena::signal(pid, Signal::SIGCONT);
    let before = stage.diary.successes() + UNDER_WAY_MAX;
    let resumed = super::redis::until_selling(&stage, Instant::now(), before).await?;
    let stopped = unavailable(&stage);
    ensure!(stopped > 0, "nobody was refused while Redis stood still");

    let mut direct = stage.shop.redis().await?;
    let refused = fill(&stage, &mut direct).await;
    // In any case: the drills after this one use the same server.
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).exec_async(&mut direct).await?;
    let refused = refused?;
    rush.finish().await?;
    let unanswered = stage.diary.all().into_iter().find(|told| told.answer.is_err());
    ensure!(unanswered.is_none(), "an attempt was not answered in time: {unanswered:?}");
    stage.figure("refused while it stood still", stopped);
    stage.figure("selling again after", format!("{:.1} s", resumed.as_secs_f64()));
    stage.figure("refused while it was full", refused);
    stage.conclude(Expected::default()).await
}
