//! `flashsale ops`: see consumers, steer them, look into topics, settle dead letters.

mod consumers;
mod letters;
mod reset;
mod topics;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use flashsale_ledger::Ledger;
use flashsale_operations::{Act, Actor, Operations};
use flashsale_platform::telemetry;
use flashsale_sql::Store;
use secrecy::ExposeSecret;
use serde_json::json;

use super::actor::whoever;
use crate::{
    parts,
    settings::{Settings, Sources},
    terminal::{TOOL_LOGS, dim, say, say_json, table},
};

/// Sees and steers what reads the log.
///
/// Looks at the brokers and at Postgres itself, so that it also works when the API does not. What is not
/// undone by a word shows first what it would do, and does it with --yes; who did what is kept in the log (`ops acts`).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flashsale ops consumers                                   does everybody keep up?
  flashsale ops consumers flashsale-sink-postgres --watch   one of them, by partition, again each second
  flashsale ops pause flashsale-sink-postgres --partitions 0,3
  flashsale ops reset flashsale-sink-postgres --to time=2026-11-27T09:00:00Z
  flashsale ops messages purchase-decisions --outcome ACCEPTED --limit 5
  flashsale ops dlq list
  flashsale ops dlq redrive --class invalid_field --yes")]
pub(crate) struct Ops {
    /// Brokers to look at; by default those of the configuration, or of the local stack. May be any cluster that
    /// speaks Kafka's protocol.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Who acts, for the list of acts; by default the user of this machine.
    #[arg(long = "as", global = true, env = "FLASHSALE_OPERATOR", value_name = "NAME")]
    actor: Option<Actor>,
    /// Print JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show consumer groups: position, lag in records and seconds, and whether that keeps up.
    Consumers(consumers::ConsumersArgs),
    /// Have a consumer hold its partitions, in every instance and also after restarts.
    Pause(consumers::SteerArgs),
    /// Let a consumer go on.
    Resume(consumers::SteerArgs),
    /// Put a consumer elsewhere; without --yes only says what that skips and repeats.
    Reset(reset::ResetArgs),
    /// List topics, and what of their settings is not as their papers say.
    Topics(topics::TopicsArgs),
    /// Look into a topic, decoded.
    Messages(topics::MessagesArgs),
    /// Dead letters: what no consumer could use.
    Dlq(letters::Dlq),
    /// Show what operators did: who, what, when.
    Acts {
        /// At most this many, the newest first.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        limit: u16,
    },
}

/// What the commands work with.
struct Desk {
    operations: Operations,
    ledger: Ledger,
    store: Option<Store>,
    actor: Actor,
    json: bool,
}

impl Desk {
    async fn open(
        sources: &Sources,
        brokers: Option<String>,
        actor: Option<Actor>,
        json: bool,
    ) -> anyhow::Result<Self> {
        let mut settings = Settings::load(sources, false)?;
        match brokers {
            Some(brokers) => settings.brokers = brokers,
            None => settings.fill_from_local_stack(),
        }
        settings.require(&["brokers"])?;
        telemetry::init_logs(TOOL_LOGS, settings.log_json);
        let ledger = parts::open_ledger(&settings).await?;
        let url = settings.database_url.expose_secret();
        // Not connected yet: much can be seen without it.
        let store = (!url.is_empty()).then(|| Store::lazy(&flashsale_sql::Config::new(url))).transpose()?;
        let operations = Operations::open(ledger.clone(), store.clone()).await?;
        Ok(Self { operations, ledger, store, actor: actor.map_or_else(whoever, Ok)?, json })
    }
}

impl Ops {
    /// Does it.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let Self { brokers, actor, json, action } = self;
        let desk = Desk::open(sources, brokers, actor, json).await?;
        match action {
            Action::Consumers(args) => args.run(&desk).await,
            Action::Pause(args) => args.run(&desk, true).await,
            Action::Resume(args) => args.run(&desk, false).await,
            Action::Reset(args) => args.run(&desk).await,
            Action::Topics(args) => args.run(&desk).await,
            Action::Messages(args) => args.run(&desk).await,
            Action::Dlq(args) => args.run(&desk).await,
            Action::Acts { limit } => acts(&desk, limit.into()).await,
        }
    }
}

async fn acts(desk: &Desk, limit: usize) -> anyhow::Result<ExitCode> {
    let acts = desk.operations.acts(limit).await?;
    if desk.json {
        say_json(&json!({ "acts": acts }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if acts.is_empty() {
        say(dim("Nobody did anything yet."));
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = table(["AT", "BY", "ACTION", "TARGET", "REASON"]);
    for Act { at, by, action, target, reason, .. } in acts {
        shown.add_row([at, by, action, target, reason.unwrap_or_default()]);
    }
    say(shown);
    Ok(ExitCode::SUCCESS)
}
