//! What becomes of a purchase between the edge and its shopper: answers that never come, retries, cut connections,
//! wrong clocks.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_localstack::{Fault, FaultProxy};
use rand::Rng;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Arena, Drill, Outcome,
    installation::until,
    shoppers::{Diary, Told},
    stage::{Cast, Stage},
    verdict::Expected,
};

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F2",
        name: "ingest-dies-before-the-answer",
        broken: "SIGKILL of an edge after the log acknowledged its sales, before one shopper was answered",
        checked: "nobody was told anything; retries with the same keys, at another edge and at this one after its \
                  restart, return the receipts",
        quick: true,
        play: |arena, seed| Box::pin(dies_before_the_answer(arena, seed)),
    },
    Drill {
        fault: "F3",
        name: "ten-retries-at-once",
        broken: "shoppers hang up before Redis has decided, then try ten times at once with one key, over two edges",
        checked: "one unit each; all ten answers are the same, byte for byte",
        quick: true,
        play: |arena, seed| Box::pin(ten_retries_at_once(arena, seed)),
    },
    Drill {
        fault: "F10",
        name: "redis-cut-before-the-reply",
        broken: "the connection to Redis is cut twenty times when a decision was sent and before its reply",
        checked: "the request ids tell what was decided: nobody is sold two units, no unit is lost",
        quick: true,
        play: |arena, seed| Box::pin(cut_before_the_reply(arena, seed)),
    },
    Drill {
        fault: "F26",
        name: "wrong-clocks",
        broken: "the clock of one edge is 10 s ahead, that of another 10 s behind, while a crowd arrives across the \
                 end of a sale",
        checked: "Redis' clock alone counts: who arrives after the end gets SALE_NOT_ACTIVE at every edge",
        quick: false,
        play: |arena, seed| Box::pin(wrong_clocks(arena, seed)),
    },
];

/// The address in a URL without a path.
pub(super) fn address_of(url: &str) -> Result<SocketAddr> {
    let address = url.rsplit_once("://").map_or(url, |(_, rest)| rest);
    address.parse().with_context(|| format!("{url} names no address"))
}

/// Lets each of so many shoppers try once at `url`, all at the same time. Their names and keys are those of a
/// [`Stage::crowd`] of that name.
pub(super) fn once_each(
    tries: &mut JoinSet<()>,
    stage: &Stage,
    name: &str,
    shoppers: usize,
    url: &str,
    patience: Duration,
) {
    for number in 0..shoppers {
        let (client, diary) = (stage.shop.client.clone(), stage.diary.clone());
        let (url, sku) = (url.to_owned(), stage.sku().to_owned());
        let (user, key) = (format!("{name}-{number}"), format!("{name}-key-{number}"));
        tries.spawn(async move {
            let asked = Instant::now();
            let answer = client.buy(&url, &sku, &user, &key, patience).await.map_err(|error| format!("{error:#}"));
            diary.note(Told { user, key, answer, took: asked.elapsed() });
        });
    }
}

/// Waits until every one of them knows, or has given up.
pub(super) async fn answered(mut tries: JoinSet<()>) -> Result<()> {
    while let Some(tried) = tries.join_next().await {
        tried?;
    }
    Ok(())
}

async fn dies_before_the_answer(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    const SHOPPERS: usize = 100;
    let mut stage = Stage::set(arena, seed, Cast::default(), 300, Duration::from_secs(300)).await?;
    let before = stage.diary.successes();
    let proxy = FaultProxy::start(address_of(&stage.ingests[0].url)?)?;
    proxy.set(Fault::OneWay { to_server: false });
    let mut waiting = JoinSet::new();
    let through = format!("http://{}", proxy.address());
    once_each(&mut waiting, &stage, "f2", SHOPPERS, &through, Duration::from_secs(60));
    until("Postgres to have every unit", Duration::from_secs(20), async || {
        Ok(stage.shop.store.purchases(&stage.sale.sale_id).await?.len() >= before + SHOPPERS)
    })
    .await?;
    stage.ingests[0].kill();
    // Closes the connections, on which the shoppers would wait for ever.
    tokio::task::block_in_place(|| drop(proxy));
    answered(waiting).await?;
    let told = stage.diary.successes() - before;
    ensure!(told == 0, "{told} answers came through a line that lets none through");

    let mut again = JoinSet::new();
    once_each(&mut again, &stage, "f2", SHOPPERS, &stage.ingests[1].url, Duration::from_secs(20));
    answered(again).await?;
    let told = stage.diary.successes() - before;
    ensure!(told == SHOPPERS, "{told} of {SHOPPERS} retries at another edge were told of their unit");
    stage.shop.restart(&stage.ingests[0]).await?;
    // The same shoppers with the same keys; the verdict compares their receipts.
    stage.crowd("f2", SHOPPERS, 0).finish().await?;
    let units = stage.shop.store.purchases(&stage.sale.sale_id).await?.len();
    ensure!(units == before + SHOPPERS, "I2: {units} units for {} shoppers", before + SHOPPERS);
    stage.figure("acknowledged and not answered", SHOPPERS);
    stage.conclude(Expected::default()).await
}

async fn ten_retries_at_once(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    const SHOPPERS: usize = 20;
    const RETRIES: usize = 10;
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 100, Duration::from_secs(300)).await?;
    arena.redis.set(Fault::Latency { delay: Duration::from_millis(100), jitter: Duration::from_millis(50) });
    let mut first = JoinSet::new();
    once_each(&mut first, &stage, "f3", SHOPPERS, &stage.ingests[0].url, Duration::from_millis(50));
    answered(first).await?;
    let mut retries = JoinSet::new();
    for number in 0..RETRIES {
        let url = &stage.ingests[number % stage.ingests.len()].url;
        once_each(&mut retries, &stage, "f3", SHOPPERS, url, Duration::from_secs(20));
    }
    answered(retries).await?;
    arena.redis.heal();

    let told = stage.diary.all();
    let mut hung_up = 0;
    for number in 0..SHOPPERS {
        let user = format!("f3-{number}");
        let mine: Vec<&Told> = told.iter().filter(|told| told.user == user).collect();
        let answers: Vec<_> = mine.iter().filter_map(|told| told.answer.as_ref().ok()).collect();
        hung_up += mine.len() - answers.len();
        let bodies: HashSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        let successes = answers.iter().filter(|answer| answer.status == 200).count();
        ensure!(
            successes >= RETRIES && successes == answers.len() && bodies.len() == 1,
            "I8: {user} got {successes} successes in {} answers: {bodies:?}",
            answers.len()
        );
    }
    ensure!(hung_up > SHOPPERS / 2, "only {hung_up} of {SHOPPERS} shoppers hung up before they were answered");
    stage.figure("hung up first", hung_up);
    stage.conclude(Expected::default()).await
}

async fn cut_before_the_reply(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    const CUTS: usize = 20;
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 600, Duration::from_secs(300)).await?;
    let rush = stage.crowd("f10", 1_000, 100);
    for _ in 0..CUTS {
        sleep(Duration::from_millis(stage.random.random_range(20..200))).await;
        // Every script is called by EVALSHA, the clock's twenty times a second. A shopper's key is in decisions alone.
        arena.redis.cut_after_request(b"f10-key-");
        until("a decision to be cut off", Duration::from_secs(10), async || Ok(!arena.redis.armed())).await?;
    }
    rush.finish().await?;
    let noticed = stage.diary.all().iter().filter(|told| !told.is_final()).count();
    stage.figure("cut", CUTS);
    stage.figure("tries that shoppers had to repeat", noticed);
    stage.conclude(Expected { sold_out: true, ..Expected::default() }).await
}

/// Compiles the library that shifts a process' time of day; returns where it is.
async fn shifting_clock(arena: &Arena) -> Result<String> {
    let folder = arena.scratch("wrong-clock")?;
    let (source, library) = (folder.join("wrong_clock.c"), folder.join("wrong_clock.so"));
    std::fs::write(&source, include_str!("wrong_clock.c"))?;
    let mut compiler = tokio::process::Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
    let compiled = compiler.output().await.context("run `cc`; Debian's package build-essential brings it")?;
    ensure!(compiled.status.success(), "cc: {}", String::from_utf8_lossy(&compiled.stderr));
    Ok(library.to_string_lossy().into_owned())
}

/// What the host of a service takes the time for; to the second, as HTTP says it.
async fn clock_of(url: &str) -> Result<OffsetDateTime> {
    let mut stream = TcpStream::connect(address_of(url)?).await?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let date = answer.lines().find_map(|line| line.strip_prefix("date: ")).context("an answer without a date")?;
    Ok(OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822)?)
}

/// Adds an edge whose clock is off by so many seconds.
async fn add_edge(stage: &mut Stage, seconds: i64) -> Result<()> {
    let (library, offset) = (shifting_clock(&stage.shop.arena).await?, seconds.to_string());
    let more = [("LD_PRELOAD", library.as_str()), ("DRILL_CLOCK_OFFSET_S", offset.as_str())];
    let edge = stage.shop.start_with(&["ingest"], &more).await?;
    let off = (clock_of(&edge.url).await? - OffsetDateTime::now_utc()).whole_seconds();
    ensure!((off - seconds).abs() <= 2, "the clock of an edge is off by {off} s, {seconds} s were wanted");
    stage.ingests.push(edge);
    Ok(())
}

async fn wrong_clocks(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    const A_SECOND: u32 = 100;
    const BEFORE_THE_END_MS: i64 = 3_000;
    /// Arrive after the end by a margin, however punctual they are.
    const LATE_FROM: usize = 310;
    let cast = Cast { ingests: 1, ..Cast::default() };
    let mut stage = Stage::set(arena, seed, cast, 10, Duration::from_secs(600)).await?;
    for seconds in [10, -10] {
        add_edge(&mut stage, seconds).await?;
    }
    // The drill is about another sale from here on; its first shopper belongs to the one before.
    stage.sale = stage.shop.sale(&stage.api, "SHORT", 5_000, 3_000, 8_000).await?;
    stage.diary = Diary::default();
    for (number, edge) in stage.ingests.iter().enumerate() {
        until("the edge to know the sale", Duration::from_secs(20), async || {
            let user = format!("early-{number}");
            let patience = Duration::from_secs(5);
            let answer = stage.shop.client.buy(&edge.url, stage.sku(), &user, &user, patience).await?;
            Ok(matches!(answer.status, 200 | 202))
        })
        .await?;
    }
    let from = stage.sale.end.as_millis() - BEFORE_THE_END_MS;
    until("three seconds before the end", Duration::from_secs(30), async || {
        Ok(stage.shop.hot.now().await?.as_millis() >= from)
    })
    .await?;
    stage.crowd("f26", 600, A_SECOND).finish().await?;

    let told = stage.diary.all();
    for number in LATE_FROM..600 {
        let user = format!("f26-{number}");
        let last =
            told.iter().filter(|told| told.user == user && told.is_final()).find_map(|told| told.answer.as_ref().ok());
        let answer = last.with_context(|| format!("{user} was told"))?;
        let refused = answer.code() == "SALE_NOT_ACTIVE";
        ensure!(refused, "I14: {user} came after the end and was told {}", answer.text);
    }
    let sold = stage.diary.successes();
    ensure!(sold > 100, "only {sold} units were sold before the end");
    stage.figure("arrived after the end", 600 - LATE_FROM);
    stage.conclude(Expected::default()).await
}
