//! `flashsale-load`: sends load to an installation, measures it, and proves what came of it.

mod command;
mod failure;
mod listeners;
mod output;
mod place;
mod progress;
mod record;
mod run;
mod sale;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = match command::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            // Help and version are no errors.
            return if error.use_stderr() { ExitCode::from(failure::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&anyhow::Error::new(error).context("start the runtime")),
    };
    let code = match runtime.block_on(command::run(arguments)) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    };
    // A blocked poll of the log must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}
