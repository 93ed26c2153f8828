//! `flashsale`: every service and tool of Flashsale in one binary.

mod client;
mod commands;
mod parts;
mod settings;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

/// Also that of what is written in C, such as the Kafka client: one heap is smaller than two.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = commands::Arguments::parse();
    flashsale_platform::open_files::raise_limit();
    // The cryptography of all TLS but the log's. Nobody was here before; if somebody was, it is the same.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return terminal::fail(&anyhow::Error::new(error).context("start the runtime")),
    };
    let code = match runtime.block_on(commands::run(arguments)) {
        Ok(code) => code,
        Err(error) => terminal::fail(&error),
    };
    // A blocked poll must not keep the process alive after everything was drained.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    code
}
