//! Settings.

use serde::{Deserialize, Serialize};

/// How pages are kept up to date.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Most streams of this process.
    pub clients_max: usize,
    /// Most streams of one address.
    pub clients_per_ip_max: usize,
    /// Between two `stock-update` events of a sale.
    pub coalesce_ms: u64,
    /// After so much silence a comment is sent, so that both sides know that the other is there.
    pub heartbeat_ms: u64,
    /// After this time a stream is ended, and its client connects again, maybe elsewhere.
    pub lifetime_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            clients_max: 10_000,
            clients_per_ip_max: 5,
            coalesce_ms: 100,
            heartbeat_ms: 15_000,
            lifetime_ms: 3_600_000,
        }
    }
}

impl Config {
    /// An error that names what cannot be.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [("clients_max", self.clients_max), ("clients_per_ip_max", self.clients_per_ip_max)] {
            if value == 0 {
                return Err(format!("`sse.{name}` must be 1 or more; correct FLASHSALE_SSE__{}", name.to_uppercase()));
            }
        }
        if self.heartbeat_ms == 0 || self.lifetime_ms == 0 {
            let message = "`sse.heartbeat_ms` and `sse.lifetime_ms` must be 1 or more";
            return Err(format!("{message}; correct FLASHSALE_SSE__HEARTBEAT_MS and FLASHSALE_SSE__LIFETIME_MS"));
        }
        Ok(())
    }
}
