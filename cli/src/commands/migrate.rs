//! Tables and topics.

use std::process::ExitCode;

use anyhow::Context;
use flashsale_platform::telemetry;

use crate::{
    parts,
    settings::{Settings, Sources},
    terminal::say,
};

/// Brings tables and topics up to date; both may be repeated.
pub(crate) async fn run(sources: &Sources) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(sources, false)?;
    settings.require(&["brokers", "database_url"])?;
    telemetry::init_logs(&settings.log_filter, settings.log_json);
    apply(&settings).await?;
    Ok(ExitCode::SUCCESS)
}

/// Brings tables and topics up to date and says what was new.
pub(crate) async fn apply(settings: &Settings) -> anyhow::Result<()> {
    let store = parts::open_store(settings).await?;
    store.migrate().await.context("migrate Postgres")?;
    say("  tables are up to date");
    let ledger = parts::open_ledger(settings).await?;
    let created = ledger.create_topics(settings.replication).await.context("create topics")?;
    match created.as_slice() {
        [] => say("  topics are all there"),
        new => say(format!("  {} topics created: {}", new.len(), new.join(", "))),
    }
    Ok(())
}
