//! What becomes of open pages when streams, servers and readers fail.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_core::invariants;
use tokio::time::Instant;

use crate::{
    Arena, Drill, Outcome,
    audience::{Audience, Seen},
    installation::{Service, until},
    stage::{Cast, Stage},
    verdict::{Expected, hold},
};

/// Listeners, and how many of them hardly read.
const LISTENERS: usize = 5_000;
const SLOW: usize = 50;
const READERS: usize = LISTENERS - SLOW;
/// How long all of them may take to come back.
const RECONNECT_MAX: Duration = Duration::from_secs(10);
/// Two heartbeats.
const GONE_MAX: Duration = Duration::from_secs(30);
/// Memory that one listener may cost.
const LISTENER_KIB_MAX: u64 = 15;

pub(crate) const DRILLS: &[Drill] = &[Drill {
    fault: "F28",
    name: "five-thousand-pages",
    broken: "5,000 listeners on two stream servers, 50 of them slow: 2,000 are cut, one server is killed, the other stopped in order",
    checked: "no stock rises, no gap goes unsaid, all see the end; memory is bounded; who is gone is gone within two heartbeats",
    quick: false,
    play: |arena, seed| Box::pin(five_thousand_pages(arena, seed)),
}];

fn address(service: &Service) -> Result<SocketAddr> {
    Ok(service.url.trim_start_matches("http://").parse()?)
}

async fn until_open(audience: &Audience, what: &str) -> Result<Duration> {
    until(what, RECONNECT_MAX, async || {
        let open = audience.open();
        ensure!(open >= READERS, "{open} of {READERS} have a stream; {:?}", audience.failures());
        Ok(true)
    })
    .await
}

async fn five_thousand_pages(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let cast = Cast { ingests: 1, ..Cast::default() };
    let mut stage = Stage::set(arena, seed, cast, 3_000, Duration::from_secs(600)).await?;
    let one = stage.shop.start_with(&["sink", "sse"], &[]).await?;
    let other = stage.shop.start_with(&["sink", "sse"], &[]).await?;
    let before = [one.resident_kib()?, other.resident_kib()?];
    let servers = [address(&one)?, address(&other)?];
    let audience = Audience::gather(&servers, stage.sku(), LISTENERS, SLOW);
    let all_there = until_open(&audience, "all listeners to have a stream").await?;
    let grown = one.resident_kib()? + other.resident_kib()? - before[0] - before[1];
    let each = grown / LISTENERS as u64;

    let rush = stage.crowd("f28", 3_000, 100);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 300)).await?;
    audience.cut(2_000);
    until("the cut to be felt", RECONNECT_MAX, async || Ok(audience.open() < READERS - 1_000)).await?;
    let after_cut = until_open(&audience, "those that were cut to be back").await?;
    one.kill();
    until("the server to be missed", RECONNECT_MAX, async || Ok(audience.open() < READERS)).await?;
    let after_kill = until_open(&audience, "the listeners of the dead server to be back").await?;
    stage.shop.restart(&one).await?;
    other.signal(nix::sys::signal::Signal::SIGTERM);
    let stopping = until("the stopped server to end", GONE_MAX, async || Ok(other.ended().is_some())).await?;
    let after_stop = until_open(&audience, "the listeners of the stopped server to be back").await?;
    rush.finish().await?;

    let began = Instant::now();
    until("every listener to see the end", GONE_MAX, async || {
        let told = audience.told("ENDED");
        ensure!(told == LISTENERS, "{told} of {LISTENERS} were told of the end");
        Ok(true)
    })
    .await?;
    let ended_in = began.elapsed();
    let most = one.resident_kib()?;
    let seen = audience.leave().await;
    let left = until("the places of those that left to be free", GONE_MAX, async || {
        Ok(stage.shop.metric(&one, "flashsale_sse_clients", "").await? == 0.0)
    })
    .await?;
    for (number, one) in seen.iter().enumerate() {
        told_the_truth(one, stage.sale.initial_stock).with_context(|| format!("listener {number}: {one:?}"))?;
    }
    let resets: usize = seen.iter().map(|seen| seen.resets).sum();
    ensure!(each <= LISTENER_KIB_MAX, "a listener costs {each} KiB of the server's memory");
    stage.figure("all there after", seconds(all_there));
    stage.figure("memory a listener", format!("{each} KiB"));
    stage.figure("of one server with all of them", format!("{} MiB", most / 1_024));
    stage.figure("back after the cut, the kill, the stop", [after_cut, after_kill, after_stop].map(seconds).join(", "));
    stage.figure("the stop took", seconds(stopping));
    stage.figure("all saw the end after", seconds(ended_in));
    stage.figure("places free after", seconds(left));
    stage.figure("gaps announced", resets);
    stage.conclude(Expected::default()).await
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// I11 of one listener.
fn told_the_truth(seen: &Seen, initial_stock: u64) -> Result<()> {
    let stocks: Vec<u64> = seen.stocks.iter().map(|(stock, _)| *stock).collect();
    hold(invariants::stock_never_rises(&stocks))?;
    ensure!(stocks.first().is_some_and(|stock| *stock <= initial_stock), "I11: it never saw the sale");
    ensure!(stocks.last() == Some(&0) && seen.state == "ENDED", "I11: it did not see the end");
    // Who resumes is not shown the whole again, unless it is told why.
    ensure!(seen.initials <= 1 + seen.resets, "I11: {} pictures and {} resets", seen.initials, seen.resets);
    Ok(())
}
