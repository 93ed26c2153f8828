//! A Redis that can lose its last writes: the sale, its outbox, the file, the run id and the fence.

use std::collections::BTreeMap;

use flashsale_core::{
    Attempt, Challenge, Decision, EndReason, History, HotSale, LoggedDecision, LoggedOutcome, Micros, Outcome,
    RequestId, SaleBook, SaleConfig, SaleId, SaleState, SaleStatus, Sku, UserId, decision::Change, invariants::Sold,
};

use crate::{log::Record, shop::Protocol};

const SALE: &str = "06C5HN3T8Q2Z";
const CREATED: Micros = Micros::from_millis(1);
/// Changes of a sale that is on: CREATED and STARTED. The third is ENDED.
const EVENTS_OF_ACTIVE: u64 = 2;

pub(crate) fn sale_id() -> SaleId {
    SaleId::new(SALE).expect("a sale id")
}

pub(crate) fn attempt(user: &str, key: &str) -> Attempt {
    Attempt { user: UserId::new(user).expect("a user"), request_id: RequestId::new(key).expect("a key") }
}

pub(crate) fn config(stock: u64) -> SaleConfig {
    SaleConfig {
        sale_id: sale_id(),
        sku: Sku::new("PHONE").expect("a SKU"),
        product_name: "Phone".into(),
        initial_stock: stock,
        start: CREATED,
        end: Micros::from_millis(1_000_000),
        challenge: Challenge::None,
    }
}

/// The changes that opened the sale; the log has them.
pub(crate) fn opening(stock: u64) -> Vec<(Change, SaleStatus)> {
    let created =
        SaleStatus { state: SaleState::Upcoming, as_of_event: 1, ..status(stock, EVENTS_OF_ACTIVE, 0, CREATED) };
    vec![(Change::Created, created), (Change::Started, status(stock, EVENTS_OF_ACTIVE, 0, CREATED))]
}

fn status(stock: u64, events: u64, sold: u64, at: Micros) -> SaleStatus {
    let ended = events > EVENTS_OF_ACTIVE;
    SaleStatus {
        config: config(stock),
        state: if ended { SaleState::Ended } else { SaleState::Active },
        end_reason: ended.then_some(EndReason::SoldOut),
        paused: false,
        as_of_sequence: sold,
        as_of_event: events,
        as_of: at,
    }
}

/// A unit's record, whoever publishes it.
pub(crate) fn accepted(unit: &Sold, initial_stock: u64) -> Record {
    let Sold { user, request_id, receipt } = unit.clone();
    Record::Decision(LoggedDecision {
        attempt: Attempt { user, request_id },
        sale_id: receipt.sale_id,
        outcome: LoggedOutcome::Accepted(receipt.sequence),
        decided_at: receipt.decided_at,
        as_of_sequence: Some(receipt.sequence),
        remaining: Some(initial_stock.saturating_sub(receipt.sequence)),
    })
}

/// One entry of the outbox: the units of one call, or a change.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) units: Vec<Sold>,
    pub(crate) change: Option<(Change, SaleStatus)>,
}

impl Entry {
    pub(crate) fn records(&self, initial_stock: u64) -> Vec<Record> {
        let units = self.units.iter().map(|unit| accepted(unit, initial_stock));
        units.chain(self.change.clone().map(|(change, after)| Record::Change(change, after))).collect()
    }

    /// Whether the log has all of it.
    pub(crate) fn is_known(&self, log: &History) -> bool {
        let known = |after: &SaleStatus| log.changes().any(|(number, ..)| number == after.as_of_event);
        self.units.iter().all(|unit| log.unit(unit.receipt.sequence).is_some())
            && self.change.as_ref().is_none_or(|(_, after)| known(after))
    }
}

/// What a script replied.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) at: Micros,
    /// What was decided, and whether the outbox still held the unit of a repeated attempt.
    pub(crate) decided: Vec<(Decision, bool)>,
    /// What the call wrote to the outbox.
    pub(crate) entries: Vec<Entry>,
    /// It came so late that a recovery may have taken it for lost.
    pub(crate) stale: bool,
}

impl Reply {
    pub(crate) fn units(&self) -> Vec<Sold> {
        self.entries.iter().flat_map(|entry| entry.units.clone()).collect()
    }
}

/// Why a call did nothing, or is not known to have done anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The connection was to a process that is gone.
    Cut,
    /// The fence is closed.
    Closed,
    /// There is no such sale.
    Missing,
}

/// One sale in Redis.
#[derive(Debug, Clone)]
pub(crate) struct Hot {
    book: SaleBook,
    pub(crate) buyers: BTreeMap<UserId, Sold>,
    pub(crate) outbox: Vec<Entry>,
    events: u64,
}

impl Hot {
    fn open(stock: u64) -> Self {
        let book = SaleBook::create(config(stock), CREATED);
        Self { book, buyers: BTreeMap::new(), outbox: Vec::new(), events: EVENTS_OF_ACTIVE }
    }

    pub(crate) fn initial_stock(&self) -> u64 {
        self.book.config().initial_stock
    }

    fn pending(&self, unit: &Sold) -> bool {
        self.outbox.iter().any(|entry| entry.units.contains(unit))
    }

    /// Ended, by the log, although units are left: the last of them are lost.
    fn ended_early(&self) -> bool {
        self.events > EVENTS_OF_ACTIVE && self.book.stock() > 0
    }

    /// As `decide.lua`: decisions, buyers and outbox in one step.
    fn decide(&mut self, now: Micros, attempts: &[Attempt]) -> Reply {
        let before = self.clone();
        let mut reply = Reply { at: now, decided: Vec::new(), entries: Vec::new(), stale: false };
        let mut units = Vec::new();
        for attempt in attempts {
            if self.ended_early() && !self.buyers.contains_key(&attempt.user) {
                let (as_of_sequence, remaining) = (self.book.sold(), self.book.stock());
                reply.decided.push((Decision { outcome: Outcome::SoldOut, as_of_sequence, remaining }, false));
                continue;
            }
            let decision = self.book.decide(now, &sale_id(), attempt);
            let pending = before.buyers.get(&attempt.user).is_some_and(|unit| before.pending(unit));
            if let Outcome::Accepted(receipt) = &decision.outcome {
                let Attempt { user, request_id } = attempt.clone();
                let unit = Sold { user, request_id, receipt: receipt.clone() };
                self.buyers.insert(attempt.user.clone(), unit.clone());
                units.push(unit);
            }
            reply.decided.push((decision, pending));
        }
        if !units.is_empty() {
            reply.entries.push(Entry { id: now.0, units, change: None });
        }
        reply.entries.extend(self.end_when_sold_out(now));
        self.outbox.extend(reply.entries.iter().cloned());
        reply
    }

    /// Notes the end, once.
    fn end_when_sold_out(&mut self, now: Micros) -> Option<Entry> {
        if self.book.stock() > 0 || self.events > EVENTS_OF_ACTIVE {
            return None;
        }
        self.events += 1;
        let after = status(self.initial_stock(), self.events, self.book.sold(), now);
        Some(Entry { id: now.0 + 1, units: Vec::new(), change: Some((Change::Ended, after)) })
    }

    /// What a recovery makes of `old`: the log wins where it says something, what only Redis has stays.
    pub(crate) fn recovered(old: Option<&Self>, log: &History, now: Micros, protocol: Protocol, stock: u64) -> Self {
        let old = old.cloned().unwrap_or_else(|| Self::open(stock));
        let counted = if protocol.recovery_counts_all { log.known_sequence() } else { log.highest_sequence() };
        let highest = old.book.sold().max(counted);
        let mut hot = Self { book: SaleBook::create(config(stock), CREATED), ..old };
        hot.buyers.retain(|user, unit| log.unit_of(user).is_none() && log.unit(unit.receipt.sequence).is_none());
        for unit in log.units().filter_map(|(sequence, _)| log.sold_unit(sequence)) {
            hot.buyers.insert(unit.user.clone(), unit);
        }
        let by_sequence: BTreeMap<u64, &Sold> = hot.buyers.values().map(|unit| (unit.receipt.sequence, unit)).collect();
        let mut at = CREATED;
        for sequence in 1..=highest {
            if let Some(Sold { user, request_id, receipt }) = by_sequence.get(&sequence) {
                at = at.max(receipt.decided_at);
                hot.book.decide(at, &sale_id(), &Attempt { user: user.clone(), request_id: request_id.clone() });
            }
            if hot.book.sold() < sequence {
                // Nobody holds it, and nobody gets it again.
                hot.book.decide(at, &sale_id(), &attempt(&format!("nobody-{sequence}"), "none"));
            }
        }
        hot.events = log.changes().map(|(number, ..)| number).fold(hot.events, u64::max);
        let end = hot.end_when_sold_out(now);
        hot.outbox.extend(end);
        hot
    }

    pub(crate) fn whole(&self) -> HotSale {
        let state = if self.events > EVENTS_OF_ACTIVE { SaleState::Ended } else { self.book.state() };
        HotSale {
            sale_id: sale_id(),
            initial_stock: self.initial_stock(),
            stock: self.book.stock(),
            held: self.buyers.len() as u64,
            sequence: self.book.sold(),
            state,
            paused: false,
            events: self.events,
            buyers: self
                .buyers
                .values()
                .map(|unit| (unit.user.clone(), (unit.receipt.sequence, unit.receipt.decided_at)))
                .collect(),
            pending: self.outbox.iter().flat_map(|entry| entry.units.clone()).collect(),
            pending_changes: self
                .outbox
                .iter()
                .filter_map(|entry| Some(entry.change.as_ref()?.1.as_of_event))
                .collect(),
        }
    }
}

/// The server.
#[derive(Debug)]
pub(crate) struct Redis {
    /// Which process of it runs.
    pub(crate) run: u32,
    /// Which one was verified against the log.
    verified: u32,
    fenced: bool,
    pub(crate) now: Micros,
    /// Every state that was written, oldest first; the last is the one of now. The first has no sale.
    file: Vec<Option<Hot>>,
    /// So many of them no crash takes back: the process started from the file.
    safe: usize,
    /// Every unit that was ever sold.
    pub(crate) sold: Vec<Sold>,
    /// Those of them that a crash took back.
    pub(crate) lost: Vec<Sold>,
    /// Times that were taken back: after the first, up to the second.
    pub(crate) lost_times: Vec<(Micros, Micros)>,
    /// When the last states were written.
    times: Vec<Micros>,
}

impl Redis {
    pub(crate) fn new(stock: u64, fenced: bool) -> Self {
        Self {
            run: 1,
            verified: 1,
            fenced,
            now: CREATED,
            file: vec![None, Some(Hot::open(stock))],
            safe: 2,
            sold: Vec::new(),
            lost: Vec::new(),
            lost_times: Vec::new(),
            times: vec![Micros(0), CREATED],
        }
    }

    pub(crate) fn hot(&self) -> Option<&Hot> {
        self.file.last().and_then(Option::as_ref)
    }

    pub(crate) fn write(&mut self, hot: Hot) {
        self.file.push(Some(hot));
        self.times.push(self.now);
    }

    /// Killed and started again, without its last writes.
    pub(crate) fn crash(&mut self, lost: usize, replica: bool) {
        let kept = self.file.len().saturating_sub(lost).max(if replica { 1 } else { self.safe });
        let before: Vec<Sold> = self.hot().into_iter().flat_map(|hot| hot.buyers.values().cloned()).collect();
        self.file.truncate(kept);
        self.times.truncate(kept);
        self.safe = kept;
        let has = |unit: &Sold| self.hot().is_some_and(|hot| hot.buyers.get(&unit.user) == Some(unit));
        let gone: Vec<Sold> = before.into_iter().filter(|unit| !has(unit)).collect();
        self.lost.extend(gone);
        self.lost_times.push((self.times.last().copied().unwrap_or_default(), self.now));
        self.run += 1;
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.fenced || self.verified == self.run
    }

    pub(crate) fn open(&mut self, run: u32) {
        self.verified = run;
    }

    /// A look at the server before anything is decided through a connection to it.
    pub(crate) fn connect(&self, connection: &mut Option<u32>) -> Result<(), Failed> {
        match *connection {
            Some(run) if run == self.run => Ok(()),
            Some(_) => {
                *connection = None;
                Err(Failed::Cut)
            }
            None if self.is_open() => {
                *connection = Some(self.run);
                Ok(())
            }
            None => Err(Failed::Closed),
        }
    }

    pub(crate) fn decide(&mut self, connection: &mut Option<u32>, attempts: &[Attempt]) -> Result<Reply, Failed> {
        self.connect(connection)?;
        let mut hot = self.hot().cloned().ok_or(Failed::Missing)?;
        let reply = hot.decide(self.now, attempts);
        if !reply.entries.is_empty() {
            self.sold.extend(reply.units());
            self.write(hot);
        }
        Ok(reply)
    }

    /// Forgets entries. What fails is left to the relay.
    pub(crate) fn settle(&mut self, connection: &mut Option<u32>, ids: &[i64]) {
        let connected = self.connect(connection);
        let Some(mut hot) = self.hot().cloned().filter(|_| connected.is_ok()) else { return };
        hot.outbox.retain(|entry| !ids.contains(&entry.id));
        self.write(hot);
    }
}
