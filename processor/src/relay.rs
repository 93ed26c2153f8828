//! The outbox relay: outbox → due entries → publish → settle.
//!
//! Ingest publishes and settles what it decides. What it could not, because it died or the log was
//! away, waits in the outbox; the relay publishes it in sequence order. Repeats do no harm: an accepted
//! decision has the same id whoever publishes it. Point of no return: the settling, after the log's
//! acknowledgement.

use std::{collections::HashMap, time::Duration};

use flashsale_core::{Micros, SaleState, Sku, invariants::Sold};
use flashsale_ledger::{DECIDED_TO_SENT_MAX, Ledger};
use flashsale_lua::{Entry, HotState, OutboxEntry};
use flashsale_schemas::events::{DecidedBy, Outcome, PurchaseDecision, accepted_id};
use flashsale_streaming::{Delivery, NotDelivered};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// Entries that are published and settled together.
const ENTRIES_MAX: usize = 500;
/// Sales that are looked at together.
const SALES_AT_ONCE: usize = 16;
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

/// What one look at an outbox found.
struct Look {
    entries: u64,
    oldest: Duration,
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
            if self.ledger.producer().is_fatal() {
                tracing::error!("the producer gave up for good; stopping, so that a new one can begin");
                return;
            }
            let round = tokio::select! {
                () = shutdown.cancelled() => return,
                round = self.round() => round,
            };
            if let Err(error) = &round {
                metrics::failed("relay");
                if !failing && !matches!(error, flashsale_lua::Error::Closed) {
                    tracing::warn!(%error, source = ?std::error::Error::source(error), "the relay cannot reach Redis");
                }
            }
            failing = round.is_err();
        }
    }

    /// One look at every open sale, several at a time; a sale that fails or waits does not hold up others.
    async fn round(&mut self) -> flashsale_lua::Result<()> {
        // What an unverified server holds is the recovery's business.
        self.hot.check_open().await?;
        let due_us = i64::try_from(self.config.due_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let now = self.hot.now().await?;
        let skus = self.hot.open_sales().await?;
        let relay = &*self;
        let looks: Vec<(Sku, flashsale_lua::Result<Look>)> = stream::iter(skus)
            .map(|sku| async move {
                let look = relay.relay(&sku, now, Micros(now.0.saturating_sub(due_us))).await;
                (sku, look)
            })
            .buffer_unordered(SALES_AT_ONCE)
            .collect()
            .await;
        let (mut entries, mut oldest) = (0, Duration::ZERO);
        let mut failed = None;
        for (sku, look) in looks {
            match look {
                Ok(look) => {
                    entries += look.entries;
                    oldest = oldest.max(look.oldest);
                    self.let_go_when_over(&sku, look.entries == 0).await?;
                }
                Err(error) => failed = Some(error),
            }
        }
        metrics::outbox(entries, oldest);
        failed.map_or(Ok(()), Err)
    }

    /// Relays what is due of one sale, until nothing is.
    async fn relay(&self, sku: &Sku, now: Micros, due: Micros) -> flashsale_lua::Result<Look> {
        loop {
            let asked = Instant::now();
            let waiting = self.hot.outbox(sku, ENTRIES_MAX).await?;
            if asked.elapsed() > DECIDED_TO_SENT_MAX {
                // We stood still: a recovery may have given these units to others by now.
                return Ok(Look { entries: waiting.len() as u64, oldest: Duration::ZERO });
            }
            let oldest = waiting.first().map_or(Duration::ZERO, |first| now.since(first.at));
            let full = waiting.len() == ENTRIES_MAX;
            let due: Vec<OutboxEntry> = waiting.into_iter().take_while(|entry| entry.at <= due).collect();
            let more = full && due.len() == ENTRIES_MAX;
            if !due.is_empty() && !self.publish(sku, &due).await? || !more {
                return Ok(Look { entries: self.hot.outbox_len(sku).await?, oldest });
            }
        }
    }

    /// Publishes entries in order and settles them; returns whether the log acknowledged them.
    async fn publish(&self, sku: &Sku, due: &[OutboxEntry]) -> flashsale_lua::Result<bool> {
        let Ok(records) = publish(&self.ledger, sku, due).await else {
            tracing::warn!(%sku, entries = due.len(), "relayed records were not acknowledged; next round again");
            return Ok(false);
        };
        let ids: Vec<String> = due.iter().map(|entry| entry.id.clone()).collect();
        let settled = self.hot.settle(sku, &ids).await?;
        if settled > 0 {
            metrics::relayed(records);
            tracing::info!(%sku, records, settled, "relayed");
        }
        Ok(true)
    }

    /// Lets go of a sale that has ended, or is gone, once its outbox has been empty for a while.
    async fn let_go_when_over(&mut self, sku: &Sku, empty: bool) -> flashsale_lua::Result<()> {
        if !empty || self.hot.snapshot(sku).await?.is_some_and(|sale| sale.state != SaleState::Ended) {
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

/// Publishes entries in order; returns how many records that were, once the log has them.
pub(crate) async fn publish(ledger: &Ledger, sku: &Sku, entries: &[OutboxEntry]) -> Result<u64, NotDelivered> {
    let delivery = Delivery::begin();
    let mut records = 0;
    for entry in entries {
        match &entry.entry {
            Entry::Change(change) => {
                ledger.send_change(&delivery, change.change, &change.status);
                records += 1;
            }
            Entry::Sold { ingest_id, units, remaining_after_first } => {
                records += units.len() as u64;
                for (unit, sold_since) in units.iter().zip(0..) {
                    let remaining = remaining_after_first.saturating_sub(sold_since);
                    // No header: the trace of a request ends where its ingest died.
                    ledger.send_decision(&delivery, &accepted(sku, unit, remaining, ingest_id), &[]);
                }
            }
        }
    }
    delivery.seal();
    delivery.wait().await.map(|()| records)
}

/// The event of a unit that was sold by somebody else, with what is left after it.
pub(crate) fn accepted(sku: &Sku, unit: &Sold, remaining: u64, ingest_id: &str) -> PurchaseDecision {
    let receipt = &unit.receipt;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    PurchaseDecision {
        decision_id: accepted_id(&receipt.sale_id, receipt.sequence),
        sale_id: receipt.sale_id.to_string(),
        sku: sku.to_string(),
        user_id: unit.user.to_string(),
        request_id: unit.request_id.to_string(),
        outcome: Outcome::Accepted,
        reason: None,
        sequence: Some(signed(receipt.sequence)),
        as_of_sequence: Some(signed(receipt.sequence)),
        remaining_stock: Some(signed(remaining)),
        decided_at: receipt.decided_at,
        // Only the ingest knew.
        received_at: None,
        decided_by: DecidedBy::Redis,
        ingest_id: ingest_id.to_owned(),
    }
}
