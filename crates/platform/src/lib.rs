//! What every service needs and none should write: configuration, telemetry, shutdown, the HTTP
//! envelope, health. It knows no service.

pub mod client_ip;
pub mod config;
mod detached;
pub mod envelope;
mod generations;
pub mod health;
pub mod open_files;
mod rate;
mod reloaded;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
mod unique;

pub use client_ip::TrustedProxies;
pub use detached::Detached;
pub use envelope::{ApiError, CorrelationId, success, success_body};
pub use generations::Generations;
pub use health::Health;
pub use rate::RateLimit;
pub use reloaded::{Reloaded, Unusable};
pub use trace::Tracer;
pub use unique::unique_id;
