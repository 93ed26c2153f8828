//! Fault drills.
//!
//! Each drives real shoppers against the real services, as processes of their own on servers of their own, breaks one
//! thing, heals it, waits until everything has converged, and ends with the verdict: the invariants over Redis, the
//! log, Postgres and the answers that the shoppers recorded. `flashsale drill` and the test suite run the same code.
//!
//! Nothing here ever touches an installation: servers and data live in a temporary directory.

mod arena;
pub mod audience;
mod catalogue;
mod client;
mod drills;
mod installation;
mod report;
mod rows;
mod shoppers;
mod stage;
mod topics;
mod verdict;

pub use arena::Arena;
pub use catalogue::{Drill, all, find};
pub use report::{Line, Outcome, table};
pub use stage::run;

/// How long the stores may take to agree after the fault is healed (I12).
pub const CONVERGE_MAX: std::time::Duration = std::time::Duration::from_secs(30);
