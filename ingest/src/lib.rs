//! The write edge: validate, limit, decide, publish, answer.
//!
//! ```text
//! POST → parse → catalogue → idempotency → room → user limit → challenge → admission → batcher ─EVALSHA→ Redis
//!                                                                                        └─publish→ log ─ack→ answer, settle
//! ```
//!
//! Everything that can refuse for want of room refuses *before* the decision. After it, a winner is
//! answered with the receipt whatever happens: 200, or 202 while the log is late.

mod adaptive;
mod admission;
mod batcher;
mod carry_on;
mod challenge;
mod config;
mod hash;
mod idempotency;
mod metrics;
mod openapi;
mod publish;
mod purchase;
mod request;
mod router;
mod service;
mod settle;
mod trace;

pub use config::{Config, Confirm};
pub use metrics::describe as describe_metrics;
pub use openapi::openapi;
// For fuzzers, and for whoever counts what a request costs.
pub use request::{BODY_BYTES_MAX, PurchaseRequest, parse as parse_request};
pub use router::answer_to;
pub use service::Service;
