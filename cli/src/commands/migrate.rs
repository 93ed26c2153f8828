//! Tables and topics.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use flashsale_platform::telemetry;
use serde_json::json;

use crate::{
    parts,
    settings::{Settings, Sources},
    terminal::{say, say_json},
};

/// Brings tables and topics up to date; may be repeated.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Print JSON instead of a summary.
    #[arg(long)]
    json: bool,
}

impl Migrate {
    /// Does it.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let settings = Settings::load(sources, false)?;
        settings.require(&["brokers", "database_url"])?;
        telemetry::init_logs(&settings.log_filter, settings.log_json);
        if self.json {
            say_json(&json!({ "tables": "up to date", "topicsCreated": bring_up_to_date(&settings).await? }))?;
        } else {
            apply(&settings).await?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Brings tables and topics up to date and says what was new.
pub(crate) async fn apply(settings: &Settings) -> anyhow::Result<()> {
    let created = bring_up_to_date(settings).await?;
    say("  tables are up to date");
    match created.as_slice() {
        [] => say("  topics are all there"),
        new => say(format!("  {} topics created: {}", new.len(), new.join(", "))),
    }
    Ok(())
}

/// Returns the names of the topics that were new.
async fn bring_up_to_date(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let store = parts::open_store(settings).await?;
    store.migrate().await.context("migrate Postgres")?;
    let ledger = parts::open_ledger(settings).await?;
    ledger.create_topics(settings.replication).await.context("create topics")
}
