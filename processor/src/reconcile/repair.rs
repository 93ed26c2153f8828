//! What can be put right.

use std::collections::HashSet;

use flashsale_audit::{Examination, Log};
use flashsale_core::{
    UserId,
    comparison::{Class, Discrepancy},
    invariants::Sold,
};
use flashsale_streaming::Delivery;
use tokio_util::sync::CancellationToken;

use super::{Error, Reconciler, Repair};
use crate::{recover::Recovery, relay};

/// Whether a recovery of Redis puts it right.
fn is_of_redis(class: Class) -> bool {
    use Class::{MissingInRedis, SaleMissingInRedis, StateMismatch, StockMismatch};
    matches!(class, MissingInRedis | SaleMissingInRedis | StateMismatch | StockMismatch)
}

impl Reconciler {
    /// Puts right what `repair` allows; returns the subjects that were.
    pub(super) async fn repair(
        &self,
        log: &Log,
        seen: &Examination,
        repair: Repair,
        stop: &CancellationToken,
    ) -> Result<HashSet<(Class, String)>, Error> {
        let mut repaired = HashSet::new();
        if repair == Repair::Nothing || seen.report.agrees() {
            return Ok(repaired);
        }
        let of = |class| seen.report.discrepancies.iter().filter(move |one| one.class == class).collect::<Vec<_>>();
        let note = |repaired: &mut HashSet<_>, found: &[&Discrepancy]| {
            repaired.extend(found.iter().map(|one| (one.class, one.subject.clone())));
        };
        let missing = of(Class::MissingInPostgres);
        if !missing.is_empty() {
            self.restore_rows(log, seen).await?;
            note(&mut repaired, &missing);
        }
        let unknown = of(Class::MissingInLog);
        if !unknown.is_empty() {
            let published = self.publish_units(seen).await?;
            let told: Vec<&Discrepancy> = unknown
                .into_iter()
                .filter(|one| published.iter().any(|unit| unit.receipt.number() == one.subject))
                .collect();
            note(&mut repaired, &told);
        }
        if repair == Repair::All {
            let of_redis: Vec<&Discrepancy> =
                seen.report.discrepancies.iter().filter(|one| is_of_redis(one.class)).collect();
            if !of_redis.is_empty() {
                let recovery = Recovery::new(&self.recover, &self.hot, self.ledger.clone());
                recovery.run(Some(&seen.sku), stop).await?;
                note(&mut repaired, &of_redis);
            }
        }
        Ok(repaired)
    }

    /// Gives Postgres the units of the log that it lacks.
    async fn restore_rows(&self, log: &Log, seen: &Examination) -> Result<(), Error> {
        let rows = self.store.purchases(&seen.sale_id).await?;
        let held: HashSet<&Sold> = rows.iter().collect();
        let missing = log.history_of(&seen.sale_id, |history| {
            let units = history.units().filter_map(|(sequence, _)| history.sold_unit(sequence));
            units.filter(|unit| !held.contains(unit)).collect::<Vec<Sold>>()
        });
        self.store.restore_purchases(&seen.sku, &missing.unwrap_or_default()).await?;
        Ok(())
    }

    /// Gives the log the units that only Redis has; returns them.
    async fn publish_units(&self, seen: &Examination) -> Result<Vec<Sold>, Error> {
        let Some(sale) = self.hot.whole(&seen.sku).await?.filter(|sale| sale.sale_id == seen.sale_id) else {
            return Ok(Vec::new());
        };
        let named: HashSet<&str> = seen
            .report
            .discrepancies
            .iter()
            .filter(|one| one.class == Class::MissingInLog)
            .map(|one| one.subject.as_str())
            .collect();
        let delivery = Delivery::begin();
        let mut published = Vec::new();
        let users: Vec<&UserId> = sale.buyers.keys().collect();
        for user in users {
            let Some((sequence, decided_at)) = sale.buyers.get(user).copied() else { continue };
            let receipt = flashsale_core::Receipt { sale_id: sale.sale_id.clone(), sequence, decided_at };
            if !named.contains(receipt.number().as_str()) {
                continue;
            }
            if let Some(unit) = self.hot.unit_of(&seen.sku, &sale.sale_id, user).await? {
                let remaining = sale.initial_stock.saturating_sub(sequence);
                let event = relay::accepted(&seen.sku, &unit, remaining, "reconciler");
                self.ledger.send_decision(&delivery, &event, &[]);
                published.push(unit);
            }
        }
        delivery.seal();
        delivery.wait().await?;
        Ok(published)
    }
}
