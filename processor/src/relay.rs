//! The outbox relay: outbox → due entries → publish → settle.
//!
//! Ingest publishes and settles what it decides. What it could not, because it died or the log was
//! away, waits in the outbox; the relay publishes it in sequence order. Repeats do no harm: an accepted
//! decision has the same id whoever publishes it. Point of no return: the settling, after the log's
//! acknowledgement.

use std::{collections::HashMap, sync::Arc, time::Duration};

use flashsale_core::{Micros, SaleState, Sku, invariants::Sold};
use flashsale_ledger::Ledger;
use flashsale_lua::{Entry, HotState, OutboxEntry};
use flashsale_schemas::events::{DecidedBy, Outcome, PurchaseDecision, accepted_id};
use flashsale_streaming::Delivery;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// Entries that one round takes from one sale.
const ENTRIES_MAX: usize = 200;
/// After its end a sale is looked after this much longer, for late outbox entries.
const LET_GO_AFTER: Duration = Duration::from_secs(10);

/// Settings of the relay.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Between two looks at the outboxes.
    pub poll_ms: u64,
    /// An entry that nobody settled for this long is published.
    pub due_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { poll_ms: 250, due_ms: 2_000 }
    }
}

/// The outbox relay.
#[derive(Debug)]
pub struct Service {
    config: Config,
    hot: HotState,
    ledger: Ledger,
    /// Since when an ended sale has had an empty outbox.
    quiet: HashMap<Sku, Instant>,
}

impl Service {
    /// A relay over the outboxes of the open sales.
    pub fn new(config: Config, hot: HotState, ledger: Ledger) -> Self {
        Self { config, hot, ledger, quiet: HashMap::new() }
    }

    /// Relays until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(Duration::from_millis(self.config.poll_ms.max(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let round = tokio::select! {
                () = shutdown.cancelled() => return,
                round = self.round() => round,
            };
            if let Err(error) = &round {
                metrics::failed("relay");
                if !failing {
                    tracing::warn!(%error, source = ?std::error::Error::source(error), "the relay cannot reach Redis");
                }
            }
            failing = round.is_err();
        }
    }

    async fn round(&mut self) -> flashsale_lua::Result<()> {
        let now = self.hot.now().await?;
        let (mut entries, mut oldest) = (0, Duration::ZERO);
        for sku in self.hot.open_sales().await? {
            let waiting = self.hot.outbox(&sku, ENTRIES_MAX).await?;
            entries += self.hot.outbox_len(&sku).await?;
            if let Some(first) = waiting.first() {
                oldest = oldest.max(now.since(first.at));
            }
            let due = Micros(now.0 - i64::try_from(self.config.due_ms).unwrap_or(i64::MAX).saturating_mul(1_000));
            let due: Vec<OutboxEntry> = waiting.into_iter().take_while(|entry| entry.at <= due).collect();
            if due.is_empty() {
                self.let_go_when_over(&sku).await?;
            } else {
                self.quiet.remove(&sku);
                self.publish(&sku, &due).await?;
            }
        }
        metrics::outbox(entries, oldest);
        Ok(())
    }

    /// Publishes entries in order; those of an acknowledged round are settled.
    async fn publish(&self, sku: &Sku, due: &[OutboxEntry]) -> flashsale_lua::Result<()> {
        let delivery = Delivery::begin();
        let mut records = 0;
        for entry in due {
            match &entry.entry {
                Entry::Change(change) => {
                    self.ledger.send_change(&delivery, change.change, &change.status);
                    records += 1;
                }
                Entry::Sold { ingest_id, units, remaining_after_first } => {
                    records += units.len() as u64;
                    self.send_units(&delivery, sku, ingest_id, units, *remaining_after_first);
                }
            }
        }
        delivery.seal();
        if delivery.wait().await.is_err() {
            tracing::warn!(%sku, records, "relayed records were not acknowledged; next round again");
            return Ok(());
        }
        let ids: Vec<String> = due.iter().map(|entry| entry.id.clone()).collect();
        let settled = self.hot.settle(sku, &ids).await?;
        if settled > 0 {
            metrics::relayed(records);
            tracing::info!(%sku, records, settled, "relayed");
        }
        Ok(())
    }

    fn send_units(&self, delivery: &Arc<Delivery>, sku: &Sku, ingest_id: &str, units: &[Sold], remaining: u64) {
        for (unit, sold_since) in units.iter().zip(0..) {
            let receipt = &unit.receipt;
            let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let decision = PurchaseDecision {
                decision_id: accepted_id(&receipt.sale_id, receipt.sequence),
                sale_id: receipt.sale_id.to_string(),
                sku: sku.to_string(),
                user_id: unit.user.to_string(),
                request_id: unit.request_id.to_string(),
                outcome: Outcome::Accepted,
                reason: None,
                sequence: Some(signed(receipt.sequence)),
                as_of_sequence: Some(signed(receipt.sequence)),
                remaining_stock: Some(signed(remaining.saturating_sub(sold_since))),
                decided_at: receipt.decided_at,
                // Only the ingest knew.
                received_at: None,
                decided_by: DecidedBy::Redis,
                ingest_id: ingest_id.to_owned(),
            };
            self.ledger.send_decision(delivery, &decision);
        }
    }

    /// Lets go of a sale that has ended, or is gone, once its outbox has been empty for a while.
    async fn let_go_when_over(&mut self, sku: &Sku) -> flashsale_lua::Result<()> {
        let over = self.hot.snapshot(sku).await?.is_none_or(|sale| sale.state == SaleState::Ended);
        if !over || self.hot.outbox_len(sku).await? > 0 {
            self.quiet.remove(sku);
            return Ok(());
        }
        let since = *self.quiet.entry(sku.clone()).or_insert_with(Instant::now);
        if since.elapsed() >= LET_GO_AFTER {
            self.hot.unwatch(sku).await?;
            self.quiet.remove(sku);
        }
        Ok(())
    }
}
