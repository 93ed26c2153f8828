//! One part as a process of its own, for production.

use std::process::ExitCode;

use flashsale_platform::{server, shutdown, telemetry};

use crate::{
    parts::{self, Parts},
    settings::Settings,
};

/// Serves `parts` until a signal.
pub(crate) async fn run(parts: Parts, settings: Settings) -> anyhow::Result<ExitCode> {
    settings.require(&parts.required())?;
    telemetry::init_logs(&settings.log_filter, settings.log_json);
    let shutdown = shutdown::on_signal()?;
    let listener = server::bind(&settings.http_address).await?;
    tracing::info!(address = %listener.local_addr()?, ?parts, "listening");
    parts::run(&settings, parts, listener, shutdown, async || Ok(())).await?;
    Ok(ExitCode::SUCCESS)
}
