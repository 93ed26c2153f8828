//! What every service needs and none should write: configuration, telemetry, shutdown, the HTTP
//! envelope, health. It knows no service.

pub mod client_ip;
pub mod config;
mod detached;
pub mod envelope;
pub mod health;
pub mod open_files;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod trace;

pub use client_ip::TrustedProxies;
pub use detached::Detached;
pub use envelope::{ApiError, CorrelationId, success};
pub use health::Health;
pub use trace::Tracer;
