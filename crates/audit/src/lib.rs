//! What each store says of a sale, read from that store alone and compared by content.
//!
//! Recovery, reconciliation, `flashsale verify`, the drills and the load tool's verdict all look through this
//! crate, so that they cannot disagree about what was seen. What must hold is in `flashsale_core`.

mod examination;
mod log;

pub use examination::{Examination, Views, examine};
pub use log::{Log, Progress, Read, Selection, logged, logged_after};

/// What can go wrong while looking.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be read.
    #[error("read the log")]
    Log(#[from] flashsale_streaming::Error),
    /// A decoder could not be had.
    #[error("read the log")]
    Ledger(#[from] flashsale_ledger::Error),
    /// Redis could not be read.
    #[error("read redis")]
    Redis(#[from] flashsale_lua::Error),
    /// Postgres could not be read.
    #[error("read postgres")]
    Postgres(#[from] flashsale_sql::Error),
    /// The task that read Postgres is gone.
    #[error("read postgres")]
    Stopped(#[source] tokio::task::JoinError),
    /// The log knows no such sale.
    #[error("the log knows no sale of {0}")]
    Unknown(flashsale_core::Sku),
}
