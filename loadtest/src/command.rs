//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use flashsale_loadtest::{
    bare,
    report::Limit,
    scenario::{Dials, Scenario},
};
use flashsale_platform::{shutdown, telemetry};

use crate::{output::tell, run};

/// The log's client says all the time that brokers are away; what matters of it is in the error.
const LOGS: &str = "error,librdkafka=off,rdkafka=off";

/// Longest that the stores may be waited for: a day.
const CONVERGE_SECONDS_MAX: u64 = 86_400;

const EXAMPLES: &str = "\
Examples:
  flashsale-load stampede
  flashsale-load stampede --buyers 20000 --units 2000 --html report.html --threshold 'p99<1s'
  flashsale-load mixed --rate 5000 --seconds 60 --listeners 1000
  flashsale-load soldout --arrivals closed --connections 500 --json - | jq .routes
  flashsale-load status --url http://shop-1:8080 --url http://shop-2:8080 --yes

Exit codes: 0 all that was checked holds, and every limit; 1 something does not; 64 wrong usage; 69 nobody answers.";

/// Sends load to an installation, measures what its clients see, and proves what came of it.
#[derive(Debug, Parser)]
#[command(name = "flashsale-load", version, arg_required_else_help = true)]
#[command(propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everybody in one moment, for too few units.
    Stampede(RunArgs),
    /// Few shoppers who try again and again, with the key they began with and with new ones.
    Duplicates(RunArgs),
    /// Nobody buys, everybody asks for the status.
    Status(RunArgs),
    /// 80 % status, 15 % purchases, 5 % receipts, while pages listen.
    Mixed(RunArgs),
    /// Attempts at a sale that has nothing left.
    Soldout(RunArgs),
    /// Mixed load for hours, over several sales.
    Soak(RunArgs),
    /// Serve constant answers without deciding anything: the limit of this machine, to be measured beside an ingest.
    Bare(BareArgs),
    /// Print a completion script for your shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What every run has.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Where the installation answers; several are used in turn.
    #[arg(long = "url", env = "FLASHSALE_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) urls: Vec<String>,
    /// Where its API answers, if that is elsewhere.
    #[arg(long, value_name = "URL")]
    pub(crate) admin_url: Option<String>,
    /// The admin key; on this machine by default that of the local stack.
    #[arg(long, env = "FLASHSALE_ADMIN_KEY", hide_env_values = true)]
    pub(crate) admin_key: Option<String>,
    /// A sale that is there already; without it one is set up.
    #[arg(long)]
    pub(crate) sku: Option<flashsale_core::Sku>,
    #[command(flatten)]
    pub(crate) dials: Dials,
    /// For everything that chance decides; each run tells its own.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Write every attempt to buy and every look at a receipt into this file, as JSON Lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Write the report as JSON; - for stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as a page.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// A limit such as 'p99<2s', counted from when a request was due; may be repeated.
    #[arg(long = "threshold", value_name = "LIMIT")]
    pub(crate) thresholds: Vec<Limit>,
    /// Do not look into the stores.
    #[arg(long)]
    pub(crate) no_verdict: bool,
    /// Seconds that the stores may take to agree.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(..=CONVERGE_SECONDS_MAX))]
    pub(crate) converge: u64,
    /// Only say what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// You may send load to a machine that is not this one.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
struct BareArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8088", value_name = "ADDRESS")]
    listen: SocketAddr,
}

/// Does what was asked for.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    telemetry::init_logs(LOGS, false);
    let (scenario, arguments) = match arguments.command {
        Command::Stampede(arguments) => (Scenario::Stampede, arguments),
        Command::Duplicates(arguments) => (Scenario::Duplicates, arguments),
        Command::Status(arguments) => (Scenario::Status, arguments),
        Command::Mixed(arguments) => (Scenario::Mixed, arguments),
        Command::Soldout(arguments) => (Scenario::Soldout, arguments),
        Command::Soak(arguments) => (Scenario::Soak, arguments),
        Command::Bare(arguments) => return serve(arguments.listen).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "flashsale-load", &mut std::io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
    };
    run::run(scenario, &arguments).await
}

async fn serve(listen: SocketAddr) -> anyhow::Result<ExitCode> {
    let stop = shutdown::on_signal()?;
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    tell(format_args!("Constant answers on http://{}; Ctrl-C ends it.", listener.local_addr()?));
    bare::serve(listener, stop).await?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn limits_and_dials_are_read() {
        let line = "flashsale-load stampede --buyers 50 --threshold p99<2s --threshold p50<10ms --url http://[::1]:1";
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        let Command::Stampede(run) = arguments.command else { panic!("{line}") };
        assert_eq!((run.dials.buyers, run.thresholds.len(), run.urls.len()), (Some(50), 2, 1));
        for wrong in [
            "--threshold p99",
            "--arrivals never",
            "--sku a_b",
            "--converge soon",
            "--converge 86401",
            "--buyers 0",
            "--buyers 1000001",
            "--units 0",
            "--rate 0",
            "--rate NaN",
            "--rate 10000001",
            "--ramp-from 10000001",
            "--seconds 604801",
            "--answer-max 0",
            "--connections 0",
            "--connections 200001",
            "--threads 65",
            "--pipeline 0",
            "--listeners 100001",
            "--sales 1001",
        ] {
            let line = format!("flashsale-load mixed {wrong}");
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
