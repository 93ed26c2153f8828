//! The commands.

pub(crate) mod actor;
mod configuration;
mod drill;
mod export;
mod health;
mod key;
mod migrate;
mod ops;
mod rebuild;
mod reconcile;
mod replay;
mod report;
mod sale;
mod sale_at;
mod sale_log;
mod sale_times;
mod serve;
mod stores;
mod stretch;
mod top;
mod topic_name;
mod up;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    parts::{self, Parts},
    settings::{Settings, Sources},
    terminal::say,
};

/// Sells N units to a stampede: never N+1, never twice to one shopper, never losing a confirmed sale.
#[derive(Debug, Parser)]
#[command(name = "flashsale", version, arg_required_else_help = true, propagate_version = true)]
pub(crate) struct Arguments {
    /// Configuration file (TOML).
    #[arg(long, global = true, env = "FLASHSALE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one value, over file and environment; may be repeated.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    #[command(subcommand)]
    command: Command,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as ingest.confirm=redis")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on this machine in one process, with the servers it needs.
    Up(up::Up),
    /// Stop what `up` started on this machine, also from another terminal.
    Down(up::DataDir),
    /// Delete all data of the local stack; without --yes only says what would go.
    Reset(up::Reset),
    /// Serve the write edge: POST /api/v1/purchases.
    Ingest,
    /// Run the sale clock, the outbox relay, the status pipeline, recovery, reconciliation and the monitor.
    Processor,
    /// Run a consumer that makes a view of the log.
    #[command(subcommand)]
    Sink(Sink),
    /// Serve the shop page, reads, receipts, administration and the API's documentation.
    Api,
    /// Ask a running process whether it is ready; exit code 0 or 1, for supervisors.
    Health(health::Health),
    /// Create or update the tables in Postgres, and create the topics that do not exist.
    Migrate(migrate::Migrate),
    /// Create, show and steer sales of a running installation.
    Sale(sale::Sale),
    /// See consumers, steer them, look into topics, settle dead letters.
    Ops(ops::Ops),
    /// Write a stretch of a topic as Parquet, CSV or JSON Lines.
    Export(export::Export),
    /// Print a stretch of a topic, decoded, or write it to another topic at the speed at which it came.
    Replay(replay::Replay),
    /// Tell what happened in a sale, from its log: demand, funnel, latency, fairness.
    Report(report::ReportArgs),
    /// Show a running installation at a glance, again each second.
    Top(top::Top),
    /// Prove that a sale held its promises: replay its log through the rules, compare Redis and Postgres with it.
    Verify(verify::Verify),
    /// Compare Redis, log and Postgres unit by unit, and put right what differs.
    Reconcile(reconcile::Reconcile),
    /// Make Redis or Postgres anew from the log.
    Rebuild(rebuild::Rebuild),
    /// Break one thing at a time on servers of its own, and check that every promise holds.
    Drill(drill::DrillArgs),
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
    /// Make keys for X-Admin-Key, and check the file of those that are good.
    Key(key::Key),
    /// Check or print the configuration.
    #[command(subcommand)]
    Config(configuration::Configuration),
    /// Print a completion script for your shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Sink {
    /// The view in Postgres: purchases, counts, offsets.
    Postgres,
    /// The view in open pages: live stock and state, GET /api/v1/sales/events.
    Sse,
}

/// Runs what was asked for.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let sources = Sources { file: arguments.config, flags: arguments.set };
    let parts = match arguments.command {
        Command::Up(up) => return up.run(&sources).await,
        Command::Down(down) => return down.stop().await,
        Command::Reset(reset) => return reset.run(),
        Command::Health(health) => return health.run(&sources).await,
        Command::Migrate(migrate) => return migrate.run(&sources).await,
        Command::Sale(sale) => return sale.run(&sources).await,
        Command::Report(report) => return report.run(&sources).await,
        Command::Top(top) => return top.run().await,
        Command::Ops(ops) => return ops.run(&sources).await,
        Command::Export(export) => return export.run(&sources).await,
        Command::Replay(replay) => return replay.run(&sources).await,
        Command::Verify(verify) => return verify.run(&sources).await,
        Command::Reconcile(reconcile) => return reconcile.run(&sources).await,
        Command::Rebuild(rebuild) => return rebuild.run(&sources).await,
        Command::Drill(drill) => return drill.run().await,
        Command::Config(config) => return config.run(&sources),
        Command::Key(key) => return key.run(),
        Command::Openapi => {
            say(serde_json::to_string_pretty(&parts::document())?);
            return Ok(ExitCode::SUCCESS);
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "flashsale", &mut std::io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Ingest => Parts { ingest: true, ..Parts::default() },
        Command::Processor => Parts { processor: true, ..Parts::default() },
        Command::Sink(Sink::Postgres) => Parts { sink_postgres: true, ..Parts::default() },
        Command::Sink(Sink::Sse) => Parts { sink_sse: true, ..Parts::default() },
        Command::Api => Parts { api: true, ..Parts::default() },
    };
    serve::run(parts, Settings::load(&sources, false)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
