//! What comparing and repairing the stores finds and does: while units are sold, and after somebody meddled.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flashsale_lua::Snapshot;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    Arena, Drill, Outcome,
    installation::until,
    rows::rows as in_postgres,
    stage::{Cast, Stage},
    verdict::Expected,
};

pub(crate) const DRILLS: &[Drill] = &[
    Drill {
        fault: "F27",
        name: "reconciled-while-selling",
        broken: "two reconciliations run without a pause under load, and the SKU on sale is set up again; then rows \
                 are deleted and two repairs run at once",
        checked: "no false alarm; setting up is 409 and changes nothing; both repairs agree",
        quick: false,
        play: |arena, seed| Box::pin(reconciled_while_selling(arena, seed)),
    },
    Drill {
        fault: "F38",
        name: "meddled-by-hand",
        broken: "somebody deletes a seventh of the rows in Postgres, adds 5 to the stock in Redis and deletes three \
                 buyers there",
        checked: "each difference is named and counted; only looking changes nothing; repair and rebuild put all right",
        quick: false,
        play: |arena, seed| Box::pin(meddled_by_hand(arena, seed)),
    },
];

/// Compares again and again until `end`; returns how often. While nothing is wrong, a difference is a false alarm.
async fn reconcile_until(stage: &Stage, end: Instant) -> Result<u32> {
    let mut times = 0;
    while Instant::now() < end {
        let (code, seen) = stage.shop.tool(&["reconcile", "--sku", stage.sku(), "--json"]).await?;
        ensure!(code == 0, "a false alarm ({code}): {seen}");
        times += 1;
    }
    Ok(times)
}

/// What Redis holds of the sale.
async fn in_redis(stage: &Stage) -> Result<Snapshot> {
    stage.shop.hot.snapshot(&stage.sale.sku).await?.context("Redis has the sale")
}

/// Waits until all that was sold is in Postgres and nothing waits in the outbox; returns how many units that are.
async fn until_quiet(stage: &Stage) -> Result<u64> {
    until("the stores to be quiet", Duration::from_secs(30), async || {
        let waiting = stage.shop.hot.outbox_len(&stage.sale.sku).await?;
        Ok(waiting == 0 && in_postgres(stage).await? == in_redis(stage).await?.sequence)
    })
    .await?;
    in_postgres(stage).await
}

/// Deletes the rows whose sequence `divisor` divides; returns how many.
async fn delete_rows(stage: &Stage, divisor: u64) -> Result<u64> {
    let statement = format!(
        "WITH gone AS (DELETE FROM purchases WHERE sequence % {divisor} = 0 RETURNING 1) SELECT count(*) FROM gone"
    );
    let deleted = stage.shop.sql(&statement).await?;
    deleted.parse().with_context(|| format!("a number of rows: {deleted}"))
}

/// Tries to set up the SKU that is on sale, as it is and with more stock.
async fn set_up_again(stage: &Stage) -> Result<()> {
    let (sale, before) = (&stage.sale, in_redis(stage).await?);
    for stock in [sale.initial_stock, sale.initial_stock + 1_000] {
        let body = json!({
            "sku": sale.sku.as_str(), "productName": sale.product_name, "initialStock": stock,
            "startTime": sale.start.to_string(), "endTime": sale.end.to_string(),
        });
        let answer = stage.shop.admin(&stage.api, Method::POST, "/api/v1/products", Some(&body)).await?;
        ensure!(answer.status == 409, "an SKU on sale was set up again: {} {}", answer.status, answer.text);
    }
    let after = in_redis(stage).await?;
    let of = |snapshot: &Snapshot| (snapshot.sale_id.clone(), snapshot.initial_stock, snapshot.events);
    ensure!(of(&before) == of(&after) && before.sequence <= after.sequence, "I1: Redis had {before:?}, now {after:?}");
    let product = stage.shop.admin(&stage.api, Method::GET, &format!("/api/v1/products/{}", sale.sku), None).await?;
    let stored = &product.body["data"];
    ensure!(
        stored["initialStock"] == sale.initial_stock && stored["saleId"] == sale.sale_id.as_str(),
        "Postgres has another product now: {}",
        product.text
    );
    Ok(())
}

async fn reconciled_while_selling(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 4_000, Duration::from_secs(600)).await?;
    let rush = stage.crowd("f27", 1_200, 80);
    until("a sale in full swing", Duration::from_secs(20), async || Ok(stage.diary.successes() > 100)).await?;
    let end = Instant::now() + Duration::from_secs(11);
    let (mine, yours, ()) =
        tokio::try_join!(reconcile_until(&stage, end), reconcile_until(&stage, end), set_up_again(&stage))?;
    rush.finish().await?;

    let sold = until_quiet(&stage).await?;
    let deleted = delete_rows(&stage, 10).await?;
    let repair = ["reconcile", "--sku", stage.sku(), "--repair", "--json"];
    let both = tokio::try_join!(stage.shop.tool(&repair), stage.shop.tool(&repair))?;
    for (code, said) in [&both.0, &both.1] {
        ensure!(*code == 0, "a repair beside another ended with {code}: {said}");
    }
    let rows = in_postgres(&stage).await?;
    ensure!(rows == sold, "{rows} rows after two repairs at once, {sold} were sold");
    stage.figure("comparisons under load", mine + yours);
    stage.figure("rows deleted and repaired", deleted);
    stage.conclude(Expected::default()).await
}

/// The JSON that a tool printed; what it logged stands behind it.
fn printed(text: &str) -> Result<Value> {
    let first = serde_json::Deserializer::from_str(text).into_iter::<Value>().next();
    first.with_context(|| format!("JSON was printed: {text}"))?.with_context(|| format!("JSON was printed: {text}"))
}

/// How many discrepancies of each class a reconciliation printed.
fn by_class(text: &str) -> Result<BTreeMap<String, u64>> {
    let mut classes = BTreeMap::new();
    for finding in printed(text)?.as_array().into_iter().flatten() {
        for one in finding["discrepancies"].as_array().into_iter().flatten() {
            *classes.entry(one["class"].as_str().unwrap_or("none").to_owned()).or_default() += 1;
        }
    }
    Ok(classes)
}

/// Adds 5 to the stock in Redis and deletes three buyers there, whose rows are not among the deleted ones.
async fn meddle_in_redis(stage: &Stage) -> Result<()> {
    let rows = stage.shop.store.purchases(&stage.sale.sale_id).await?;
    let (keys, sku) = (stage.shop.hot.keys(), &stage.sale.sku);
    let mut direct = stage.shop.redis().await?;
    let mut forget = redis::cmd("HDEL");
    forget.arg(keys.buyers(sku));
    for row in rows.iter().step_by(11).take(3) {
        forget.arg(row.user.as_str());
    }
    let gone: u64 = forget.query_async(&mut direct).await?;
    ensure!(gone == 3, "{gone} buyers were deleted");
    redis::cmd("HINCRBY").arg(keys.sale(sku)).arg("stock").arg(5).exec_async(&mut direct).await?;
    Ok(())
}

/// Runs a tool that has to end well; returns what it printed.
async fn done(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let (code, said) = stage.shop.tool(arguments).await?;
    ensure!(code == 0, "{} ended with {code}: {said}", arguments.join(" "));
    Ok(said)
}

async fn meddled_by_hand(arena: Arc<Arena>, seed: u64) -> Result<Outcome> {
    let mut stage = Stage::set(arena, seed, Cast::default(), 500, Duration::from_secs(600)).await?;
    // The comparison at the processor's start puts right what it can; it must be over.
    until("the first comparison", Duration::from_secs(30), async || {
        Ok(stage.shop.metric(&stage.processors[0], "flashsale_reconcile_runs_total", "").await? >= 1.0)
    })
    .await?;
    stage.crowd("f38", 210, 0).finish().await?;
    let (sold, sku) = (until_quiet(&stage).await?, stage.sku().to_owned());
    let before = in_redis(&stage).await?;
    let deleted = delete_rows(&stage, 7).await?;
    meddle_in_redis(&stage).await?;
    let meddled = in_redis(&stage).await?;

    let (code, seen) = stage.shop.tool(&["reconcile", "--sku", &sku, "--json"]).await?;
    let expected = [("MISSING_IN_POSTGRES", deleted), ("MISSING_IN_REDIS", 3), ("STOCK_MISMATCH", 1)];
    let expected: BTreeMap<String, u64> = expected.map(|(class, count)| (class.to_owned(), count)).into();
    let found = by_class(&seen)?;
    ensure!(code == 1 && found == expected, "expected {expected:?}, found ({code}) {found:?}");
    let (rows, looked) = (in_postgres(&stage).await?, in_redis(&stage).await?);
    ensure!(rows == sold - deleted && looked == meddled, "only looking changed something: {rows} rows, {looked:?}");

    let began = Instant::now();
    done(&stage, &["reconcile", "--sku", &sku, "--repair", "--json"]).await?;
    let took = began.elapsed();
    done(&stage, &["reconcile", "--sku", &sku]).await?;
    done(&stage, &["verify", "--sku", &sku]).await?;
    let (rows, repaired) = (in_postgres(&stage).await?, in_redis(&stage).await?);
    ensure!(rows == sold && repaired == before, "{rows} rows of {sold}; Redis had {before:?}, now {repaired:?}");

    let again = delete_rows(&stage, 3).await?;
    done(&stage, &["rebuild", "postgres", "--sku", &sku]).await?;
    let rows = in_postgres(&stage).await?;
    ensure!(rows == sold, "{rows} rows after a rebuild, {sold} were sold");
    let preview = done(&stage, &["rebuild", "redis", "--sku", &sku, "--dry-run", "--json"]).await?;
    let nothing = printed(&preview)?["repairs"].as_array().is_some_and(Vec::is_empty);
    ensure!(nothing, "a rebuild of a Redis that is right would do something: {preview}");
    ensure!(in_redis(&stage).await? == repaired, "a dry run changed Redis");

    stage.crowd("f38-later", 20, 0).finish().await?;
    stage.figure("differences found and repaired", found.values().sum::<u64>());
    stage.figure("repaired in", format!("{:.1} s", took.as_secs_f64()));
    stage.figure("rows deleted and rebuilt", again);
    stage.conclude(Expected::default()).await
}
