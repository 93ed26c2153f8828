//! The Redis scripts of Flashsale, with a typed call for each.
//!
//! [`HotState`] is the only way to the hot state: who bought, what is left, and the outbox of what
//! the log may not have yet. Scripts are in `lua/scripts/`; their headers are the contract.

mod connect;
mod decide;
mod fence;
mod keys;
mod link;
mod outbox;
mod reply;
mod sale;
mod script;

pub use connect::{Config, HotState};
pub use decide::{ATTEMPTS_MAX, Decided, DecidedBatch};
pub use fence::{Claim, Fence, RESTORE_MAX, RestoredBatch};
pub use keys::Keys;
pub use outbox::{Entry, OutboxEntry, SETTLE_MAX};
pub use sale::{ChangedSale, SaleChange, SaleReply, Snapshot};

/// What can go wrong between us and Redis.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server could not be reached, did not answer in time, or refused a write.
    #[error("redis: {doing}")]
    Redis {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: redis::RedisError,
    },
    /// The server has not been verified against the log since it started: nothing may be decided.
    #[error("redis is not verified against the log yet; a recovery has to open it")]
    Closed,
    /// The server was not reachable a moment ago.
    #[error("redis is not reachable")]
    Unreachable,
    /// Somebody else recovers, or this one took too long.
    #[error("the claim to recover redis is not held (any more)")]
    ClaimLost,
    /// Redis holds no such sale although the log does: it lost its data.
    #[error("redis does not hold the sale {0}")]
    Missing(flashsale_core::Sku),
    /// The server lacks what the scripts use.
    #[error("Redis {0} is too old: version 7 or later, or Valkey, is needed")]
    TooOld(String),
    /// A reply that the scripts of this version do not give.
    #[error("unexpected reply of {script}: {detail}")]
    Reply {
        /// The script.
        script: &'static str,
        /// What was odd.
        detail: String,
    },
}

impl Error {
    pub(crate) fn redis(doing: &'static str) -> impl FnOnce(redis::RedisError) -> Self {
        move |source| Self::Redis { doing, source }
    }
}

/// What the calls of this crate return.
pub type Result<T> = std::result::Result<T, Error>;
