//! Names of the metrics of this crate.

use metrics::{counter, describe_counter};

const REFUSED: &str = "flashsale_api_admin_refused_total";

/// Why a try to administer was refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    /// There is no key.
    Missing,
    /// Nobody has this key.
    Unknown,
    /// The key has run out.
    Expired,
    /// The key's role does not allow it.
    Role,
}

impl Refusal {
    const ALL: [Self; 4] = [Self::Missing, Self::Unknown, Self::Expired, Self::Role];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Role => "role",
        }
    }
}

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_counter!(REFUSED, "Refused tries to administer, by reason");
}

/// Makes every series, so that an alert sees the first of each.
pub(crate) fn begin() {
    Refusal::ALL.iter().for_each(|reason| counter!(REFUSED, "reason" => reason.label()).increment(0));
}

pub(crate) fn refused(reason: Refusal) {
    counter!(REFUSED, "reason" => reason.label()).increment(1);
}
