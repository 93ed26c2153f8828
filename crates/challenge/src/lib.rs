//! What a try to buy must bring along, so that a crowd of machines pays for each.
//!
//! ```text
//! Challenges ─ of(sale's challenge) ─▶ Verifier ─ task ──▶ told to the shopper
//!                                               ─ verify ◀ what the try brought along
//! ```
//!
//! Nothing here decides who gets a unit, and nothing is kept in a store: a puzzle says itself for whom it is, until
//! when and how hard, under our signature. Whoever asks is limited before, so a flood of wrong answers costs little.
#![deny(clippy::unwrap_used, clippy::expect_used)]

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use flashsale_core::{Challenge, Micros, Sku, UserId};
use serde::Serialize;
use sha2::{Digest, Sha256};

mod captcha;
mod config;
mod proof_of_work;

pub use captcha::Captcha;
pub use config::Config;
pub use proof_of_work::{ProofOfWork, difficulty, leading_zero_bits};

/// Longest response, in bytes: what providers promise for their tokens.
pub const RESPONSE_BYTES_MAX: usize = 2_048;

/// Names a subject in a puzzle and among the tokens that were seen.
type Binding = [u8; 16];

/// Who wants to buy what. A response is good for nobody else and for nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What is to be bought.
    pub sku: &'a Sku,
    /// Who wants it.
    pub user: &'a UserId,
}

impl Subject<'_> {
    /// Of one length whatever the names are: a puzzle must not be harder for who has a long name.
    fn binding(&self) -> Binding {
        // No SKU has a line feed in it.
        let hash = Sha256::new().chain_update(self.sku.as_str()).chain_update("\n").chain_update(self.user.as_str());
        let mut binding = Binding::default();
        binding.copy_from_slice(&hash.finalize()[..size_of::<Binding>()]);
        binding
    }
}

/// What a shopper has to do before a try, in the JSON of the HTTP contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum Task {
    /// Nothing.
    None,
    /// Find a number whose SHA-256 behind `challenge` and a colon begins with so many zero bits.
    ProofOfWork {
        /// The puzzle.
        challenge: String,
        /// How hard it is.
        difficulty_bits: u32,
        /// Until when a solution is taken.
        expires_at: String,
    },
    /// Have a provider say that a person is there.
    Captcha {
        /// Which of the provider's widgets.
        site_key: String,
        /// The provider: the host that is asked about tokens.
        verifier: String,
    },
}

/// Why a response was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// It has not the form of one.
    #[error("the response has not the form of one")]
    Malformed,
    /// The puzzle is not signed by us.
    #[error("the puzzle is not ours")]
    Forged,
    /// It was made for another shopper or another sale.
    #[error("the response was made for another shopper or another sale")]
    NotTheirs,
    /// It came too late.
    #[error("the response came too late")]
    Expired,
    /// The number does not solve the puzzle.
    #[error("the puzzle is not solved")]
    Unsolved,
    /// The provider does not vouch for the token.
    #[error("the provider does not vouch for the token")]
    Refused,
    /// Nobody knows: the provider cannot be asked now.
    #[error("the provider cannot be asked now")]
    Unavailable,
}

impl Refusal {
    /// Every one.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::Forged,
        Self::NotTheirs,
        Self::Expired,
        Self::Unsolved,
        Self::Refused,
        Self::Unavailable,
    ];

    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::NotTheirs => "not_theirs",
            Self::Expired => "expired",
            Self::Unsolved => "unsolved",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A way to make a try cost something.
#[async_trait]
pub trait Verifier: fmt::Debug + Send + Sync {
    /// What `subject` has to do; `load` is how busy we are, 1 for as much as we take.
    fn task(&self, subject: Subject<'_>, now: Micros, load: f32) -> Task;

    /// Whether `response` is what `subject` had to do.
    async fn verify(&self, subject: Subject<'_>, response: &str, now: Micros) -> Result<(), Refusal>;
}

/// Why the challenges cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody could be asked over TLS.
    #[error("reading this host's certificate authorities, to ask the CAPTCHA provider")]
    Authorities(#[source] std::io::Error),
    /// The settings were not checked.
    #[error("{0}")]
    Settings(String),
}

/// A sale asks for the word of a CAPTCHA provider, and none is configured here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no CAPTCHA provider is configured")]
pub struct NotConfigured;

/// Every challenge that a sale may ask for. A clone shares all.
#[derive(Debug, Clone)]
pub struct Challenges(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    proof_of_work: ProofOfWork,
    captcha: Option<Captcha>,
}

impl Challenges {
    /// The challenges as `config` has them.
    pub fn new(config: &Config) -> Result<Self, Error> {
        config.check().map_err(Error::Settings)?;
        let captcha = if config.has_captcha() { Some(Captcha::new(config)?) } else { None };
        Ok(Self(Arc::new(Inner { proof_of_work: ProofOfWork::new(config), captcha })))
    }

    /// What makes tries of such a sale cost something; nothing when they are free.
    pub fn of(&self, challenge: Challenge) -> Result<Option<&dyn Verifier>, NotConfigured> {
        match challenge {
            Challenge::None => Ok(None),
            Challenge::ProofOfWork => Ok(Some(&self.0.proof_of_work)),
            Challenge::Captcha => {
                self.0.captcha.as_ref().map(|captcha| Some(captcha as &dyn Verifier)).ok_or(NotConfigured)
            }
        }
    }
}
