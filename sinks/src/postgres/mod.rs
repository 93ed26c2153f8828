//! `purchase-decisions` → decode → batch → one transaction → commit.
//!
//! Units, counts and the offsets they came from are one transaction, and the offsets to go on from are read
//! from Postgres: the effect is exactly once, whatever is killed, repeated or run twice. Point of no return: the
//! commit in Postgres. The offsets on the broker follow for lag displays and are never read.

mod config;
mod rebuild;
mod service;
mod sink;
mod stage;
mod trace;

pub use config::Config;
pub use rebuild::{Rebuilt, rebuild};
pub use service::{Error, Service};
pub use sink::PostgresSink;
pub use stage::stage;
