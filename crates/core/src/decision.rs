//! The decision model: what `lua/scripts/decide.lua` does, without Redis.
//!
//! A [`SaleBook`] is one sale's state. Feeding it the attempts of a history in the order in which
//! Redis took them gives every answer again; that is how the script is tested and how a log is
//! verified afterwards (I9).

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{EndReason, Micros, Receipt, RequestId, SaleConfig, SaleId, SaleState, UserId};

/// Why a sale takes no purchases now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotActive {
    /// Before the start.
    NotStarted,
    /// At or after the end.
    TimeExpired,
    /// An operator stopped the sale for now.
    Paused,
    /// The SKU was deleted, or created again as another sale.
    SaleReplaced,
}

impl NotActive {
    /// The name used in events, SQL and HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "NOT_STARTED",
            Self::TimeExpired => "TIME_EXPIRED",
            Self::Paused => "PAUSED",
            Self::SaleReplaced => "SALE_REPLACED",
        }
    }

    /// The reason called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::NotStarted, Self::TimeExpired, Self::Paused, Self::SaleReplaced]
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

/// One shopper's wish for one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Who.
    pub user: UserId,
    /// Which try of theirs.
    pub request_id: RequestId,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A unit was sold now.
    Accepted(Receipt),
    /// This very attempt was accepted before: the same success again (PR-7).
    Repeated(Receipt),
    /// The shopper holds a unit from another attempt (PR-2).
    AlreadyPurchased(Receipt),
    /// No unit is left (PR-4).
    SoldOut,
    /// The sale takes no purchases now (PR-3).
    NotActive(NotActive),
}

impl Outcome {
    /// The receipt, when the shopper holds a unit.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self {
            Self::Accepted(receipt) | Self::Repeated(receipt) | Self::AlreadyPurchased(receipt) => Some(receipt),
            Self::SoldOut | Self::NotActive(_) => None,
        }
    }
}

/// An outcome and the sale as it left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What became of the attempt.
    pub outcome: Outcome,
    /// Units sold after this decision.
    pub as_of_sequence: u64,
    /// Units left after this decision.
    pub remaining: u64,
}

/// A change of a sale's state, in the order of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Change {
    /// The sale was set up.
    Created,
    /// Its configuration changed while it was upcoming.
    Updated,
    /// It became active.
    Started,
    /// An operator stopped it for now.
    Paused,
    /// An operator let it go on.
    Resumed,
    /// It ended; see its reason.
    Ended,
    /// It was removed, in a test environment.
    Deleted,
}

impl Change {
    /// The name used in Lua and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Updated => "UPDATED",
            Self::Started => "STARTED",
            Self::Paused => "PAUSED",
            Self::Resumed => "RESUMED",
            Self::Ended => "ENDED",
            Self::Deleted => "DELETED",
        }
    }

    /// The change called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        use Change::{Created, Deleted, Ended, Paused, Resumed, Started, Updated};
        [Created, Updated, Started, Paused, Resumed, Ended, Deleted].into_iter().find(|change| change.as_str() == name)
    }
}

/// A configuration that cannot be, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Only an upcoming sale may change.
    #[error("only an upcoming sale can be modified")]
    NotModifiable,
    /// An ended sale can be neither paused nor resumed.
    #[error("the sale has ended")]
    Ended,
}

/// Where a sale stands at one time.
struct Due {
    at: Micros,
    state: SaleState,
    end_reason: Option<EndReason>,
}

/// The whole state of one sale.
#[derive(Debug, Clone)]
pub struct SaleBook {
    config: SaleConfig,
    state: SaleState,
    end_reason: Option<EndReason>,
    paused: bool,
    sequence: u64,
    latest: Micros,
    buyers: HashMap<UserId, (Receipt, RequestId)>,
    changes: Vec<Change>,
}

impl SaleBook {
    /// A sale created at `now`; it is active at once when its start has passed.
    pub fn create(config: SaleConfig, now: Micros) -> Self {
        let mut book = Self {
            config,
            state: SaleState::Upcoming,
            end_reason: None,
            paused: false,
            sequence: 0,
            latest: now,
            buyers: HashMap::new(),
            changes: vec![Change::Created],
        };
        book.tick(now);
        book
    }

    /// The state after the last call.
    pub fn state(&self) -> SaleState {
        self.state
    }

    /// Why it ended, once it did.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.end_reason
    }

    /// Units left.
    pub fn stock(&self) -> u64 {
        // More is sold than there was only when a log says so that is replayed.
        self.config.initial_stock.saturating_sub(self.sequence)
    }

    /// The configuration after the last call.
    pub fn config(&self) -> &SaleConfig {
        &self.config
    }

    /// Whether an operator has stopped the sale for now.
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Units sold.
    pub fn sold(&self) -> u64 {
        self.sequence
    }

    /// Every state change so far.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The receipt of `user`, if any.
    pub fn receipt_of(&self, user: &UserId) -> Option<&Receipt> {
        self.buyers.get(user).map(|(receipt, _)| receipt)
    }

    /// Makes the transitions that the time `now` demands; returns the time used, which never
    /// runs backwards within a sale even if Redis' host clock does.
    pub fn tick(&mut self, now: Micros) -> Micros {
        let due = self.due(now);
        if self.state == SaleState::Upcoming && due.state != SaleState::Upcoming {
            self.state = SaleState::Active;
            self.changes.push(Change::Started);
        }
        if self.state == SaleState::Active && due.state == SaleState::Ended {
            self.end(EndReason::TimeExpired);
        }
        self.latest = due.at;
        self.latest
    }

    /// Where the sale stands at `now`, once the transitions that this time demands are made.
    fn due(&self, now: Micros) -> Due {
        let mut due = Due { at: self.latest.max(now), state: self.state, end_reason: self.end_reason };
        if due.state == SaleState::Upcoming && due.at >= self.config.start {
            due.state = SaleState::Active;
        }
        if due.state == SaleState::Active && due.at >= self.config.end {
            (due.state, due.end_reason) = (SaleState::Ended, Some(EndReason::TimeExpired));
        }
        due
    }

    /// Decides one attempt that named `expected` as the sale it wants to buy from.
    pub fn decide(&mut self, now: Micros, expected: &SaleId, attempt: &Attempt) -> Decision {
        self.tick(now);
        let outcome = self.outcome(now, expected, attempt);
        if let Outcome::Accepted(receipt) = &outcome {
            self.sequence = receipt.sequence;
            self.buyers.insert(attempt.user.clone(), (receipt.clone(), attempt.request_id.clone()));
            if self.stock() == 0 {
                self.end(EndReason::SoldOut);
            }
        }
        Decision { outcome, as_of_sequence: self.sequence, remaining: self.stock() }
    }

    fn outcome(&self, now: Micros, expected: &SaleId, attempt: &Attempt) -> Outcome {
        match self.buyers.get(&attempt.user) {
            Some((receipt, request_id)) => Self::returning(receipt.clone(), request_id == &attempt.request_id),
            None => self.first_time(now, expected),
        }
    }

    /// What a shopper who holds a unit gets, from the attempt that bought it or from another.
    pub(crate) fn returning(receipt: Receipt, same_attempt: bool) -> Outcome {
        if same_attempt { Outcome::Repeated(receipt) } else { Outcome::AlreadyPurchased(receipt) }
    }

    /// What a shopper without a unit gets at `now`. Nothing changes, so a replay judges a refusal without
    /// moving the time: a Redis that only refuses does not write its time down either.
    pub(crate) fn first_time(&self, now: Micros, expected: &SaleId) -> Outcome {
        if *expected != self.config.sale_id {
            return Outcome::NotActive(NotActive::SaleReplaced);
        }
        let due = self.due(now);
        match (due.state, due.end_reason) {
            (SaleState::Ended, Some(EndReason::SoldOut)) => Outcome::SoldOut,
            (SaleState::Ended, _) => Outcome::NotActive(NotActive::TimeExpired),
            _ if self.paused => Outcome::NotActive(NotActive::Paused),
            (SaleState::Upcoming, _) => Outcome::NotActive(NotActive::NotStarted),
            (SaleState::Active, _) => Outcome::Accepted(Receipt {
                sale_id: self.config.sale_id.clone(),
                sequence: self.sequence + 1,
                decided_at: due.at,
            }),
        }
    }

    /// Takes all units up to `sequence` for sold, whatever the rules say and without their buyers: a replay
    /// knows these from the log, and goes on behind a unit that it finds wrong.
    pub(crate) fn assume_sold(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
        if self.stock() == 0 && self.state != SaleState::Ended {
            self.end(EndReason::SoldOut);
        }
    }

    /// Replaces the configuration, which must keep the sale id.
    pub fn update(&mut self, now: Micros, config: SaleConfig) -> Result<(), Refused> {
        self.tick(now);
        if self.state != SaleState::Upcoming {
            return Err(Refused::NotModifiable);
        }
        self.config = config;
        self.changes.push(Change::Updated);
        self.tick(now);
        Ok(())
    }

    /// Stops the sale (`true`) or lets it go on; a repeat changes nothing.
    pub fn pause(&mut self, now: Micros, paused: bool) -> Result<(), Refused> {
        self.tick(now);
        if self.state == SaleState::Ended {
            return Err(Refused::Ended);
        }
        if self.paused != paused {
            self.paused = paused;
            self.changes.push(if paused { Change::Paused } else { Change::Resumed });
        }
        Ok(())
    }

    fn end(&mut self, reason: EndReason) {
        self.state = SaleState::Ended;
        self.end_reason = Some(reason);
        self.changes.push(Change::Ended);
    }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
