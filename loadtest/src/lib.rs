//! The load tool: it sends what a sale must stand, measures what its clients see, and proves what came of it.
//!
//! ```text
//! scenario → engine (by the schedule of arrivals) → recorder → verdict (history, stores) → report
//! ```
//!
//! Requests are due by a schedule that does not wait for answers, and latency counts from when a request was due.

pub mod arrivals;
pub mod bare;
pub mod engine;
pub mod history;
pub mod recorder;
pub mod report;
pub mod scenario;
pub mod timeline;
pub mod verdict;
