//! Who a shopper is: by the header `X-User-Id`, which somebody in front has set, or by a token that is checked here.
//!
//! ```text
//! Authorization: Bearer … → remembered? → key by kid and algorithm → signature → exp, nbf, iss, aud → claim → UserId
//! ```
#![deny(clippy::unwrap_used, clippy::expect_used)]

mod config;
mod jwks;
mod metrics;
mod shoppers;
mod signatures;
mod tokens;

pub use config::Config;
pub use metrics::describe as describe_metrics;
pub use shoppers::{Shoppers, Unidentified};
