//! The shop page, reads, receipts and administration over HTTP.
//!
//! ```text
//! GET sales      ← the table of sales kept from the log: no Redis, no Postgres
//! GET purchases  ← Redis, else Postgres
//! /              ← the shop page, from this binary
//! ops            ← consumers, topics, dead letters, acts: `flashsale-operations`
//! products       → Postgres and Redis; the log hears of it through the outbox
//! ```

mod auth;
mod config;
mod error;
mod form;
mod handlers;
mod keys;
mod lifecycle;
mod metrics;
mod openapi;
mod page;
mod request;
mod router;
mod tools;

pub use config::{ADMIN_KEY_CHARS_MIN, Config, ConfigError};
pub use keys::{AdminKey, AdminKeys, InvalidRole, Role};
pub use metrics::describe as describe_metrics;
pub use openapi::{docs_routes, openapi};
pub use page::routes as page_routes;
pub use router::Service;
pub use tools::{Reconcile, ReconcileResult, Tools};
