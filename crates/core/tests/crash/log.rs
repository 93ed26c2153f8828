//! A log that loses, repeats and delays what it is given, and the view of it in Postgres.

use std::collections::BTreeMap;

use flashsale_core::{
    History, LoggedDecision, LoggedOutcome, Receipt, SaleStatus, UserId, decision::Change, invariants::Sold,
};

use crate::{redis::sale_id, schedule::Fate};

pub(crate) const PARTITIONS: usize = 3;

/// One record.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    Decision(LoggedDecision),
    Change(Change, SaleStatus),
}

impl Record {
    /// The unit that it tells of.
    pub(crate) fn sold(&self) -> Option<Sold> {
        let Self::Decision(decision) = self else { return None };
        let LoggedOutcome::Accepted(sequence) = decision.outcome else { return None };
        let receipt = Receipt { sale_id: decision.sale_id.clone(), sequence, decided_at: decision.decided_at };
        let attempt = decision.attempt.clone();
        Some(Sold { user: attempt.user, request_id: attempt.request_id, receipt })
    }
}

/// The acknowledgement of a batch of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    UnderWay,
    Acked,
    Failed,
}

#[derive(Debug)]
struct Produce {
    record: Record,
    delivery: Option<u32>,
    /// A refusal: its producer is patient, and no recovery waits for it.
    refusal: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    decisions: [Vec<LoggedDecision>; PARTITIONS],
    changes: Vec<(Change, SaleStatus)>,
    under_way: Vec<Produce>,
    /// Records under way of each delivery, and whether one was given up.
    deliveries: BTreeMap<u32, (usize, bool)>,
    /// Units of which a record was given up or lost.
    pub(crate) dropped: Vec<Sold>,
}

fn partition(user: &UserId) -> usize {
    user.as_str().bytes().map(usize::from).sum::<usize>() % PARTITIONS
}

impl Log {
    /// A delivery of which all records were sent.
    pub(crate) fn send(&mut self, records: Vec<Record>) -> u32 {
        let id = u32::try_from(self.deliveries.len()).unwrap_or(u32::MAX);
        self.deliveries.insert(id, (records.len(), false));
        let sent = records.into_iter().map(|record| Produce { record, delivery: Some(id), refusal: false });
        self.under_way.extend(sent);
        id
    }

    /// A refusal, which nobody waits for.
    pub(crate) fn send_refusal(&mut self, decision: LoggedDecision) {
        self.under_way.push(Produce { record: Record::Decision(decision), delivery: None, refusal: true });
    }

    pub(crate) fn delivery(&self, id: u32) -> Delivery {
        match self.deliveries.get(&id) {
            Some((0, false)) => Delivery::Acked,
            Some((0, true)) => Delivery::Failed,
            _ => Delivery::UnderWay,
        }
    }

    /// Lets one record arrive, or not; returns what it was.
    pub(crate) fn land(&mut self, pick: usize, fate: Fate) -> Option<Record> {
        let place = pick.checked_rem(self.under_way.len())?;
        let record = self.under_way[place].record.clone();
        let told = self.under_way[place].delivery.take();
        if let Some((left, failed)) = told.and_then(|id| self.deliveries.get_mut(&id)) {
            *left -= 1;
            *failed |= fate != Fate::Acked;
        }
        if fate != Fate::Late {
            self.under_way.remove(place);
        }
        match fate {
            Fate::Acked | Fate::AckLost => self.append(record.clone()),
            Fate::Late => {}
            Fate::Lost => self.dropped.extend(record.sold()),
        }
        Some(record)
    }

    /// Lets everything that a recovery waits for arrive or be given up, by the bits of `landed` in turn.
    pub(crate) fn settle_under_way(&mut self, landed: u8) {
        let mut bits = (0..8).cycle().map(|bit| landed >> bit & 1 == 1);
        while let Some(place) = self.under_way.iter().position(|produce| !produce.refusal) {
            let fate = if bits.next() == Some(true) { Fate::Acked } else { Fate::Lost };
            self.land(place, fate);
        }
    }

    /// Lets everything arrive.
    pub(crate) fn heal(&mut self) {
        while self.land(0, Fate::Acked).is_some() {}
    }

    fn append(&mut self, record: Record) {
        match record {
            Record::Decision(decision) => self.decisions[partition(&decision.attempt.user)].push(decision),
            Record::Change(change, after) => self.changes.push((change, after)),
        }
    }

    pub(crate) fn append_changes(&mut self, changes: Vec<(Change, SaleStatus)>) {
        self.changes.extend(changes);
    }

    /// Whether readers know that the sale has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.changes.iter().any(|(change, _)| *change == Change::Ended)
    }

    /// All that was written and that `wanted` takes.
    pub(crate) fn history(&self, wanted: impl Fn(&LoggedDecision) -> bool) -> History {
        let mut history = History::new(sale_id());
        self.decisions.iter().flatten().filter(|decision| wanted(decision)).cloned().for_each(|decision| {
            history.take(decision);
        });
        for (change, after) in self.changes.iter().cloned() {
            history.take_change(change, after);
        }
        history
    }

    /// What a recovery reads: units and changes.
    pub(crate) fn units(&self) -> History {
        self.history(|_| true)
    }
}

/// The rows of the sale: each unit once, by its sequence.
#[derive(Debug, Default)]
pub(crate) struct Postgres {
    pub(crate) rows: BTreeMap<u64, Sold>,
    offsets: [usize; PARTITIONS],
    /// Units that contradict a row.
    pub(crate) dead_letters: Vec<Sold>,
}

impl Postgres {
    /// Reads up to `count` records of a partition; rows and offset move in one transaction.
    pub(crate) fn read(&mut self, log: &Log, partition: usize, count: usize) {
        let records = log.decisions[partition].iter().skip(self.offsets[partition]).take(count);
        for decision in records {
            self.offsets[partition] += 1;
            let Some(unit) = Record::Decision(decision.clone()).sold() else { continue };
            let row = self.rows.entry(unit.receipt.sequence).or_insert_with(|| unit.clone());
            if *row != unit {
                self.dead_letters.push(unit);
            }
        }
    }

    pub(crate) fn lag(&self, log: &Log) -> usize {
        log.decisions.iter().zip(self.offsets).map(|(records, offset)| records.len() - offset).sum()
    }
}
