//! What every service needs and none should write: configuration, telemetry, shutdown, the HTTP
//! envelope, health. It knows no service.

pub mod config;
pub mod envelope;
pub mod health;
pub mod server;
pub mod shutdown;
pub mod telemetry;

pub use envelope::{ApiError, CorrelationId, success};
pub use health::Health;
