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
    #[error("redis: {doing}{advice}")]
    Redis {
        /// What was being done.
        doing: &'static str,
        /// What to do about it, behind a semicolon; empty when nobody knows.
        advice: &'static str,
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
        move |source| Self::Redis { doing, advice: advice(&source), source }
    }

    /// Whether trying again would end the same way, until somebody corrects the settings on one side.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Redis { source, .. } if !advice(source).is_empty())
    }
}

/// What to do about errors of TLS and of the login.
fn advice(error: &redis::RedisError) -> &'static str {
    use redis::{ErrorKind, ServerErrorKind};
    const LOGIN: &str = "; it refuses the login: correct user and password in redis_url";
    const ACL: &str =
        "; its ACL does not permit this: compare it with deploy/redis/users.acl, and the prefix of its keys";
    let text = error.to_string();
    let has = |part: &str| text.contains(part);
    match error.kind() {
        ErrorKind::AuthenticationFailed => LOGIN,
        ErrorKind::Server(ServerErrorKind::NoPerm) => ACL,
        ErrorKind::InvalidClientConfig => "; correct redis_url, and redis_ca_file if that is set",
        _ if has("NOAUTH") => LOGIN,
        _ if has("The user executing the script") => ACL,
        _ if has("UnknownIssuer") || has("BadSignature") => "; nobody in redis_ca_file has signed its certificate",
        _ if has("not valid for name") || has("NotValidForName") => {
            "; its certificate is for another name than the one in redis_url"
        }
        _ if has("invalid peer certificate") => "; its certificate is not valid: renew it, or look at the clocks",
        _ => "",
    }
}

/// What the calls of this crate return.
pub type Result<T> = std::result::Result<T, Error>;
