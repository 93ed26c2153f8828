//! Runs a command with the three servers up and their addresses in its environment, so that all test processes of a
//! run share them: `with-servers cargo test --workspace`. Ends with the command's exit code.

use std::{
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result};
use flashsale_testkit::{Kind, Running};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// How long the command may take to end after a signal.
const END_MAX: Duration = Duration::from_secs(10);
/// `EX_USAGE` and `EX_UNAVAILABLE` of sysexits.h.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;

#[tokio::main]
async fn main() -> ExitCode {
    let mut command: Vec<_> = std::env::args_os().skip(1).collect();
    if command.first().is_some_and(|first| first == "--") {
        command.remove(0);
    }
    if command.is_empty() {
        eprintln!("usage: with-servers [--] COMMAND [ARGUMENT]...");
        return ExitCode::from(USAGE);
    }
    // Tied to this thread, the main one, which lives as long as the process.
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "TERM", "--"]).args(command);
    run(tied).await.unwrap_or_else(|error| {
        eprintln!("with-servers: {error:#}");
        ExitCode::from(UNAVAILABLE)
    })
}

async fn run(mut command: Command) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let start = async {
        tokio::try_join!(Running::start(Kind::Kafka), Running::start(Kind::Redis), Running::start(Kind::Postgres))
    };
    let (kafka, redis, postgres) = tokio::select! {
        servers = start => servers?,
        _ = interrupt.recv() => return Ok(signalled(Signal::SIGINT)),
        _ = terminate.recv() => return Ok(signalled(Signal::SIGTERM)),
    };
    for (kind, server) in [(Kind::Kafka, &kafka), (Kind::Redis, &redis), (Kind::Postgres, &postgres)] {
        command.env(Running::variable(kind), server.url());
    }
    let mut child = command.spawn().context("run the command")?;
    tokio::select! {
        status = child.wait() => Ok(exit_code(status?)),
        // A Ctrl-C in the terminal has reached the command as well.
        _ = interrupt.recv() => end(child, None).await,
        _ = terminate.recv() => end(child, Some(Signal::SIGTERM)).await,
    }
}

/// Passes the signal on, waits for the command, and kills it when it takes too long.
async fn end(mut child: Child, pass_on: Option<Signal>) -> Result<ExitCode> {
    if let (Some(signal), Some(pid)) = (pass_on, child.id()) {
        kill(Pid::from_raw(i32::try_from(pid)?), signal).context("signal the command")?;
    }
    if let Ok(status) = timeout(END_MAX, child.wait()).await {
        return Ok(exit_code(status?));
    }
    child.kill().await.context("kill the command")?;
    Ok(signalled(Signal::SIGKILL))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// As a shell tells it.
fn signalled(signal: Signal) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal as i32).unwrap_or(u8::MAX))
}
