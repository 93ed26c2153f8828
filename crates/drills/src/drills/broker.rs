//! What becomes of purchases when the log dies, stands still, takes nothing, or does not answer.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_localstack::{Fault, Kind};
use flashsale_schemas::Topic;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::{
    Arena, Drill, Outcome,
    arena::signal,
    client::Answer,
    installation::{Service, until},
    rows::{logged, until_written},
    shoppers::Told,
    stage::{Cast, Stage},
    topics,
    verdict::Expected,
};

/// How long the broker stands still.
const FROZEN: Duration = Duration::from_secs(30);
/// How much more memory an edge may use while the broker stands still, in MiB.
const GROWTH_MAX: u64 = 300;
/// What an edge had sent before the log closed is answered within this.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// How long the log takes nothing.
const CLOSED: Duration = Duration::from_secs(4);
/// Longer than a producer waits for an acknowledgement before it gives a record up, which is 7 s.
const UNANSWERED: Duration = Duration::from_secs(9);
/// An edge with room for so few requests that shoppers are turned away.
const NARROW: &[(&str, &str)] = &[("FLASHSALE_INGEST__IN_FLIGHT_MAX", "10")];

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F11",
        name: "broker-dies",
        broken: "SIGKILL of the broker under load, then a start with its own data",
        checked: "every shopper knows in the end; what was published twice counts once",
        quick: true,
        play: |arena, seed| Box::pin(dies(arena, seed)),
    },
    Drill {
        fault: "F12",
        name: "broker-stands-still",
        broken: "SIGSTOP of the broker for 30 s under load, one edge with room for 10 requests",
        checked: "meanwhile only 202, or 503 with Retry-After; an edge grows by less than 300 MiB",
        quick: false,
        play: |arena, seed| Box::pin(stands_still(arena, seed)),
    },
    Drill {
        fault: "F13",
        name: "log-takes-nothing",
        broken: "the brokers refuse every decision for some seconds under load",
        checked: "nobody is told 200 meanwhile; 200 again afterwards, also for who was told 202",
        quick: true,
        play: |arena, seed| Box::pin(takes_nothing(arena, seed)),
    },
    Drill {
        fault: "F14",
        name: "written-but-not-acknowledged",
        broken: "the brokers' answers vanish for 9 s under load: records are written and still time out",
        checked: "the relay publishes them again, and the log has units twice that Postgres has once",
        quick: false,
        play: |arena, seed| Box::pin(not_acknowledged(arena, seed)),
    },
];

fn with_status(one: &Told, status: u16) -> Option<&Answer> {
    one.answer.as_ref().ok().filter(|answer| answer.status == status)
}

/// Waits until somebody was told 202 after the first `before` answers.
async fn until_pending(stage: &Stage, before: usize) -> Result<Duration> {
    until("an answer without the log", Duration::from_secs(15), async || {
        Ok(stage.diary.all().iter().skip(before).any(|one| with_status(one, 202).is_some()))
    })
    .await
}

/// Nobody was told of a success that the log does not have: since the first `before` answers all were 202 or 503.
/// Returns how many were 202.
fn unconfirmed(stage: &Stage, before: usize) -> Result<usize> {
    let mut pending = 0;
    for one in stage.diary.all().iter().skip(before) {
        let Ok(answer) = &one.answer else { continue };
        let (status, text) = (answer.status, &answer.text);
        ensure!(matches!(status, 202 | 503), "{} was answered {status} without the log: {text}", one.user);
        pending += usize::from(status == 202);
    }
    ensure!(pending > 0, "nobody was answered while the log was away");
    Ok(pending)
}

/// Waits until an edge that came later knows the sale. What its first shopper is told counts like everybody's.
pub(crate) async fn until_it_sells(stage: &Stage, edge: &Service, user: &str) -> Result<()> {
    let patience = Duration::from_secs(20);
    let sells = until("the new edge to know the sale", patience, async || {
        let answer = stage.shop.client.buy(&edge.url, stage.sku(), user, user, patience).await?;
        let known = matches!(answer.status, 200 | 202);
        if known {
            let (user, key) = (user.to_owned(), user.to_owned());
            stage.diary.note(Told { user, key, answer: Ok(answer), took: Duration::ZERO });
        }
        Ok(known)
    });
    sells.await.map(drop)
}

async fn dies(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f11", 800, 100);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 200)).await?;
    let (began, server) = (Instant::now(), arena.server(Kind::Kafka)?);
    server.kill();
    tokio::task::block_in_place(|| server.restart())?;
    let away = began.elapsed();
    rush.finish().await?;
    until_written(&stage, Duration::from_secs(30)).await?;
    let repeats = logged(&stage).await?.repeats;
    stage.figure("broker away for", format!("{:.1} s", away.as_secs_f64()));
    stage.figure("repeats in the log", repeats);
    stage.conclude(Expected::default()).await
}

async fn stands_still(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 8_000, Duration::from_secs(600)).await?;
    let narrow = stage.shop.start_with(&["ingest"], NARROW).await?;
    until_it_sells(&stage, &narrow, "first-narrow").await?;
    stage.ingests.push(narrow);
    let rush = stage.crowd("f12", 2_400, 60);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 200)).await?;
    let (before, pid) = (stage.ingests[0].resident_kib()? / 1_024, arena.server(Kind::Kafka)?.pid());
    let (answered, began) = (stage.diary.len(), Instant::now());
    signal(pid, Signal::SIGSTOP);
    until_pending(&stage, answered).await?;
    let (mark, mut peak) = (stage.diary.len(), before);
    while began.elapsed() < FROZEN {
        sleep(Duration::from_secs(1)).await;
        peak = peak.max(stage.ingests[0].resident_kib()? / 1_024);
    }
    let pending = unconfirmed(&stage, mark)?;
    signal(pid, Signal::SIGCONT);
    rush.finish().await?;
    let told = stage.diary.all();
    let turned_away = told.iter().filter_map(|one| with_status(one, 503)).filter(|answer| answer.retry_after).count();
    ensure!(turned_away > 0, "an edge with room for 10 requests turned nobody away");
    let growth = peak.saturating_sub(before);
    ensure!(growth < GROWTH_MAX, "an edge grew from {before} to {peak} MiB");
    stage.figure("told 202", pending);
    stage.figure("turned away", turned_away);
    stage.figure("growth of an edge", format!("{growth} MiB"));
    stage.conclude(Expected::default()).await
}

async fn takes_nothing(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f13", 1_200, 100);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 100)).await?;
    let answered = stage.diary.len();
    topics::refuse_records(&stage, Topic::PurchaseDecisions).await?;
    until_pending(&stage, answered).await?;
    sleep(UNDER_WAY).await;
    let mark = stage.diary.len();
    sleep(CLOSED).await;
    let pending = unconfirmed(&stage, mark)?;
    let closed = stage.diary.len();
    topics::take_records(&stage, Topic::PurchaseDecisions).await?;
    let healed = until("a confirmed success", Duration::from_secs(15), async || {
        Ok(stage.diary.all().iter().skip(closed).any(|one| one.is_success() && with_status(one, 200).is_some()))
    });
    let healed = healed.await?;
    rush.finish().await?;
    until_written(&stage, Duration::from_secs(30)).await?;
    told_200_in_the_end(&stage).await?;
    stage.figure("told 202", pending);
    stage.figure("confirming again after", format!("{:.1} s", healed.as_secs_f64()));
    stage.conclude(Expected::default()).await
}

/// Who was told 202 and asks again gets 200 with the same receipt.
async fn told_200_in_the_end(stage: &Stage) -> Result<()> {
    let told = stage.diary.all();
    let pending = told.iter().find(|one| with_status(one, 202).is_some()).context("nobody was told 202")?;
    let (user, key) = (pending.user.as_str(), pending.key.as_str());
    let url = &stage.ingests[0].url;
    let again = stage.shop.client.buy(url, stage.sku(), user, key, Duration::from_secs(8)).await?;
    let first = with_status(pending, 202).and_then(Answer::receipt);
    ensure!(again.status == 200 && again.receipt() == first, "{user} was told {first:?}, then {}", again.text);
    stage.diary.note(Told { user: user.into(), key: key.into(), answer: Ok(again), took: Duration::ZERO });
    Ok(())
}

async fn not_acknowledged(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f14", 400, 50);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 50)).await?;
    arena.kafka.set(Fault::OneWay { to_server: false });
    sleep(UNANSWERED).await;
    arena.kafka.heal();
    // Who still waits for an answer that vanished would do so for a minute.
    tokio::task::block_in_place(|| arena.kafka.reset());
    rush.finish().await?;
    let again = until("units to be published again", Duration::from_secs(30), async || {
        let log = logged(&stage).await?;
        ensure!(log.repeats > 0, "{} units, none twice", log.accepted);
        Ok(true)
    });
    again.await?;
    until_written(&stage, Duration::from_secs(30)).await?;
    let repeats = logged(&stage).await?.repeats;
    stage.figure("repeats in the log", repeats);
    stage.conclude(Expected::default()).await
}
