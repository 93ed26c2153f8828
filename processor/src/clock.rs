//! The sale clock: tick → transition script → publish → settle.
//!
//! A purchase makes the transitions it notices by itself; the clock makes those that nobody's purchase
//! does, so that a page turns to ACTIVE or ENDED on time.

use std::time::Duration;

use flashsale_core::decision::Change;
use flashsale_ledger::Ledger;
use flashsale_lua::HotState;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{metrics, publish_changes};

/// Settings of the clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Between two looks at the open sales. A transition is at most this late.
    pub tick_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { tick_ms: 50 }
    }
}

/// The sale clock.
#[derive(Debug)]
pub struct Service {
    config: Config,
    hot: HotState,
    ledger: Ledger,
}

impl Service {
    /// A clock over the open sales.
    pub fn new(config: Config, hot: HotState, ledger: Ledger) -> Self {
        Self { config, hot, ledger }
    }

    /// Ticks until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = interval(Duration::from_millis(self.config.tick_ms.max(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let result = self.tick().await;
            if let Err(error) = &result {
                metrics::failed("clock");
                if !failing && !matches!(error, flashsale_lua::Error::Closed) {
                    tracing::warn!(%error, source = ?std::error::Error::source(error), "the clock cannot reach Redis");
                }
            }
            failing = result.is_err();
        }
    }

    async fn tick(&self) -> flashsale_lua::Result<()> {
        self.hot.check_open().await?;
        let mut failed = None;
        for sku in self.hot.open_sales().await? {
            let changed = match self.hot.transition(&sku).await {
                Ok(changed) => changed,
                Err(error) => {
                    // The next sale may do better.
                    failed = Some(error);
                    continue;
                }
            };
            for change in &changed.changes {
                let config = &change.status.config;
                let due = if change.change == Change::Started { config.start } else { config.end };
                metrics::transition_late(changed.now.since(due));
            }
            if !changed.changes.is_empty() {
                // The log's pace must not delay the next sale's transition.
                let (ledger, hot) = (self.ledger.clone(), self.hot.clone());
                tokio::spawn(async move { publish_changes(&ledger, &hot, &changed).await });
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
