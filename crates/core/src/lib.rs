//! The pure domain of a flash sale: no IO, no async, no clock.
//!
//! Every rule of the business is written here once. The Lua scripts implement the same rules inside
//! Redis and are checked against [`decision::SaleBook`] answer by answer; verification,
//! reconciliation and the load tool use [`history`], [`comparison`] and [`invariants`].
#![deny(clippy::unwrap_used, clippy::expect_used)]

pub mod comparison;
pub mod decision;
pub mod history;
pub mod ids;
pub mod instant;
pub mod invariants;
pub mod listing;
pub mod receipt;
pub mod sale;
pub mod watch;

pub use comparison::{Class, Discrepancy, HotSale, Report, Sides, compare};
pub use decision::{Attempt, Decision, NotActive, Outcome, SaleBook};
pub use history::{History, LoggedDecision, LoggedOutcome};
pub use ids::{RequestId, SaleId, Sku, UserId};
pub use instant::Micros;
pub use listing::Listing;
pub use receipt::Receipt;
pub use sale::{Challenge, EndReason, SaleConfig, SaleState, SaleStatus};
pub use watch::Watch;
