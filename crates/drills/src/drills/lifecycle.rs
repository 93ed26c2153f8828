//! What becomes of a sale when services are stopped and started, in order or all at once; and what `confirm = redis`
//! costs.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_audit::{Log, Selection};
use flashsale_core::{UserId, history::History};
use flashsale_localstack::Kind;
use nix::sys::signal::Signal;
use rand::{Rng, seq::SliceRandom};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::recovery::Mark;
use crate::{
    Arena, Drill, Outcome,
    installation::{Installation, Service, until},
    shoppers::Told,
    stage::{Cast, Stage},
    verdict::Expected,
};

/// How long a process may take to end in order.
const STOP_MAX: Duration = Duration::from_secs(25);

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F35",
        name: "everything-at-once",
        broken: "SIGKILL of Redis, Kafka, Postgres and every service at once, under load; all start in random order",
        checked: "sells again by itself; every confirmed sale is there",
        quick: false,
        play: |arena, seed| Box::pin(everything_at_once(arena, seed)),
    },
    Drill {
        fault: "F36",
        name: "stopped-in-turn",
        broken: "SIGTERM to every edge, processor and sink under load, one after the other, and a new start",
        checked: "no answer is cut off; each process ends in order within 25 s",
        quick: false,
        play: |arena, seed| Box::pin(stopped_in_turn(arena, seed)),
    },
    Drill {
        fault: "F37",
        name: "confirmed-by-redis-alone",
        broken: "with confirm = redis: the broker dies, a second later Redis, which loses that second",
        checked: "no more confirmed sales are lost than were confirmed in that second or under way; all else holds",
        quick: false,
        play: |arena, seed| Box::pin(confirmed_by_redis_alone(arena, seed)),
    },
];

/// Every service of the stage.
fn services(stage: &Stage) -> Vec<&Service> {
    stage.processors.iter().chain(&stage.sinks).chain([&stage.api]).chain(&stage.ingests).collect()
}

/// Starts a service again and does not wait until it is ready.
async fn launch(shop: &Installation, service: &Service) {
    // The process is there at once; the rest of the time would be waiting for it.
    if let Ok(Err(error)) = timeout(Duration::from_millis(20), shop.restart(service)).await {
        tracing::debug!(%error, "a service ended at once");
    }
}

/// Waits until every service is ready; starts those again that ended meanwhile, as their supervisor would. Returns how
/// often that was.
async fn supervise(stage: &Stage) -> Result<usize> {
    let mut restarts = 0;
    for service in services(stage) {
        let ready = format!("{}/health/ready", service.url);
        let waiting = until("a service to be ready", Duration::from_secs(90), async || {
            if service.ended().is_some() {
                restarts += 1;
                launch(&stage.shop, service).await;
            }
            Ok(stage.shop.client.get(&ready).await?.status == 200)
        });
        waiting.await.with_context(|| service.log_tail())?;
    }
    Ok(restarts)
}

async fn everything_at_once(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f35", 600, 60);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 200)).await?;
    let count = services(&stage).len();
    let mut order: Vec<usize> = (0..Kind::ALL.len() + count).collect();
    order.shuffle(&mut stage.random);
    let pauses: Vec<u64> = order.iter().map(|_| stage.random.random_range(0..1_000)).collect();

    for service in services(&stage) {
        service.kill();
    }
    for kind in Kind::ALL {
        arena.server(kind)?.kill();
    }
    let (began, before) = (Instant::now(), stage.diary.successes());
    let (all, mut servers) = (services(&stage), JoinSet::new());
    for (place, pause) in order.into_iter().zip(pauses) {
        match place.checked_sub(Kind::ALL.len()) {
            Some(service) => launch(&stage.shop, all[service]).await,
            None => {
                let (arena, kind) = (arena.clone(), Kind::ALL[place]);
                servers.spawn_blocking(move || anyhow::Ok(arena.server(kind)?.restart()?));
            }
        }
        sleep(Duration::from_millis(pause)).await;
    }
    while let Some(started) = servers.join_next().await {
        started??;
    }
    let selling = super::redis::until_selling(&stage, began, before);
    let (restarts, selling) = tokio::try_join!(supervise(&stage), selling)?;
    rush.finish().await?;
    stage.figure("confirmed before", before);
    stage.figure("selling again in", format!("{:.1} s", selling.as_secs_f64()));
    stage.figure("services that gave up and were started again", restarts);
    stage.conclude(Expected::default()).await
}

/// Whether an answer was begun and not ended, or there was none in all the time. A connection that was refused, or
/// closed before the answer began, is what a client has to expect when a server stops.
fn is_cut_off(told: &Told) -> bool {
    matches!(&told.answer, Err(error) if !error.starts_with("client error ("))
}

async fn stopped_in_turn(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f36", 1_200, 60);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 100)).await?;
    let mut longest = Duration::ZERO;
    for service in stage.ingests.iter().chain(&stage.processors).chain(&stage.sinks) {
        service.signal(Signal::SIGTERM);
        let ending = until("the process to end", STOP_MAX, async || Ok(service.ended().is_some())).await;
        longest = longest.max(ending.with_context(|| service.log_tail())?);
        let status = service.ended().context("it has ended")?;
        ensure!(status.success(), "it ended with {status}:\n{}", service.log_tail());
        stage.shop.restart(service).await?;
    }
    rush.finish().await?;
    let told = stage.diary.all();
    let mut cut_off = told.iter().filter(|told| is_cut_off(told));
    if let Some(first) = cut_off.next() {
        anyhow::bail!(
            "{} answers were cut off, such as that of {}: {:?}",
            cut_off.count() + 1,
            first.user,
            first.answer
        );
    }
    let refused = told.iter().filter(|told| told.answer.is_err()).count();
    stage.figure("longest stop", format!("{:.1} s", longest.as_secs_f64()));
    stage.figure("connections refused or closed before an answer", refused);
    stage.conclude(Expected::default()).await
}

/// Whether the log has the very sale that a shopper was told of.
fn is_kept(history: &History, told: &Told) -> Option<bool> {
    let (number, at) = told.answer.as_ref().ok()?.receipt()?;
    let (sequence, _) = history.unit_of(&UserId::new(&told.user).ok()?)?;
    let receipt = history.receipt(sequence)?;
    Some(receipt.number() == number && receipt.decided_at.to_string() == at)
}

/// How many shoppers were told of a sale that the log does not know.
async fn lost(stage: &Stage) -> Result<usize> {
    let sku = &stage.sale.sku;
    let mut log = Log::new(Selection::units_of(Some(sku)));
    log.read(&stage.shop.ledger, &CancellationToken::new(), Box::new(|_| ())).await?;
    let told = stage.diary.all();
    let successes = told.iter().filter(|told| told.is_success());
    let lost = log.history(sku, |history| successes.filter(|told| is_kept(history, told) != Some(true)).count());
    lost.context("the log knows the sale")
}

async fn confirmed_by_redis_alone(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let cast = Cast { environment: &[("FLASHSALE_INGEST__CONFIRM", "redis")], ..Cast::default() };
    let mut stage = Stage::set(arena.clone(), seed, cast, 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f37", 800, 80);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 200)).await?;
    let broker = arena.server(Kind::Kafka)?;
    broker.kill();
    // In this order: what is cut off below was decided after the count.
    let before = stage.diary.successes();
    let mark = Mark::set(&arena)?;
    sleep(Duration::from_secs(1)).await;
    mark.lose(&arena)?;
    // Longer than a record may be under way: by then the edges have given up what nobody else knows.
    sleep(Duration::from_secs(12)).await;
    let confirmed = stage.diary.successes();
    tokio::task::block_in_place(|| broker.restart())?;
    let reopened = super::redis::until_selling(&stage, Instant::now(), confirmed).await?;
    rush.finish().await?;
    until("the outbox to be empty", Duration::from_secs(20), async || {
        Ok(stage.shop.hot.outbox_len(&stage.sale.sku).await? == 0)
    })
    .await?;
    let (lost, at_risk) = (lost(&stage).await?, confirmed - before);
    ensure!(lost <= at_risk, "{lost} confirmed sales are lost, {at_risk} were confirmed in the second that was");
    stage.figure("confirmed in the lost second or under way", at_risk);
    stage.figure("of these lost", lost);
    stage.figure("reopened after the log in", format!("{:.1} s", reopened.as_secs_f64()));
    stage.conclude(Expected { may_lose: true, ..Expected::default() }).await
}
