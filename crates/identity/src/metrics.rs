//! Names of the metrics of this crate.

use metrics::{counter, describe_counter};

const TOKENS: &str = "flashsale_identity_tokens_total";

/// What becomes of a request that needs a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Its signature and claims are good.
    Verified,
    /// The same token was verified before.
    Remembered,
    /// There is none.
    Missing,
    /// It is no token, or too long.
    Malformed,
    /// No key of the set has this name and algorithm.
    UnknownKey,
    /// Another key signed it, or it was changed.
    Signature,
    /// It is not valid any more.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// It is of another issuer or for another audience, or a claim is missing or wrong.
    Claims,
}

impl Checked {
    const ALL: [Self; 9] = [
        Self::Verified,
        Self::Remembered,
        Self::Missing,
        Self::Malformed,
        Self::UnknownKey,
        Self::Signature,
        Self::Expired,
        Self::NotYet,
        Self::Claims,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Remembered => "remembered",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Claims => "claims",
        }
    }
}

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_counter!(TOKENS, "Requests that need a shopper's token, by what became of it");
}

/// Makes every series, so that an alert sees the first of each.
pub(crate) fn begin() {
    Checked::ALL.iter().for_each(|checked| counter!(TOKENS, "result" => checked.label()).increment(0));
}

pub(crate) fn count(checked: Checked) {
    counter!(TOKENS, "result" => checked.label()).increment(1);
}
