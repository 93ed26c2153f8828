//! Consumers that make views of the log.
//!
//! * [`postgres`] turns decisions into rows, each once.
//! * [`sse`] keeps open pages up to date.
#![deny(clippy::unwrap_used, clippy::expect_used)]

mod metrics;
pub mod postgres;
pub mod sse;

pub use metrics::describe as describe_metrics;
