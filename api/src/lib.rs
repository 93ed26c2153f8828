//! Reads, receipts and administration over HTTP.
//!
//! ```text
//! GET sales      ← the table of sales kept from the log: no Redis, no Postgres
//! GET purchases  ← Redis, else Postgres
//! products       → Postgres and Redis; the log hears of it through the outbox
//! ```

mod auth;
mod config;
mod error;
mod form;
mod handlers;
mod lifecycle;
mod openapi;
mod request;
mod router;

pub use config::{ADMIN_KEY_CHARS_MIN, Config, ConfigError};
pub use openapi::{docs_routes, openapi};
pub use router::Service;
