//! What operators do, for the command line and the HTTP API alike.
//!
//! * [`Sampler`] and [`Watcher`] see consumers: members, positions, lag in records and seconds, a verdict with its why.
//! * [`Operations`] steers them: orders that hold, resets, dead letters that are sent again or given up, topics and
//!   what is in them. Whatever changes something has a dry run, and is written to the log as an act.
//! * [`Pulse`] counts decisions as they come.
#![deny(clippy::unwrap_used, clippy::expect_used)]

mod acts;
mod consumers;
mod letters;
mod messages;
mod metrics;
mod orders;
mod pulse;
mod reset;
mod topics;

use std::sync::Arc;

use flashsale_ledger::Ledger;
use flashsale_sql::Store;

use letters::LetterBook;
use tokio::sync::Mutex;

pub use acts::{Act, Actor, InvalidActor, record};
pub use consumers::{
    Consumer, Consumers, Member, Order, PartitionName, PartitionView, Paused, Sample, Sampler, Verdict, Watcher,
    WatcherConfig, judge, positions_at, rate,
};
pub use letters::{
    Cause, DiscardPlan, Letter, LetterAct, LetterDetails, LetterRecord, LetterState, LetterVerdict, Letters,
    PlannedLetter, RedrivePlan, Selection, Source, Trial, letter_of,
};
pub use messages::{Browse, Filter, Message, Messages, Start};
pub use metrics::describe as describe_metrics;
pub use orders::OrderBook;
pub use pulse::{Pulse, Second};
pub use reset::{Move, Reset, ResetPlan, Target};
pub use topics::{Drift, PartitionEnds, TopicView};

/// What can go wrong when an operator acts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be done as asked; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The consumer runs, and must not.
    #[error("{0}")]
    Running(String),
    /// The log.
    #[error("the log")]
    Log(#[source] flashsale_streaming::Error),
    /// The log could not be opened.
    #[error("the log")]
    Ledger(#[from] flashsale_ledger::Error),
    /// The log did not acknowledge what was written.
    #[error("write to the log")]
    NotDelivered(#[from] flashsale_streaming::NotDelivered),
    /// Postgres.
    #[error("the view in Postgres")]
    Postgres(#[from] flashsale_sql::Error),
    /// A task ended early.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

impl From<flashsale_streaming::Error> for Error {
    fn from(error: flashsale_streaming::Error) -> Self {
        match error {
            flashsale_streaming::Error::Topic { topic, reason } => Self::NotFound(format!("{topic}: {reason}")),
            error => Self::Log(error),
        }
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// What an operator works with. A clone shares it.
#[derive(Debug, Clone)]
pub struct Operations {
    ledger: Ledger,
    store: Option<Store>,
    orders: OrderBook,
    letters: LetterBook,
    /// Held while an order is made of the one that stands.
    steering: Arc<Mutex<()>>,
}

impl Operations {
    /// Opens the books of orders and of settled letters. Without a store, offsets and rows in Postgres cannot be seen or changed.
    ///
    /// # Errors
    /// When a client cannot be made, or a schema is not to be had.
    pub async fn open(ledger: Ledger, store: Option<Store>) -> Result<Self, Error> {
        let (orders, letters) = (OrderBook::open(&ledger).await?, LetterBook::open(&ledger).await?);
        Ok(Self { ledger, store, orders, letters, steering: Arc::default() })
    }

    /// The orders that stand.
    pub fn orders(&self) -> &OrderBook {
        &self.orders
    }

    /// The log.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
