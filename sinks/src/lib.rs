//! Consumers that write views of the log.
//!
//! * [`postgres`] turns decisions into rows, each once.
#![deny(clippy::unwrap_used, clippy::expect_used)]

mod metrics;
pub mod postgres;

pub use metrics::describe as describe_metrics;
