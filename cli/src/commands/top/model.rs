//! What is known of an installation: the API's answers, as far as they are shown.

use std::time::Duration;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// Everything that a frame is made of.
#[derive(Debug)]
pub(super) struct Model {
    /// Whom it is asked of.
    pub(super) url: String,
    /// The last answer.
    pub(super) look: Option<Look>,
    /// How long ago it came.
    pub(super) age: Duration,
    /// Why there is no newer one.
    pub(super) problem: Option<String>,
    /// Whether newer answers are left alone.
    pub(super) paused: bool,
    /// Lines that are above the window.
    pub(super) scroll: usize,
    /// Whether to colour.
    pub(super) colours: bool,
}

impl Model {
    /// Nothing is known yet.
    pub(super) fn new(url: &str, colours: bool) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        Self { url, look: None, age: Duration::ZERO, problem: None, paused: false, scroll: 0, colours }
    }
}

/// One look at the installation.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) overview: Overview,
    pub(super) consumers: Vec<Consumer>,
}

impl Look {
    /// Reads `GET /ops/overview` and `GET /ops/consumers`; what a newer installation says besides is passed over.
    pub(super) fn read(overview: Value, consumers: Value) -> serde_json::Result<Self> {
        let Consumers { consumers } = serde_json::from_value(consumers)?;
        Ok(Self { overview: serde_json::from_value(overview)?, consumers })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Overview {
    /// When, by the installation's clock.
    pub(super) at: String,
    pub(super) sales: Vec<Sale>,
    pub(super) decisions: Decisions,
    pub(super) dead_letters: DeadLetters,
    pub(super) outbox: Outbox,
    pub(super) last_reconciliation: Option<Reconciliation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sale {
    pub(super) sku: String,
    pub(super) state: String,
    pub(super) end_reason: Option<String>,
    pub(super) paused: bool,
    pub(super) initial_stock: u64,
    pub(super) stock: u64,
    pub(super) outbox: Option<u64>,
    pub(super) sold_per_second: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Decisions {
    /// Ascending, without holes; the newest last.
    pub(super) seconds: Vec<Second>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Second {
    pub(super) accepted: u64,
    pub(super) already_purchased: u64,
    pub(super) sold_out: u64,
    pub(super) not_active: u64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeadLetters {
    pub(super) open: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Outbox {
    pub(super) entries: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reconciliation {
    pub(super) sku: String,
    pub(super) finished_at: String,
    pub(super) mode: String,
    pub(super) compared: u64,
    pub(super) found: u64,
    pub(super) repaired: u64,
}

#[derive(Debug, Deserialize)]
struct Consumers {
    consumers: Vec<Consumer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) members: Vec<IgnoredAny>,
    pub(super) lag_records: Option<i64>,
    pub(super) lag_seconds: Option<f64>,
    pub(super) per_second: Option<f64>,
    pub(super) verdict: String,
    pub(super) why: String,
    /// `NONE`, `SOME` or `ALL` of its partitions.
    pub(super) paused: String,
    pub(super) order: Option<Order>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    pub(super) action: String,
    pub(super) until_offset: Option<i64>,
    pub(super) issued_by: String,
    pub(super) issued_at: String,
}
