//! Logs and metrics of a process.

use std::{sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Seconds; from half a millisecond, so that a decision and a rebuild both show.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Records or attempts of one batch.
const BATCH_BUCKETS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 1_000.0, 10_000.0];

/// Sends logs to stderr: for people, or as JSON lines. `filter` is in the syntax of `RUST_LOG`, which wins.
/// A second call changes nothing.
pub fn init_logs(filter: &str, json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
    if result.is_err() {
        tracing::debug!("logs were already set up");
    }
}

/// Collects metrics from now on, and keeps histograms from growing until `shutdown`.
pub fn init_metrics(shutdown: CancellationToken) {
    if METRICS.get().is_some() {
        return;
    }
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &LATENCY_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_batch_entries".into()), &BATCH_BUCKETS))
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_batch_attempts".into()), &BATCH_BUCKETS));
    // The lists of buckets are constants that are not empty.
    let Ok(builder) = builder else { return };
    match builder.install_recorder() {
        Ok(handle) => {
            drop(METRICS.set(handle.clone()));
            tokio::spawn(async move {
                // Without this an unscraped histogram keeps every sample.
                while tokio::time::timeout(Duration::from_secs(5), shutdown.cancelled()).await.is_err() {
                    handle.run_upkeep();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "no metrics"),
    }
}

/// All metrics in Prometheus' text form.
pub fn render() -> String {
    METRICS.get().map_or_else(String::new, PrometheusHandle::render)
}
