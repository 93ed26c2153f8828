//! What has to be done to one sale so that Redis says what the log says. Pure.

use std::collections::{HashMap, HashSet};

use flashsale_core::{
    EndReason, Micros, SaleState, SaleStatus, UserId,
    comparison::HotSale,
    history::{History, Unit},
};
use flashsale_lua::{Entry, OutboxEntry, RESTORE_MAX, RestoredBatch};

/// The repair of one sale.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Buyers that Redis lacks, or holds with another unit.
    pub restore: Vec<RestoredBatch>,
    /// Buyers whose unit is somebody else's in the log.
    pub forget: Vec<UserId>,
    /// Outbox entries that the log lacks, by their place.
    pub publish_entries: Vec<usize>,
    /// Buyers that neither the log nor the outbox knows: the log has to learn of them.
    pub publish_buyers: Vec<UserId>,
    /// What the sale has to become; nothing when it is that already.
    pub status: Option<SaleStatus>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the log has to learn something.
    pub fn publishes(&self) -> bool {
        !self.publish_entries.is_empty() || !self.publish_buyers.is_empty()
    }

    /// Buyers to be restored.
    pub fn restored(&self) -> u64 {
        self.restore.iter().map(|batch| batch.buyers.len() as u64).sum()
    }
}

/// Compares what the log and Redis (none: it holds no such sale) say of a sale. The log wins wherever it says
/// something; what only Redis knows the log has to learn, since Redis decided it.
pub fn plan(log: &History, redis: Option<&HotSale>, outbox: &[OutboxEntry]) -> Plan {
    let mut plan = Plan::default();
    let Some(newest) = log.status() else { return plan };
    let held: HashMap<&UserId, (u64, Micros)> =
        redis.into_iter().flat_map(|sale| sale.buyers.iter().map(|(user, unit)| (user, *unit))).collect();
    plan.publish_entries = outbox
        .iter()
        .enumerate()
        .filter(|(_, entry)| !is_known(log, &newest, &entry.entry))
        .map(|(place, _)| place)
        .collect();
    let waiting: HashSet<(u64, &UserId)> = outbox.iter().flat_map(|entry| sold_in(&newest, &entry.entry)).collect();

    // Whatever any record counts as sold was given out, also where the unit itself is lost: its number is not given
    // to anybody else, for somebody may have been told of it.
    let highest = redis.map_or(0, |sale| sale.sequence).max(log.known_sequence());
    // Of a shopper who has two units in the log, which breaks a rule, Redis can hold the first only.
    let firsts =
        log.units().filter(|(sequence, unit)| log.unit_of(&unit.user).is_some_and(|(first, _)| first == *sequence));
    let missing =
        firsts.filter(|(sequence, unit)| held.get(&unit.user).is_none_or(|held| *held != (*sequence, unit.decided_at)));
    plan.restore = batches(missing);
    for (user, (sequence, _)) in &held {
        if log.unit_of(user).is_some() {
            continue;
        }
        match log.unit(*sequence) {
            // Nobody sold that number: somebody wrote it there.
            _ if redis.is_some_and(|sale| *sequence > sale.sequence) => plan.forget.push((*user).clone()),
            Some(_) => plan.forget.push((*user).clone()),
            None if waiting.contains(&(*sequence, *user)) => {}
            None => plan.publish_buyers.push((*user).clone()),
        }
    }
    plan.forget.sort();
    plan.publish_buyers.sort();
    let wanted = wanted(&newest, redis, outbox, highest);
    let right = redis.is_some_and(|sale| agrees(sale, &wanted));
    plan.status = (!right || plan.restored() > 0 || !plan.forget.is_empty()).then_some(wanted);
    plan
}

fn sold_in<'a>(newest: &SaleStatus, entry: &'a Entry) -> Vec<(u64, &'a UserId)> {
    match entry {
        Entry::Sold { units, .. } => units
            .iter()
            .filter(|unit| unit.receipt.sale_id == newest.config.sale_id)
            .map(|unit| (unit.receipt.sequence, &unit.user))
            .collect(),
        Entry::Change(_) => Vec::new(),
    }
}

/// Whether the log has all that the entry holds, or the entry is about a sale that this history is not of.
fn is_known(log: &History, newest: &SaleStatus, entry: &Entry) -> bool {
    match entry {
        Entry::Sold { units, .. } => units
            .iter()
            .all(|unit| unit.receipt.sale_id == newest.config.sale_id && log.unit(unit.receipt.sequence).is_some()),
        Entry::Change(change) => {
            let number = change.status.as_of_event;
            change.status.config.sale_id == newest.config.sale_id && log.changes().any(|(known, ..)| known == number)
        }
    }
}

/// The sale as it has to be: the newest change that the log, the outbox or Redis knows, all units sold.
fn wanted(newest: &SaleStatus, redis: Option<&HotSale>, outbox: &[OutboxEntry], highest: u64) -> SaleStatus {
    let mut wanted = newest.clone();
    let mut as_of = wanted.as_of;
    for entry in outbox {
        as_of = as_of.max(entry.at);
        if let Entry::Change(change) = &entry.entry
            && change.status.config.sale_id == wanted.config.sale_id
            && change.status.as_of_event > wanted.as_of_event
        {
            wanted = change.status.clone();
        }
    }
    if let Some(sale) = redis
        && sale.events > wanted.as_of_event
    {
        // The log lost a change that it had acknowledged. What Redis says is all there is.
        wanted.state = sale.state;
        wanted.paused = sale.paused;
        wanted.as_of_event = sale.events;
        wanted.end_reason = (sale.state == SaleState::Ended).then_some(if sale.stock == 0 {
            EndReason::SoldOut
        } else {
            EndReason::TimeExpired
        });
    }
    wanted.as_of_sequence = highest.min(wanted.config.initial_stock);
    wanted.as_of = as_of.max(
        redis.map_or(as_of, |sale| sale.buyers.values().map(|(_, decided_at)| *decided_at).max().unwrap_or(as_of)),
    );
    wanted
}

fn agrees(sale: &HotSale, wanted: &SaleStatus) -> bool {
    sale.initial_stock == wanted.config.initial_stock
        && sale.sequence == wanted.as_of_sequence
        && sale.stock == wanted.stock()
        && sale.events == wanted.as_of_event
        && sale.state == wanted.state
        && sale.paused == wanted.paused
        // All is sold, and the end that belongs to that was lost.
        && !(sale.stock == 0 && sale.state != SaleState::Ended)
}

/// Consecutive units of one time stay together, as they were decided.
fn batches<'a>(units: impl Iterator<Item = (u64, &'a Unit)>) -> Vec<RestoredBatch> {
    let mut batches: Vec<RestoredBatch> = Vec::new();
    for (sequence, unit) in units {
        let decided_at = unit.decided_at;
        let buyer = (unit.user.clone(), unit.request_id.clone());
        match batches.last_mut() {
            Some(batch)
                if batch.buyers.len() < RESTORE_MAX
                    && batch.decided_at == decided_at
                    && batch.first + batch.buyers.len() as u64 == sequence =>
            {
                batch.buyers.push(buyer);
            }
            _ => batches.push(RestoredBatch { first: sequence, decided_at, buyers: vec![buyer] }),
        }
    }
    batches
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
