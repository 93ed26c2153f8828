//! The monitor: every decision → rules → metric.
//!
//! It follows the whole log without a group and raises an alarm within a second when the log says something that
//! must never be: more units than there were, two for one shopper, a sequence told in two ways, a sale outside its
//! time. Nothing depends on it and it writes nothing; after a restart it reads and counts again.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use flashsale_audit::logged_after;
use flashsale_core::{Micros, SaleId, SaleState, SaleStatus, Sku, watch::Watch};
use flashsale_ledger::{BorrowedDecision, Ledger};
use flashsale_schemas::{Topic, events::PurchaseDecision};
use flashsale_streaming::{View, ViewConfig};
use tokio::{
    runtime::Handle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{Error, metrics};

/// How often missing units are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A unit may be missing for this long: partitions are read at different speeds, and the relay comes 2 s later.
const MISSING_MAX: Duration = Duration::from_secs(15);
/// A sale that ended this long ago is no longer watched.
const FORGET_AFTER_US: i64 = 3_600_000_000;
/// Violations that are written to the log of this process, each; all are counted.
const TOLD_MAX: u64 = 100;

#[derive(Debug, Default)]
struct Seen {
    watches: HashMap<SaleId, (Sku, Watch)>,
    violations: BTreeMap<&'static str, u64>,
    /// How late the latest record came since the last look.
    lag: Duration,
    /// The sale of the latest record.
    last: Option<SaleId>,
}

type Shared = Arc<Mutex<Seen>>;

fn lock(seen: &Shared) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Seen {
    fn take(&mut self, decision: &BorrowedDecision<'_>, status: Option<&SaleStatus>) {
        let Some(logged) = logged_after(&mut self.last, decision) else { return };
        if !self.watches.contains_key(&logged.sale_id) {
            let Ok(sku) = Sku::new(&decision.sku) else { return };
            self.watches.insert(logged.sale_id.clone(), (sku, Watch::new(logged.sale_id.clone())));
        }
        let Some((sku, watch)) = self.watches.get_mut(&logged.sale_id) else { return };
        let now = Micros(now_ms().saturating_mul(1_000));
        let configured = status
            .filter(|status| status.config.sale_id == logged.sale_id)
            .and_then(|status| watch.take_change(status, now));
        for violation in configured.into_iter().chain(watch.take(&logged, now)) {
            let seen = self.violations.entry(violation.invariant).or_default();
            *seen += 1;
            metrics::violations(violation.invariant, *seen);
            if *seen <= TOLD_MAX {
                tracing::error!(%sku, invariant = violation.invariant, %violation, "the log breaks a rule");
            }
        }
    }

    /// Counts the units that are missing for too long.
    fn look(&mut self) {
        let now = Micros(now_ms().saturating_mul(1_000));
        let missing = self.watches.values().flat_map(|(_, watch)| watch.missing());
        let overdue = missing.filter(|missing| now.since(missing.since) >= MISSING_MAX);
        let units = overdue.map(|missing| missing.sequences.end() + 1 - missing.sequences.start()).sum();
        metrics::monitored(units, std::mem::take(&mut self.lag));
    }
}

/// Whoever else in this process wants to see every decision.
pub trait Listener: Send + Sync {
    /// A decision, and when its record was written, in milliseconds since 1970.
    fn decision(&self, decision: &BorrowedDecision<'_>, written_ms: i64);
    /// All that the log had at the start was told.
    fn caught_up(&self);
}

/// The monitor.
pub struct Service {
    ledger: Ledger,
    listener: Option<Arc<dyn Listener>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Service {
    /// A monitor of the log.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, listener: None }
    }

    /// Tells `listener` too: whoever else in this process wants to see every decision need not read the log again.
    #[must_use]
    pub fn telling(self, listener: Arc<dyn Listener>) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Watches until `shutdown`.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let seen = Shared::default();
        let sales = self.ledger.sales_by_events("processor-monitor-events").await?;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = sales.caught_up() => {}
        }
        let decoder = self.ledger.decoder::<PurchaseDecision>().await?;
        let topics = vec![self.ledger.topic(Topic::PurchaseDecisions).to_owned()];
        let config = ViewConfig { name: "processor-monitor".into(), topics };
        let (into, table, runtime) = (seen.clone(), sales.clone(), Handle::current());
        let (mut waiting, listener) = (self.listener.clone(), self.listener);
        let view = View::glance(self.ledger.streaming(), config, move |record| {
            // The decoder looks unknown schemas up on this runtime.
            let _guard = runtime.enter();
            // What cannot be read the sink buries.
            let Some(Ok(decision)) = record.payload.map(|payload| decoder.decode_borrowed(payload)) else { return };
            if let Some(listener) = &listener {
                listener.decision(&decision, record.timestamp_ms);
            }
            let status = table.get(&decision.sku);
            let mut seen = lock(&into);
            let late = Duration::from_millis(u64::try_from(now_ms() - record.timestamp_ms).unwrap_or(0));
            seen.lag = seen.lag.max(late);
            seen.take(&decision, status.as_deref());
        })?;
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => {}
            }
            if let Some(listener) = waiting.take_if(|_| view.is_caught_up()) {
                listener.caught_up();
            }
            let mut seen = lock(&seen);
            seen.look();
            let over = now_ms().saturating_mul(1_000).saturating_sub(FORGET_AFTER_US);
            let gone = |sku: &Sku, sale: &SaleId| match sales.get(sku) {
                Some(status) if status.config.sale_id == *sale => {
                    status.state == SaleState::Ended && status.as_of.0 < over
                }
                _ => sales.removed(sku).is_some(),
            };
            seen.watches.retain(|sale, (sku, _)| !gone(sku, sale));
        }
        // Joins its thread.
        drop(tokio::task::spawn_blocking(move || drop(view)).await);
        Ok(())
    }
}
