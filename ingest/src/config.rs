//! Settings of the edge.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When a winner is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// After the log has acknowledged the sale: nothing that was said can be lost.
    Log,
    /// As soon as Redis has decided: what Redis loses in a crash (a second, with AOF everysec) before the
    /// log had it was said in vain.
    Redis,
}

/// Settings of the edge; every queue and table has a bound.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// When a winner is told: `log` or `redis`.
    pub confirm: Confirm,
    /// How long an attempt waits for Redis' decision before it gets 503.
    pub decide_timeout_ms: u64,
    /// How long an answer waits for the log before it becomes 202 PENDING.
    pub confirm_timeout_ms: u64,
    /// Most requests between admission and answer; more get 503.
    pub in_flight_max: usize,
    /// How far that is lowered while decisions are late. Above `in_flight_max` it means the same as that.
    pub in_flight_min: usize,
    /// Decisions are late when more than a tenth of them take longer than this.
    pub latency_target_ms: u64,
    /// One attempt of a user in this many milliseconds; 0 turns the limit off.
    pub user_interval_ms: u64,
    /// Users that the limit remembers at once.
    pub users_max: usize,
    /// Answers that are kept for retries with the same Idempotency-Key.
    pub idempotency_keys_max: usize,
    /// How long they are kept at least, unless the bound is reached.
    pub idempotency_ttl_ms: u64,
    /// Shoppers without a unit that are remembered of an ended sale, so that Redis need not be asked again.
    pub known_losers_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            confirm: Confirm::Log,
            decide_timeout_ms: 5_000,
            confirm_timeout_ms: 3_000,
            in_flight_max: 10_000,
            in_flight_min: 64,
            latency_target_ms: 500,
            user_interval_ms: 1_000,
            users_max: 1_000_000,
            idempotency_keys_max: 50_000,
            idempotency_ttl_ms: 600_000,
            known_losers_max: 1_000_000,
        }
    }
}

impl Config {
    /// Checks what types cannot; the message names the key and the fix.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("decide_timeout_ms", self.decide_timeout_ms),
            ("confirm_timeout_ms", self.confirm_timeout_ms),
            ("in_flight_max", self.in_flight_max as u64),
            ("in_flight_min", self.in_flight_min as u64),
            ("latency_target_ms", self.latency_target_ms),
            ("users_max", self.users_max as u64),
            ("idempotency_keys_max", self.idempotency_keys_max as u64),
            ("idempotency_ttl_ms", self.idempotency_ttl_ms),
            ("known_losers_max", self.known_losers_max as u64),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => {
                Err(format!("`ingest.{key}` is 0; set FLASHSALE_INGEST__{} to 1 or more", key.to_uppercase()))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn decide_timeout(&self) -> Duration {
        Duration::from_millis(self.decide_timeout_ms)
    }

    pub(crate) fn latency_target(&self) -> Duration {
        Duration::from_millis(self.latency_target_ms)
    }

    pub(crate) fn confirm_timeout(&self) -> Duration {
        Duration::from_millis(self.confirm_timeout_ms)
    }
}
