//! A sale: its configuration, its three states, and the snapshot that readers see.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{Micros, SaleId, Sku};

/// Longest product name, in characters.
pub const PRODUCT_NAME_CHARS_MAX: usize = 255;
/// Largest stock: what a receipt, a Lua number and a Postgres bigint all hold exactly.
pub const STOCK_MAX: u64 = 1_000_000_000;

/// `UPCOMING` → `ACTIVE` → `ENDED`, in this order, never back (I14, FL-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SaleState {
    /// Before the start.
    Upcoming,
    /// From the start (inclusive) until the end or the last unit.
    Active,
    /// For ever.
    Ended,
}

impl SaleState {
    /// The name used in Lua, events, SQL and HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upcoming => "UPCOMING",
            Self::Active => "ACTIVE",
            Self::Ended => "ENDED",
        }
    }

    /// The state called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Upcoming, Self::Active, Self::Ended].into_iter().find(|state| state.as_str() == name)
    }
}

/// Why a sale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EndReason {
    /// The last unit was sold (FL-4).
    SoldOut,
    /// The end time came first (FL-3).
    TimeExpired,
}

impl EndReason {
    /// The name used in Lua, events, SQL and HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SoldOut => "SOLD_OUT",
            Self::TimeExpired => "TIME_EXPIRED",
        }
    }

    /// The reason called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::SoldOut, Self::TimeExpired].into_iter().find(|reason| reason.as_str() == name)
    }
}

/// What a try to buy must bring along, so that a crowd of machines pays for each. It is about who may ask, at the
/// edge; what is decided does not depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Challenge {
    /// Nothing.
    #[default]
    None,
    /// The solution of a puzzle of ours, which costs a machine some time.
    ProofOfWork,
    /// The word of a CAPTCHA provider that a person is there.
    Captcha,
}

impl Challenge {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::None, Self::ProofOfWork, Self::Captcha];

    /// The name used in Lua, events, SQL and HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::ProofOfWork => "PROOF_OF_WORK",
            Self::Captcha => "CAPTCHA",
        }
    }

    /// The challenge called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|challenge| challenge.as_str() == name)
    }
}

/// What an administrator sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleConfig {
    /// This sale of the SKU.
    pub sale_id: SaleId,
    /// What is sold.
    pub sku: Sku,
    /// Its name for people, at most [`PRODUCT_NAME_CHARS_MAX`] characters.
    pub product_name: String,
    /// Units, 1 to [`STOCK_MAX`].
    pub initial_stock: u64,
    /// First instant of the sale, whole milliseconds.
    pub start: Micros,
    /// First instant after the sale, whole milliseconds.
    pub end: Micros,
    /// What a try must bring along.
    pub challenge: Challenge,
}

/// What a sale looked like after `as_of_sequence` sold units and `as_of_event` state changes.
///
/// Snapshots come from several consumers that each saw a part of the log; [`SaleStatus::absorb`]
/// joins them in any order and any number of times to the same result, so readers need no leader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleStatus {
    /// Configuration as of `as_of_event`.
    pub config: SaleConfig,
    /// State as of `as_of_event`.
    pub state: SaleState,
    /// Set once ended.
    pub end_reason: Option<EndReason>,
    /// Whether an operator stopped the sale for now.
    pub paused: bool,
    /// Units sold = the highest sequence seen.
    pub as_of_sequence: u64,
    /// Number of the last state change seen, 1 for the creation.
    pub as_of_event: u64,
    /// When the newest of what was seen happened.
    pub as_of: Micros,
}

impl SaleStatus {
    /// Units left.
    pub fn stock(&self) -> u64 {
        self.config.initial_stock.saturating_sub(self.as_of_sequence)
    }

    /// Whether `self` tells something about the same or a later sale that `other` does not know.
    pub fn is_news_to(&self, other: &Self) -> bool {
        match self.config.sale_id.cmp(&other.config.sale_id) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => self.as_of_sequence > other.as_of_sequence || self.as_of_event > other.as_of_event,
        }
    }

    /// Joins `other` into `self`; returns whether that changed anything.
    pub fn absorb(&mut self, other: &Self) -> bool {
        if !other.is_news_to(self) {
            return false;
        }
        if other.config.sale_id > self.config.sale_id {
            *self = other.clone();
            return true;
        }
        if other.as_of_event > self.as_of_event {
            let sequence = self.as_of_sequence.max(other.as_of_sequence);
            let as_of = self.as_of.max(other.as_of);
            *self = Self { as_of_sequence: sequence, as_of, ..other.clone() };
        } else {
            self.as_of_sequence = other.as_of_sequence;
            self.as_of = self.as_of.max(other.as_of);
        }
        true
    }

    /// Notes that `sequence` units of this sale were sold at `at`; returns whether that is news.
    pub fn sold(&mut self, sequence: u64, at: Micros) -> bool {
        let news = sequence > self.as_of_sequence;
        if news {
            self.as_of_sequence = sequence;
            self.as_of = self.as_of.max(at);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn snapshot(sale: u64, sequence: u64, event: u64) -> SaleStatus {
        // What a snapshot says is a function of how far it read, as in the real log.
        SaleStatus {
            config: SaleConfig {
                sale_id: SaleId::generate(Micros::from_millis(1_763_900_000_000), sale),
                sku: Sku::new("A").unwrap(),
                product_name: format!("sale {sale} event {event}"),
                initial_stock: 100,
                start: Micros(0),
                end: Micros(1_000),
                challenge: Challenge::None,
            },
            state: if event < 2 { SaleState::Upcoming } else { SaleState::Active },
            end_reason: None,
            paused: event.is_multiple_of(2),
            as_of_sequence: sequence,
            as_of_event: event,
            as_of: Micros::from_millis(i64::try_from(sequence.max(event)).unwrap()),
        }
    }

    proptest! {
        #[test]
        fn snapshots_join_to_the_same_view_in_any_order(
            parts in prop::collection::vec((0u64..2, 0u64..50, 1u64..6), 1..12),
            rotation in 0usize..12,
        ) {
            let parts: Vec<_> = parts.into_iter().map(|(s, q, e)| snapshot(s, q, e)).collect();
            let join = |order: Vec<SaleStatus>| {
                order.into_iter().reduce(|mut all, part| { all.absorb(&part); all })
            };
            let mut turned = parts.clone();
            turned.rotate_left(rotation % parts.len());
            let mut twice = turned.clone();
            twice.extend(parts.iter().rev().cloned());
            let expected = join(parts);
            prop_assert_eq!(&join(turned), &expected);
            prop_assert_eq!(&join(twice), &expected);
        }
    }

    #[test]
    fn names_round_trip() {
        for state in [SaleState::Upcoming, SaleState::Active, SaleState::Ended] {
            assert_eq!(SaleState::parse(state.as_str()), Some(state));
        }
        for reason in [EndReason::SoldOut, EndReason::TimeExpired] {
            assert_eq!(EndReason::parse(reason.as_str()), Some(reason));
        }
        for challenge in Challenge::ALL {
            assert_eq!(Challenge::parse(challenge.as_str()), Some(challenge));
        }
    }
}
