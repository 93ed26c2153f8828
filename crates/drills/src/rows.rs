//! What the sink has written, seen from the drill.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flashsale_audit::{Log, Selection};
use flashsale_core::history::Counts;
use flashsale_ledger::SINK_POSTGRES;
use flashsale_schemas::Topic;
use flashsale_sql::Answer;
use tokio_util::sync::CancellationToken;

use crate::{installation::until, stage::Stage};

/// Units of the sale in Postgres.
pub(crate) async fn rows(stage: &Stage) -> Result<u64> {
    Ok(stage.shop.store.purchases(&stage.sale.sale_id).await?.len() as u64)
}

/// Units that Redis has sold.
pub(crate) async fn sold(stage: &Stage) -> Result<u64> {
    let sale = stage.shop.hot.snapshot(&stage.sale.sku).await?;
    Ok(sale.context("Redis holds the sale")?.sequence)
}

/// Waits until every unit has its row; returns how long that took.
pub(crate) async fn until_written(stage: &Stage, patience: Duration) -> Result<Duration> {
    until("a row of every unit", patience, async || {
        let (rows, sold) = (rows(stage).await?, sold(stage).await?);
        ensure!(rows == sold, "{rows} rows of {sold} units");
        Ok(true)
    })
    .await
}

/// How far the sink is in one partition of the decisions: the first offset that is not done.
pub(crate) async fn position(stage: &Stage, partition: i32) -> Result<i64> {
    let ledger = &stage.shop.ledger;
    let wanted = [(ledger.topic(Topic::PurchaseDecisions), partition)];
    let rows = stage.shop.store.offsets(&ledger.group(SINK_POSTGRES), &wanted).await?;
    Ok(rows.first().map_or(0, |row| row.next_offset))
}

/// The decisions that the log has, by sort.
pub(crate) async fn logged(stage: &Stage) -> Result<Counts> {
    let mut log = whole_log(stage);
    read(stage, &mut log).await
}

/// Waits until Postgres counts as many successes and refusals as the log has.
pub(crate) async fn until_counts_agree(stage: &Stage, patience: Duration) -> Result<Counts> {
    let mut log = whole_log(stage);
    let mut logged = Counts::default();
    until("the counts of Postgres to be those of the log", patience, async || {
        logged = read(stage, &mut log).await?;
        let counted = stage.shop.store.counts(&stage.sale.sale_id).await?;
        let (mut accepted, mut refused) = (0_u64, 0_u64);
        for row in counted {
            *if row.answer == Answer::Accepted { &mut accepted } else { &mut refused } += row.count;
        }
        let wanted = (logged.accepted, logged.refused());
        ensure!((accepted, refused) == wanted, "{accepted} and {refused} are counted, the log has {wanted:?}");
        Ok(true)
    })
    .await?;
    Ok(logged)
}

fn whole_log(stage: &Stage) -> Log {
    Log::new(Selection { refusals: true, ..Selection::units_of(Some(&stage.sale.sku)) })
}

async fn read(stage: &Stage, log: &mut Log) -> Result<Counts> {
    log.read(&stage.shop.ledger, &CancellationToken::new(), Box::new(|_| ())).await?;
    log.history(&stage.sale.sku, |history| history.counts()).context("the log knows the sale")
}
