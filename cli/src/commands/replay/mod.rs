//! `flashsale replay`: a stretch of a topic once more, on the screen or into another topic.

mod copy;
mod print;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use flashsale_core::Sku;
use flashsale_platform::{shutdown, telemetry};
use flashsale_schemas::Topic;

use super::{
    stretch::{self, Bound},
    topic_name,
};
use crate::{
    parts,
    settings::{Settings, Sources},
    terminal::TOOL_LOGS,
};

/// Prints a stretch of a topic, decoded, one JSON object a line; or writes it to another topic.
///
/// Reading has no effect on anybody: no group is joined and no offset is committed. Records that are written keep
/// their key, headers and time, and their partition where the other topic has as many.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flashsale replay                                   all decisions, one a line
  flashsale replay sale-events --from -10m --follow
  flashsale replay --from -1h --sandbox try.         into the topic try.flashsale.purchase-decisions.v1, to try a
                                                     new consumer with FLASHSALE_TOPIC_PREFIX=try.
  flashsale replay --sandbox try. --speed 10         ten times as fast as it came")]
pub(crate) struct Replay {
    /// Which topic, such as purchase-decisions, sale-events or sale-status.
    #[arg(default_value = "purchase-decisions", value_parser = topic_name::parse)]
    topic: Topic,
    /// First record: `beginning`, `offset=N` in each partition, a time (RFC 3339), or -10s, -10m, -2h, -1d ago.
    #[arg(long, default_value = "beginning", value_name = "WHERE", allow_hyphen_values = true, value_parser = stretch::from)]
    from: Bound,
    /// First record that is left out: likewise, or `end` as it is now.
    #[arg(long, default_value = "end", value_name = "WHERE", allow_hyphen_values = true, value_parser = stretch::until)]
    until: Bound,
    /// Only records about this SKU.
    #[arg(long)]
    sku: Option<Sku>,
    /// Stop after this many records.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Go on with what arrives later, until Ctrl-C.
    #[arg(long, conflicts_with_all = ["until", "into", "sandbox"])]
    follow: bool,
    /// Write to this topic of the same brokers, which is made if it does not exist.
    #[arg(long, value_name = "TOPIC", conflicts_with = "sandbox")]
    into: Option<String>,
    /// Write to the topic of the same name behind this prefix, beside all the others that a service needs.
    #[arg(long, value_name = "PREFIX")]
    sandbox: Option<String>,
    /// How fast: as it came, ten times as fast, or as fast as it goes.
    #[arg(long, value_enum, default_value = "full")]
    speed: Speed,
    /// Only say what would be written.
    #[arg(long)]
    dry_run: bool,
    /// Write even to a topic that services of this installation read. What is replayed there counts.
    #[arg(long)]
    yes_really_into_a_live_topic: bool,
    /// Brokers; by default those of the configuration, or of the local stack.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Print JSON instead of a summary of what was written. What is printed is JSON anyway.
    #[arg(long)]
    json: bool,
}

/// How fast records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Speed {
    #[value(name = "1")]
    AsItCame,
    #[value(name = "10")]
    TenTimes,
    Full,
}

impl Replay {
    /// Prints or writes, until the end, the limit or Ctrl-C.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let mut settings = Settings::load(sources, false)?;
        match &self.brokers {
            Some(brokers) => settings.brokers.clone_from(brokers),
            None => settings.fill_from_local_stack(),
        }
        settings.require(&["brokers"])?;
        telemetry::init_logs(TOOL_LOGS, settings.log_json);
        let ledger = parts::open_ledger(&settings).await?;
        let stop = shutdown::on_signal()?;
        let ranges = stretch::offsets(&ledger, ledger.topic(self.topic), self.from, self.until).await?;
        if self.into.is_some() || self.sandbox.is_some() {
            return Box::pin(self.copy(&settings, &ledger, ranges, stop)).await;
        }
        self.print(&ledger, ranges, stop).await
    }
}
