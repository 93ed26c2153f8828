//! Reconciliation: Redis, the log and Postgres are compared by content, and what can be put right is.
//!
//! read the log → look at Redis and Postgres → look again at what differs, since traffic goes on → repair →
//! publish, store, meter. A repair of Redis goes through the fence, never by writing over live traffic. Everything
//! may be repeated, and two at once are safe: the log takes repeats, Postgres keeps the first of two equal rows,
//! and one at a time recovers.

mod repair;
mod report;

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use flashsale_audit::{Examination, Log, Selection, Views, examine};
use flashsale_core::{SaleId, SaleState, SaleStatus, Sku};
use flashsale_ledger::{Ledger, SaleView};
use flashsale_lua::HotState;
use flashsale_schemas::events::{ReconciliationMode as Mode, ReconciliationTrigger as Trigger};
use flashsale_sql::Store;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use report::Finding;

use crate::{metrics, recover};

/// A difference is one only if it is still there this much later: the log, the outbox and the sink need a moment.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// Sales that ended longer ago are looked at on demand only.
const RECENT: Duration = Duration::from_secs(3_600);
/// How often it is seen whether a sale is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Settings of the reconciliation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Between two comparisons of all sales that are on, or were lately.
    pub every_ms: u64,
    /// A sale is compared once more this long after its end.
    pub after_end_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { every_ms: 300_000, after_end_ms: 60_000 }
    }
}

/// Why a comparison came to no end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store could not be read.
    #[error("reconciliation")]
    Audit(#[from] flashsale_audit::Error),
    /// Redis could not be recovered.
    #[error("reconciliation")]
    Recover(#[from] recover::Error),
    /// Redis could not be asked.
    #[error("reconciliation")]
    Redis(#[from] flashsale_lua::Error),
    /// Postgres did not take what was found, or what was to be put back.
    #[error("reconciliation")]
    Postgres(#[from] flashsale_sql::Error),
    /// The log did not take what was found, or what only Redis had.
    #[error("reconciliation: publish")]
    NotDelivered(#[from] flashsale_streaming::NotDelivered),
}

/// How much a repair may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing: only look.
    Nothing,
    /// What can be done while the sale goes on: give the log and Postgres what they lack.
    Live,
    /// That, and a recovery of Redis through the fence: nothing is sold for some seconds.
    All,
}

/// Compares and repairs.
#[derive(Debug, Clone)]
pub struct Reconciler {
    hot: HotState,
    ledger: Ledger,
    store: Store,
    recover: recover::Config,
}

impl Reconciler {
    /// A reconciler of these stores; `recover` is for repairs of Redis.
    pub fn new(hot: HotState, ledger: Ledger, store: Store, recover: recover::Config) -> Self {
        Self { hot, ledger, store, recover }
    }

    /// Compares the newest sale of each of `skus`, repairs, and tells the log, Postgres and the metrics.
    ///
    /// # Errors
    /// When a store cannot be read or written. What was done stays done, and the next run finds the rest.
    pub async fn run(
        &self,
        skus: BTreeSet<Sku>,
        repair: Repair,
        trigger: Trigger,
        stop: &CancellationToken,
    ) -> Result<Vec<Finding>, Error> {
        let findings = self.compare(skus, repair, trigger, stop).await;
        let result = match &findings {
            Err(_) => "failed",
            Ok(findings) if findings.iter().all(Finding::is_settled) => "clean",
            Ok(_) => "discrepancies",
        };
        metrics::reconciled(report::trigger_name(trigger), result);
        findings
    }

    async fn compare(
        &self,
        skus: BTreeSet<Sku>,
        repair: Repair,
        trigger: Trigger,
        stop: &CancellationToken,
    ) -> Result<Vec<Finding>, Error> {
        let mut log = Log::new(Selection { skus: Some(skus.clone()), refusals: false });
        log.read(&self.ledger, stop, Box::new(|_| ())).await?;
        let first = self.examine_all(&log, &skus).await?;
        let mut seen = first;
        if !seen.iter().all(Examination::is_clean) {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_AGAIN_AFTER) => {}
            }
            log.read(&self.ledger, stop, Box::new(|_| ())).await?;
            let second = self.examine_all(&log, &skus).await?;
            let first_of = |second: &Examination| seen.iter().find(|first| first.sale_id == second.sale_id);
            let again = second.into_iter().filter_map(|second| Some(confirmed(first_of(&second)?, second)));
            seen = again.collect();
        }
        let run_id = uuid::Uuid::now_v7().to_string();
        let mut findings = Vec::new();
        for examination in seen {
            let repaired = self.repair(&log, &examination, repair, stop).await?;
            let mode = if repair == Repair::Nothing { Mode::DryRun } else { Mode::Repair };
            let finding = Finding::new(&run_id, examination, repaired, mode, trigger);
            finding.meter();
            self.ledger.publish_reconciliation(&finding.record()).await?;
            self.store.insert_reconciliation(&finding.row()).await?;
            findings.push(finding);
        }
        Ok(findings)
    }

    async fn examine_all(&self, log: &Log, skus: &BTreeSet<Sku>) -> Result<Vec<Examination>, Error> {
        let mut seen = Vec::new();
        for (sku, _) in log.sales().into_iter().filter(|(sku, _)| skus.contains(sku)).collect::<BTreeSet<_>>() {
            let views = Views { hot: &self.hot, store: &self.store };
            seen.push(examine(log, &self.ledger, views, &sku).await?);
        }
        Ok(seen)
    }
}

/// Keeps of the second look what the first one found too.
fn confirmed(first: &Examination, second: Examination) -> Examination {
    let report = first.report.confirmed_by(&second.report);
    Examination { report, ..second }
}

/// Compares on schedule.
#[derive(Debug)]
pub struct Service {
    config: Config,
    reconciler: Reconciler,
}

/// What is due when.
struct Schedule {
    next: Instant,
    first: bool,
    /// Sales that were compared after their end.
    closed: HashSet<SaleId>,
}

impl Service {
    /// A reconciliation on schedule.
    pub fn new(config: Config, reconciler: Reconciler) -> Self {
        Self { config, reconciler }
    }

    /// Compares at start, at every interval and after each sale's end, until `shutdown`.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), flashsale_ledger::Error> {
        let sales = self.reconciler.ledger.sales_by_events("processor-reconcile").await?;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = sales.caught_up() => {}
        }
        let mut schedule = Schedule { next: Instant::now(), first: true, closed: HashSet::new() };
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            // While Redis is being recovered there is nothing to compare with.
            if self.reconciler.hot.check_open().await.is_err() {
                continue;
            }
            if let Some((skus, trigger)) = self.due(&mut schedule, &sales).await {
                self.compare(skus, trigger, &shutdown).await;
            }
        }
    }

    /// What is to be compared now, if anything.
    async fn due(&self, schedule: &mut Schedule, sales: &SaleView) -> Option<(BTreeSet<Sku>, Trigger)> {
        let now = self.reconciler.hot.now().await.ok()?;
        let age =
            |sale: &SaleStatus| if sale.state == SaleState::Ended { now.since(sale.as_of) } else { Duration::ZERO };
        let sku = |sale: &SaleStatus| sale.config.sku.clone();
        let all = sales.all();
        if Instant::now() >= schedule.next {
            let trigger = if schedule.first { Trigger::Startup } else { Trigger::Schedule };
            schedule.first = false;
            schedule.next = Instant::now() + Duration::from_millis(self.config.every_ms.max(1_000));
            let recent = all.iter().filter(|sale| age(sale) < RECENT);
            return Some((recent.map(|sale| sku(sale)).collect(), trigger));
        }
        let after_end = Duration::from_millis(self.config.after_end_ms);
        let ended = all.iter().filter(|sale| {
            let due = sale.state == SaleState::Ended && age(sale) >= after_end && age(sale) < RECENT;
            due && schedule.closed.insert(sale.config.sale_id.clone())
        });
        let ended: BTreeSet<Sku> = ended.map(|sale| sku(sale)).collect();
        (!ended.is_empty()).then_some((ended, Trigger::SaleEnded))
    }

    async fn compare(&self, skus: BTreeSet<Sku>, trigger: Trigger, shutdown: &CancellationToken) {
        if skus.is_empty() {
            metrics::reconciled(report::trigger_name(trigger), "clean");
            return;
        }
        match self.reconciler.run(skus, Repair::Live, trigger, shutdown).await {
            Ok(findings) => {
                for finding in findings.iter().filter(|finding| !finding.is_clean()) {
                    tracing::error!(sku = %finding.examination.sku, found = finding.found(), repaired = finding.repaired.len(), "the stores differ");
                }
            }
            Err(_) if shutdown.is_cancelled() => {}
            Err(error) => {
                metrics::failed("reconcile");
                tracing::warn!(error = &error as &dyn std::error::Error, "not reconciled; next time again");
            }
        }
    }
}
