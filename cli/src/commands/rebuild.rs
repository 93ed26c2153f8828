//! `flashsale rebuild`: a view made anew from the log.

use std::{process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use flashsale_core::Sku;
use flashsale_platform::shutdown;
use flashsale_processor::recover::{Recovery, Step, Summary};
use flashsale_schemas::events::OperatorAction;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    actor::noted,
    stores::{Bar, Stores},
};
use crate::{
    settings::Sources,
    terminal::{count, dim, green, say},
};

/// Makes Redis or Postgres say what the log says.
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Buyers, stock, sequence and state of the sales in Redis. Closes the fence: nothing is sold until it is done.
    Redis(Options),
    /// Purchases and counts in Postgres, up to where the sink has written. The sink waits meanwhile.
    Postgres(Options),
}

#[derive(Debug, Args)]
struct Options {
    /// Only this sale.
    #[arg(long)]
    sku: Option<Sku>,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON instead of a summary.
    #[arg(long)]
    json: bool,
}

impl Rebuild {
    /// Rebuilds, or says what would change.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let stores = Stores::open(sources).await?;
        let stop = shutdown::on_signal()?;
        match self.what {
            What::Redis(options) => redis(&stores, &options, &stop).await,
            What::Postgres(options) => postgres(&stores, &options, &stop).await,
        }
    }
}

async fn redis(stores: &Stores, options: &Options, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
    let bar = Bar::new("reading the log");
    let shown = bar.clone();
    let config = &stores.settings.processor.recover;
    let recovery =
        Recovery::new(config, &stores.hot, stores.ledger.clone()).telling(Arc::new(move |step| match step {
            Step::Reading(progress) => shown.scanned(progress),
            Step::Waiting(left) => shown.set("waiting for records", 0, left.as_millis().try_into().unwrap_or(0)),
            Step::Repairing { done, total } => shown.set("comparing sales", done, total),
        }));
    let done = if options.dry_run {
        recovery.preview(options.sku.as_ref(), stop).await
    } else {
        recovery.run(options.sku.as_ref(), stop).await
    };
    bar.finish();
    let summary = done?;
    if !options.dry_run {
        note(stores, options, "redis", json!({ "repairs": summary.repairs.len() })).await?;
    }
    if options.json {
        say(serde_json::to_string_pretty(&json!({
            "dryRun": options.dry_run, "sales": summary.sales, "records": summary.records,
            "repairs": summary.repairs, "seconds": summary.took.as_secs_f64(), "waitedSeconds": summary.waited.as_secs_f64(),
        }))?);
    } else {
        tell(&summary, options.dry_run);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes down that a store was made anew.
async fn note(stores: &Stores, options: &Options, store: &str, mut detail: Value) -> anyhow::Result<()> {
    detail["sku"] = json!(options.sku);
    noted(&stores.ledger, OperatorAction::Rebuild, store, Some(detail)).await
}

fn tell(summary: &Summary, dry_run: bool) {
    for repair in &summary.repairs {
        say(format!("  {repair}"));
    }
    let how = dim(&format!(
        "({} records in {:.1} s, of which {:.1} s waiting for records under way)",
        summary.records,
        summary.took.as_secs_f64(),
        summary.waited.as_secs_f64()
    ));
    match (summary.repairs.len(), dry_run) {
        (0, _) => {
            say(format!("{} Redis says what the log says of {}. {how}", green("✓"), count(summary.sales, "sale")))
        }
        (changed, true) => {
            say(format!("{changed} of {} would change. Nothing was done. {how}", count(summary.sales, "sale")));
            say("A sale that goes on shows up as well: what was sold while this looked.");
        }
        (changed, false) => {
            say(format!("{} {changed} of {} repaired. {how}", green("✓"), count(summary.sales, "sale")))
        }
    }
}

async fn postgres(stores: &Stores, options: &Options, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
    let bar = Bar::new("reading the log");
    let shown = bar.clone();
    let (ledger, sku) = (&stores.ledger, options.sku.as_ref());
    let progress = move |progress| shown.scanned(progress);
    let done = flashsale_sinks::postgres::rebuild(ledger, &stores.store, sku, options.dry_run, progress, stop).await;
    bar.finish();
    let rebuilt = done?;
    if !options.dry_run {
        let changed = rebuilt.iter().filter(|sale| !sale.is_unchanged()).count();
        note(stores, options, "postgres", json!({ "changed": changed })).await?;
    }
    if options.json {
        say(serde_json::to_string_pretty(&json!({ "dryRun": options.dry_run, "sales": rebuilt }))?);
        return Ok(ExitCode::SUCCESS);
    }
    let changed: Vec<_> = rebuilt.iter().filter(|sale| !sale.is_unchanged()).collect();
    for sale in &changed {
        say(format!(
            "  {}: {} rows, {} after ({} added, {} removed); {} attempts counted, {} after",
            sale.sku,
            sale.rows_before,
            sale.rows_after,
            sale.added,
            sale.removed,
            sale.counted_before,
            sale.counted_after
        ));
    }
    match (changed.len(), options.dry_run) {
        (0, _) => {
            say(format!("{} Postgres says what the log says of {}.", green("✓"), count(rebuilt.len() as u64, "sale")))
        }
        (changed, true) => {
            say(format!("{changed} of {} would change. Nothing was done.", count(rebuilt.len() as u64, "sale")))
        }
        (changed, false) => {
            say(format!("{} {changed} of {} written anew.", green("✓"), count(rebuilt.len() as u64, "sale")))
        }
    }
    Ok(ExitCode::SUCCESS)
}
