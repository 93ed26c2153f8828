//! What happens to a sale without a shopper: time passes, the outbox empties, the status is told.
//!
//! * [`clock`] makes the transitions that the time demands.
//! * [`relay`] publishes what was decided and never acknowledged.
//! * [`status`] folds the log into `sale-status`.
//! * [`recover`] keeps the fence: a Redis that was not verified against the log decides nothing.
//! * [`reconcile`] compares Redis, the log and Postgres by content.
//! * [`monitor`] checks the log against the rules as it grows.
//!
//! Any number of processors may run: every step is safe to repeat, and none needs a leader.

pub mod clock;
mod metrics;
pub mod monitor;
pub mod reconcile;
pub mod recover;
pub mod relay;
pub mod status;

use std::sync::Arc;

use flashsale_ledger::{DECIDED_TO_SENT_MAX, Ledger};
use flashsale_lua::{ChangedSale, HotState};
use flashsale_sql::Store;
use tokio_util::sync::CancellationToken;

pub use metrics::describe as describe_metrics;

/// Settings of all parts.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The sale clock.
    pub clock: clock::Config,
    /// The outbox relay.
    pub relay: relay::Config,
    /// The status pipeline.
    pub status: status::Config,
    /// The recovery of Redis.
    pub recover: recover::Config,
    /// The reconciliation.
    pub reconcile: reconcile::Config,
}

/// What ends a processor before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be opened.
    #[error("the log")]
    Ledger(#[from] flashsale_ledger::Error),
    /// A consumer could not be started.
    #[error("a consumer")]
    Streaming(#[from] flashsale_streaming::Error),
}

/// All parts of a processor.
#[derive(Debug)]
pub struct Service {
    clock: clock::Service,
    relay: relay::Service,
    status: status::Service,
    recover: recover::Service,
    reconcile: Option<reconcile::Service>,
    monitor: monitor::Service,
}

impl Service {
    /// A processor from its parts; `instance` names this one in its group, empty for any. Without Postgres there
    /// is nothing to reconcile with.
    pub fn new(config: &Config, hot: &HotState, ledger: &Ledger, store: Option<&Store>, instance: &str) -> Self {
        metrics::begin();
        let reconcile = store.map(|store| {
            let reconciler =
                reconcile::Reconciler::new(hot.clone(), ledger.clone(), store.clone(), config.recover.clone());
            reconcile::Service::new(config.reconcile.clone(), reconciler)
        });
        Self {
            recover: recover::Service::new(config.recover.clone(), hot.clone(), ledger.clone()),
            reconcile,
            monitor: monitor::Service::new(ledger.clone()),
            clock: clock::Service::new(config.clock.clone(), hot.clone(), ledger.clone()),
            relay: relay::Service::new(config.relay.clone(), hot.clone(), ledger.clone()),
            status: status::Service::new(config.status.clone(), hot.clone(), ledger.clone(), instance),
        }
    }

    /// Tells `listener` of every decision, see [`monitor::Service::telling`].
    #[must_use]
    pub fn telling(mut self, listener: Arc<dyn monitor::Listener>) -> Self {
        self.monitor = self.monitor.telling(listener);
        self
    }

    /// Runs all parts until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        // One that fails takes the others along: the supervisor restarts all.
        let stop = shutdown.child_token();
        let _guard = stop.clone().drop_guard();
        let ((), (), status, (), reconcile, monitor) = tokio::join!(
            self.clock.run(stop.clone()),
            async {
                self.relay.run(stop.clone()).await;
                stop.cancel();
            },
            ending(&stop, Box::pin(self.status.run(stop.clone()))),
            Box::pin(self.recover.run(stop.clone())),
            ending(&stop, async {
                match self.reconcile {
                    Some(reconcile) => Box::pin(reconcile.run(stop.clone())).await,
                    None => Ok(()),
                }
            }),
            ending(&stop, Box::pin(self.monitor.run(stop.clone()))),
        );
        status?;
        reconcile?;
        monitor?;
        Ok(())
    }
}

/// A part whose failure ends the others.
async fn ending<E>(stop: &CancellationToken, part: impl Future<Output = Result<(), E>>) -> Result<(), E> {
    let result = part.await;
    if result.is_err() {
        stop.cancel();
    }
    result
}

/// Publishes state changes that a script made, then settles them. What fails is left to the relay.
pub(crate) async fn publish_changes(ledger: &Ledger, hot: &HotState, changed: &ChangedSale) {
    let changes = &changed.changes;
    let Some(first) = changes.first() else { return };
    if changed.asked.elapsed() > DECIDED_TO_SENT_MAX {
        // We stood still: Redis may have been recovered without them.
        return;
    }
    let sku = &first.status.config.sku;
    for change in changes {
        let event = change.status.as_of_event;
        tracing::info!(%sku, change = change.change.as_str(), event, sold = change.status.as_of_sequence, "sale changed");
    }
    if ledger.publish_changes(changes.iter().map(|change| (change.change, &change.status))).await.is_err() {
        tracing::warn!(%sku, "state change not acknowledged, left to the relay");
        return;
    }
    let ids: Vec<String> = changes.iter().map(|change| change.outbox_id.clone()).collect();
    if let Err(error) = hot.settle(sku, &ids).await {
        tracing::warn!(%sku, %error, "not settled, left to the relay");
    }
}
