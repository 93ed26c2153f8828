//! The repair of each sale, and what it did.

use std::fmt;

use flashsale_core::{SaleId, Sku, UserId, history::History};
use flashsale_ledger::DECIDED_TO_SENT_MAX;
use flashsale_lua::{Claim, RestoredBatch};
use serde::Serialize;
use tokio::time::Instant;

use super::{Error, Plan, Recovery, Step, Summary, plan};
use crate::relay;

/// Batches that are restored in one round trip.
const BATCHES_AT_ONCE: usize = 64;

/// What was done, or would be done, to one sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SaleRepair {
    /// The SKU.
    pub sku: Sku,
    /// The sale.
    pub sale_id: SaleId,
    /// Units in the log.
    pub in_log: u64,
    /// Units in Redis before; none when it held no such sale.
    pub in_redis: Option<u64>,
    /// Buyers that Redis was given back.
    pub restored: u64,
    /// Buyers that were taken out because their unit is somebody else's in the log.
    pub forgotten: u64,
    /// Records that only Redis had and the log was given.
    pub published: u64,
    /// Sequences that nobody holds: decided, lost before the log had them, and not sold again.
    pub leaked: u64,
    /// Whether stock, sequence or state were set.
    pub status_set: bool,
    /// The sale was removed, or replaced by another, and was still in Redis.
    pub removed: bool,
}

impl fmt::Display for SaleRepair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.removed {
            return write!(f, "{}: removed, it is no sale any more", self.sku);
        }
        write!(f, "{}: {} units in the log, ", self.sku, self.in_log)?;
        match self.in_redis {
            Some(units) => write!(f, "{units} in Redis")?,
            None => write!(f, "no such sale in Redis")?,
        }
        write!(
            f,
            "; {} buyers restored, {} taken out, {} records published",
            self.restored, self.forgotten, self.published
        )?;
        if self.leaked > 0 {
            write!(f, ", {} units leaked", self.leaked)?;
        }
        Ok(())
    }
}

impl Summary {
    /// Adds what a further pass did.
    pub(super) fn merge(&mut self, repairs: Vec<SaleRepair>) {
        for repair in repairs {
            match self.repairs.iter_mut().find(|known| known.sale_id == repair.sale_id) {
                Some(known) => {
                    known.in_log = repair.in_log;
                    known.restored += repair.restored;
                    known.forgotten += repair.forgotten;
                    known.published += repair.published;
                    known.leaked = repair.leaked;
                    known.status_set |= repair.status_set;
                    known.removed |= repair.removed;
                }
                None => self.repairs.push(repair),
            }
        }
    }
}

/// What has to be done to the newest sale of `sku`, and what was found.
pub async fn examine(
    recovery: &Recovery,
    log: &flashsale_audit::Log,
    sku: &Sku,
    sale_id: &SaleId,
) -> Result<(Plan, SaleRepair, Vec<flashsale_lua::OutboxEntry>), Error> {
    let outbox = recovery.hot.whole_outbox(sku).await?;
    let whole = recovery.hot.whole(sku).await?;
    let (redis, removed) = match whole {
        Some(sale) if sale.sale_id < *sale_id => (None, true),
        // Its creation waits in the outbox; the next pass will know it.
        Some(sale) if sale.sale_id > *sale_id => {
            let plan = Plan { publish_entries: (0..outbox.len()).collect(), ..Plan::default() };
            return Ok((plan.clone(), found(sku, &sale.sale_id, &plan, None, 0, 0, false), outbox));
        }
        other => (other, false),
    };
    let (plan, in_log, leaked) = log
        .history_of(sale_id, |history| (plan(history, redis.as_ref(), &outbox), history.sold(), leaked(history)))
        .unwrap_or_default();
    let in_redis = redis.as_ref().map(|sale| sale.buyers.len() as u64);
    Ok((plan.clone(), found(sku, sale_id, &plan, in_redis, in_log, leaked, removed), outbox))
}

/// Sequences that some record counts as sold and that the log lacks.
fn leaked(history: &History) -> u64 {
    history.missing().into_iter().map(|range| range.end() + 1 - range.start()).sum()
}

fn found(
    sku: &Sku,
    sale_id: &SaleId,
    plan: &Plan,
    in_redis: Option<u64>,
    in_log: u64,
    leaked: u64,
    removed: bool,
) -> SaleRepair {
    SaleRepair {
        sku: sku.clone(),
        sale_id: sale_id.clone(),
        in_log,
        in_redis,
        restored: plan.restored(),
        forgotten: plan.forget.len() as u64,
        published: (plan.publish_entries.len() + plan.publish_buyers.len()) as u64,
        leaked,
        status_set: plan.status.is_some(),
        removed,
    }
}

fn wanted<'a>(sales: &'a [(Sku, SaleId)], sku: Option<&'a Sku>) -> impl Iterator<Item = &'a (Sku, SaleId)> {
    sales.iter().filter(move |(one, _)| sku.is_none_or(|wanted| wanted == one))
}

impl Recovery {
    /// What would be done.
    pub(super) async fn look(&self, log: &flashsale_audit::Log, sku: Option<&Sku>) -> Result<Vec<SaleRepair>, Error> {
        let mut repairs = Vec::new();
        for (sku, sale_id) in wanted(&log.sales(), sku) {
            let (plan, repair, _) = examine(self, log, sku, sale_id).await?;
            if !plan.is_empty() || repair.removed {
                repairs.push(repair);
            }
        }
        for (sku, sale_id) in wanted(&log.all_removed(), sku) {
            if self.is_ghost(sku, sale_id).await? {
                repairs.push(found(sku, sale_id, &Plan::default(), None, 0, 0, true));
            }
        }
        Ok(repairs)
    }

    /// Whether Redis still holds a sale that the log knows as removed.
    async fn is_ghost(&self, sku: &Sku, removed: &SaleId) -> Result<bool, Error> {
        Ok(self.hot.snapshot(sku).await?.is_some_and(|sale| sale.sale_id <= *removed))
    }

    /// Repairs every sale; returns those where something was done.
    pub(super) async fn repair_all(
        &self,
        claim: &Claim,
        log: &flashsale_audit::Log,
        sku: Option<&Sku>,
    ) -> Result<Vec<SaleRepair>, Error> {
        let mut repairs = Vec::new();
        let sales = log.sales();
        let total = sales.len() as u64;
        for (done, (sku, sale_id)) in wanted(&sales, sku).enumerate() {
            (self.telling)(Step::Repairing { done: done as u64, total });
            let (plan, repair, outbox) = examine(self, log, sku, sale_id).await?;
            if plan.is_empty() && !repair.removed {
                continue;
            }
            if plan.publishes() {
                // What is published must still be true: this server, and nobody but us at it, a moment ago.
                let asked = Instant::now();
                claim.renew().await?;
                if asked.elapsed() > DECIDED_TO_SENT_MAX {
                    return Err(Error::StoodStill);
                }
                let strangers = self.publish(sku, sale_id, &plan, &outbox).await?;
                claim.forget(sku, &strangers).await?;
            }
            if repair.removed {
                claim.forget_sale(sku).await?;
            }
            self.restore(claim, sku, &plan).await?;
            repairs.push(repair);
        }
        for (sku, sale_id) in wanted(&log.all_removed(), sku) {
            if self.is_ghost(sku, sale_id).await? {
                claim.forget_sale(sku).await?;
                repairs.push(found(sku, sale_id, &Plan::default(), None, 0, 0, true));
            }
        }
        (self.telling)(Step::Repairing { done: total, total });
        Ok(repairs)
    }

    /// Gives the log what only Redis has. Returns the buyers of whom nobody can say by which request they bought: no
    /// script wrote them.
    async fn publish(
        &self,
        sku: &Sku,
        sale_id: &SaleId,
        plan: &Plan,
        outbox: &[flashsale_lua::OutboxEntry],
    ) -> Result<Vec<UserId>, Error> {
        let entries: Vec<_> = plan.publish_entries.iter().filter_map(|place| outbox.get(*place).cloned()).collect();
        if !entries.is_empty() {
            relay::publish(&self.ledger, sku, &entries).await?;
        }
        let mut strangers = Vec::new();
        if plan.publish_buyers.is_empty() {
            return Ok(strangers);
        }
        let initial = self.hot.snapshot(sku).await?.map_or(0, |sale| sale.initial_stock);
        let delivery = flashsale_streaming::Delivery::begin();
        for user in &plan.publish_buyers {
            match self.hot.unit_of(sku, sale_id, user).await {
                Ok(Some(unit)) => {
                    let remaining = initial.saturating_sub(unit.receipt.sequence);
                    self.ledger.send_decision(&delivery, &relay::accepted(sku, &unit, remaining, "recovery"), &[]);
                }
                Ok(None) | Err(flashsale_lua::Error::Reply { .. }) => {
                    tracing::error!(%sku, %user, "a buyer without a request id is taken out of Redis");
                    strangers.push(user.clone());
                }
                Err(error) => return Err(error.into()),
            }
        }
        delivery.seal();
        delivery.wait().await?;
        Ok(strangers)
    }

    /// Gives Redis what only the log has: buyers first, so that a sale is never there without them.
    async fn restore(&self, claim: &Claim, sku: &Sku, plan: &Plan) -> Result<(), Error> {
        claim.forget(sku, &plan.forget).await?;
        for batches in plan.restore.chunks(BATCHES_AT_ONCE) {
            let batches: &[RestoredBatch] = batches;
            claim.restore(sku, batches).await?;
        }
        if let Some(status) = &plan.status {
            claim.repair(status).await?;
        }
        Ok(())
    }

    /// An error unless Redis now says of every sale what the log says.
    pub(super) async fn verify(&self, log: &flashsale_audit::Log, sku: Option<&Sku>) -> Result<(), Error> {
        for (sku, sale_id) in wanted(&log.sales(), sku) {
            let (plan, ..) = examine(self, log, sku, sale_id).await?;
            // What the repair itself changed waits in the outbox, for the relay.
            if plan.restored() > 0
                || !plan.forget.is_empty()
                || !plan.publish_buyers.is_empty()
                || plan.status.is_some()
            {
                return Err(Error::Unverified(sku.clone()));
            }
        }
        Ok(())
    }
}
