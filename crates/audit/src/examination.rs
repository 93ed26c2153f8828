//! One sale, looked at in all three stores.

use flashsale_core::{
    SaleId, SaleStatus, Sku,
    comparison::{Class, Report, Sides, compare},
    history::{Counts, History},
    invariants::{Violation, stock_conserved},
};
use flashsale_ledger::{Ledger, SINK_POSTGRES};
use flashsale_lua::HotState;
use flashsale_schemas::Topic;
use flashsale_sql::Store;
use tokio_util::task::AbortOnDropHandle;

use crate::{Error, Log};

/// What was seen of one sale.
#[derive(Debug, Clone)]
pub struct Examination {
    /// The SKU.
    pub sku: Sku,
    /// The sale.
    pub sale_id: SaleId,
    /// The sale as the log tells it.
    pub status: SaleStatus,
    /// What the log holds of it.
    pub counts: Counts,
    /// Units that Redis says are sold; none when it holds no such sale.
    pub in_redis: Option<u64>,
    /// Units in Postgres.
    pub in_postgres: u64,
    /// Units in the outbox.
    pub pending: u64,
    /// Records that the sink had not written when it was asked; what is missing in Postgres may be among them.
    pub postgres_behind: u64,
    /// Where the stores differ.
    pub report: Report,
    /// Where the log breaks the rules; only looked for when it was read with its refusals.
    pub violations: Vec<Violation>,
}

impl Examination {
    /// Whether nothing is wrong, and the sink has written all that there is to compare with.
    pub fn is_proven(&self) -> bool {
        self.is_clean() && self.postgres_behind == 0
    }

    /// Whether nothing is wrong as far as it could be seen.
    pub fn is_clean(&self) -> bool {
        self.report.agrees() && self.violations.is_empty()
    }
}

/// The stores beside the log.
#[derive(Debug, Clone, Copy)]
pub struct Views<'a> {
    /// Redis.
    pub hot: &'a HotState,
    /// Postgres.
    pub store: &'a Store,
}

/// Looks at the newest sale of `sku`. The log is compared as far as `log` has read it; the others are read now,
/// each by itself.
///
/// # Errors
/// When a store cannot be read, or the log knows no such sale.
pub async fn examine(log: &Log, ledger: &Ledger, views: Views<'_>, sku: &Sku) -> Result<Examination, Error> {
    let unknown = || Error::Unknown(sku.clone());
    let status = log.history(sku, |history| history.status()).flatten().ok_or_else(unknown)?;
    let sale_id = status.config.sale_id.clone();
    let postgres_behind = behind(log, ledger, views.store).await?;
    // Reading a row costs more than sending it: by two tasks both stores are read at once.
    let (store, of) = (views.store.clone(), sale_id.clone());
    let rows = AbortOnDropHandle::new(tokio::spawn(async move { store.purchases(&of).await }));
    let redis = views.hot.whole(sku).await?.filter(|sale| sale.sale_id == sale_id);
    let rows = rows.await.map_err(Error::Stopped)??;
    let look = |history: &History| {
        let sides = Sides { log: history, redis: redis.as_ref(), rows: &rows };
        let mut report = compare(&sides);
        if postgres_behind > 0 {
            // Not missing, but on their way.
            report.counts.remove(&Class::MissingInPostgres);
            report.discrepancies.retain(|one| one.class != Class::MissingInPostgres);
        }
        (report, history.counts())
    };
    let (report, counts) = log.history_of(&sale_id, look).ok_or_else(unknown)?;
    let mut violations = Vec::new();
    if log.has_refusals() {
        violations = log.history_of(&sale_id, |history| history.verify()).unwrap_or_default();
        if let Some(sale) = &redis
            && let Err(violation) = stock_conserved(sale.initial_stock, sale.stock, sale.sequence)
        {
            violations.push(violation);
        }
    }
    Ok(Examination {
        sku: sku.clone(),
        sale_id,
        status,
        counts,
        in_redis: redis.as_ref().map(|sale| sale.buyers.len() as u64),
        in_postgres: rows.len() as u64,
        pending: redis.as_ref().map_or(0, |sale| sale.pending.len() as u64),
        postgres_behind,
        report,
        violations,
    })
}

/// Records that `log` has read and the sink has not written.
async fn behind(log: &Log, ledger: &Ledger, store: &Store) -> Result<u64, Error> {
    let read = log.decisions_read();
    let topic = ledger.topic(Topic::PurchaseDecisions);
    let partitions: Vec<(&str, i32)> = read.keys().map(|partition| (topic, *partition)).collect();
    let stored = store.offsets(&ledger.group(SINK_POSTGRES), &partitions).await?;
    let next_of =
        |partition: i32| stored.iter().find(|row| row.partition == partition).map_or(0, |row| row.next_offset);
    Ok(read.iter().map(|(partition, end)| u64::try_from(end - next_of(*partition)).unwrap_or(0)).sum())
}
