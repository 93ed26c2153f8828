//! The log as this system sees it: which topics there are, how an event becomes a record, and the table
//! of sales that any service can keep from it.
//!
//! `crates/streaming` moves bytes and knows no event; `schemas` knows events and moves nothing. This
//! crate joins the two, once, for all services.

mod json;
mod ledger;
mod orders;
mod passage;
mod sale_view;
mod scribe;

pub use json::{JsonDecoder, hex, schema_id};
pub use ledger::{Config, DECIDED_TO_SENT_MAX, Ledger, PROCESSOR_STATUS, SINK_POSTGRES, settings_of};
pub use orders::{Orders, hold_of};
pub use passage::{BorrowedDecision, Place, decode, decode_borrowed};
pub use sale_view::SaleView;
pub use scribe::refusal_id;

/// What can go wrong when the log is opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log itself.
    #[error("open the log")]
    Streaming(#[source] flashsale_streaming::Error),
    /// The schema registry.
    #[error("register the schema of {topic}")]
    Registry {
        /// Of which topic.
        topic: &'static str,
        /// Why not.
        #[source]
        source: flashsale_schemas::RegistryError,
    },
}
