//! What all parts share: the stores, the shoppers and what they were told, and what is written down of a case.

use std::fmt;

use flashsale_core::{Attempt, Micros, Receipt, invariants::Sold};

use crate::{
    log::{Log, Postgres},
    redis::{Redis, opening},
    schedule::{EDGES, Schedule},
};

/// Which safeguards of the protocol are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol {
    /// A server that was not verified decides nothing.
    pub(crate) fence: bool,
    /// A relay publishes what the outbox keeps.
    pub(crate) relay: bool,
    /// Who stood still with a reply in his hands leaves it to the outbox.
    pub(crate) late_replies_dropped: bool,
    /// A recovery waits for what is under way to the log.
    pub(crate) recovery_waits: bool,
    /// A recovery takes for sold what any record in the log counts as sold, though the units be lost.
    pub(crate) recovery_counts_all: bool,
    /// A recovery that stood still before it published leaves that to the next one.
    pub(crate) late_recovery_dropped: bool,
}

impl Protocol {
    /// All of them.
    pub(crate) const WHOLE: Self = Self {
        fence: true,
        relay: true,
        late_replies_dropped: true,
        recovery_waits: true,
        recovery_counts_all: true,
        late_recovery_dropped: true,
    };
}

/// What a shopper is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200.
    Purchased(Receipt),
    /// 202.
    Pending(Receipt),
    AlreadyPurchased(Receipt),
    SoldOut,
    /// 503.
    Unavailable,
}

impl Answer {
    /// Whether the shopper asks no more.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Pending(_) | Self::Unavailable)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Purchased(receipt) => write!(f, "200 {receipt}"),
            Self::Pending(receipt) => write!(f, "202 {receipt}"),
            Self::AlreadyPurchased(receipt) => write!(f, "ALREADY_PURCHASED {receipt}"),
            Self::SoldOut => f.write_str("SOLD_OUT"),
            Self::Unavailable => f.write_str("503"),
        }
    }
}

/// A shopper's request that waits for its answer.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) edge: usize,
    pub(crate) attempt: Attempt,
}

#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) protocol: Protocol,
    pub(crate) stock: u64,
    pub(crate) redis: Redis,
    pub(crate) log: Log,
    pub(crate) postgres: Postgres,
    pub(crate) listeners: Vec<Listener>,
    /// Everything that a shopper was told, in order.
    pub(crate) told: Vec<(Attempt, Answer)>,
    /// Units whose decision an edge never came to know, or took to its grave.
    pub(crate) forgotten: Vec<Sold>,
    /// Found while it ran.
    pub(crate) broken: Vec<String>,
    /// What happened, for people.
    pub(crate) trace: Vec<String>,
}

impl Shop {
    pub(crate) fn new(schedule: &Schedule, protocol: Protocol) -> Self {
        let mut log = Log::default();
        log.append_changes(opening(schedule.stock));
        Self {
            protocol,
            stock: schedule.stock,
            redis: Redis::new(schedule.stock, protocol.fence),
            log,
            postgres: Postgres::default(),
            listeners: Vec::new(),
            told: Vec::new(),
            forgotten: Vec::new(),
            broken: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// A millisecond passes.
    pub(crate) fn pass(&mut self) {
        self.redis.now = Micros(self.redis.now.0 + 1_000);
    }

    pub(crate) fn note(&mut self, what: String) {
        let at = self.redis.now.as_millis();
        self.trace.push(format!("{at:>4} {what}"));
    }

    /// Answers whoever waits at `edge` under this key.
    pub(crate) fn tell(&mut self, edge: usize, attempt: &Attempt, answer: &Answer) {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.edge != edge || listener.attempt != *attempt);
        if self.listeners.len() < before {
            self.note(format!("edge {edge} tells {}/{}: {answer}", attempt.user, attempt.request_id));
            self.told.push((attempt.clone(), answer.clone()));
        }
    }
}

/// The edge that a number picks.
pub(crate) fn edge_of(pick: u8) -> usize {
    usize::from(pick) % EDGES
}
