//! What becomes of a sale when Redis dies, forgets, or is replaced.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_localstack::Kind;
use tokio::time::{Instant, sleep};

use crate::{
    Arena, Drill, Outcome,
    installation::until,
    stage::{Cast, Stage},
    verdict::Expected,
};

/// From the loss of Redis until units are sold again.
pub(super) const REOPEN_MAX: Duration = Duration::from_secs(15);

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F5",
        name: "redis-loses-its-last-second",
        broken: "SIGKILL of Redis under load, its append-only file cut back by the last second",
        checked: "closed until rebuilt from the log; selling again within 15 s",
        quick: true,
        play: |arena, seed| Box::pin(loses_its_last_second(arena, seed)),
    },
    Drill {
        fault: "F6",
        name: "redis-comes-back-empty",
        broken: "SIGKILL of Redis under load, its data deleted",
        checked: "closed until rebuilt from the log; a comparison never calls an empty Redis clean",
        quick: true,
        play: |arena, seed| Box::pin(comes_back_empty(arena, seed)),
    },
];

/// The file that Redis appends to now.
pub(super) fn append_only_file(arena: &Arena) -> Result<PathBuf> {
    let folder = arena.home(Kind::Redis).join("appendonlydir");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".incr.aof"))
        .collect();
    files.sort();
    files.pop().context("Redis appends to no file")
}

/// Waits until a unit was sold after `began`; returns how long that took.
pub(super) async fn until_selling(stage: &Stage, began: Instant, before: usize) -> Result<Duration> {
    until("units to be sold again", Duration::from_secs(40), async || Ok(stage.diary.successes() > before)).await?;
    Ok(began.elapsed())
}

async fn loses_its_last_second(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f5", 1_500, 100);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 200)).await?;
    let file = append_only_file(&arena)?;
    let length = std::fs::metadata(&file)?.len();
    sleep(Duration::from_secs(1)).await;
    let (began, server) = (Instant::now(), arena.server(Kind::Redis)?);
    server.kill();
    let lost = std::fs::metadata(&file)?.len() - length;
    std::fs::OpenOptions::new().write(true).open(&file)?.set_len(length)?;
    tokio::task::block_in_place(|| server.restart())?;
    let before = stage.diary.successes();
    let reopened = until_selling(&stage, began, before).await?;
    ensure!(lost > 0, "nothing was cut from the append-only file");
    ensure!(reopened <= REOPEN_MAX, "selling again only after {reopened:?}");
    rush.finish().await?;
    stage.figure("bytes lost", lost);
    stage.figure("reopened in", format!("{:.1} s", reopened.as_secs_f64()));
    stage.conclude(Expected::default()).await
}

async fn comes_back_empty(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena.clone(), seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f6", 1_000, 100);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 200)).await?;
    let (began, server) = (Instant::now(), arena.server(Kind::Redis)?);
    server.kill();
    std::fs::remove_dir_all(arena.home(Kind::Redis).join("appendonlydir"))?;
    tokio::task::block_in_place(|| server.restart())?;
    let (code, seen) = stage.shop.tool(&["reconcile", "--sku", stage.sku(), "--json"]).await?;
    ensure!(code == 1 && seen.contains("SALE_MISSING_IN_REDIS"), "an empty Redis was reported as ({code}) {seen}");
    let before = stage.diary.successes();
    let reopened = until_selling(&stage, began, before).await?;
    ensure!(reopened <= REOPEN_MAX, "selling again only after {reopened:?}");
    rush.finish().await?;
    stage.figure("reopened in", format!("{:.1} s", reopened.as_secs_f64()));
    stage.conclude(Expected::default()).await
}
