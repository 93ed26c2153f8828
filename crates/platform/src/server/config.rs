//! Settings of the HTTP server.

use std::time::Duration;

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize};

/// More open connections than any system gives one process.
const CONNECTIONS_MOST: usize = 1_000_000;

/// What a client may take up before any service hears of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Open connections of this process, live streams included; more are turned away with 503.
    pub connections_max: usize,
    /// From the first byte of a request's head to its last.
    pub head_timeout_ms: u64,
    /// From the end of the head to the last byte of the body; later is 408.
    pub body_timeout_ms: u64,
    /// Requests a second of one address, of IPv6 one network of 64 bits; more get 429. 0 turns the limit off.
    pub ip_requests_per_second: u32,
    /// How many of them may come at once after a break.
    pub ip_burst: u32,
    /// Addresses that the limit remembers at once.
    pub ips_max: usize,
    /// Origins whose pages may read the answers, such as `https://a.example,https://b.example`; none when empty.
    pub cors_origins: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            head_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            ip_requests_per_second: 0,
            ip_burst: 10,
            ips_max: 100_000,
            cors_origins: String::new(),
        }
    }
}

impl Config {
    /// Checks what types cannot; the message names the key and the fix.
    pub fn check(&self) -> Result<(), String> {
        let positive = [
            ("connections_max", self.connections_max as u64),
            ("head_timeout_ms", self.head_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("ip_burst", self.ip_burst.into()),
            ("ips_max", self.ips_max as u64),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("`http.{key}` is 0; set FLASHSALE_HTTP__{} to 1 or more", key.to_uppercase()));
        }
        if self.connections_max > CONNECTIONS_MOST {
            let message = format!("`http.connections_max` is above {CONNECTIONS_MOST}");
            return Err(format!("{message}; correct FLASHSALE_HTTP__CONNECTIONS_MAX"));
        }
        if self.head_timeout() > super::IDLE_MAX {
            let message = format!("`http.head_timeout_ms` is above {}", super::IDLE_MAX.as_millis());
            return Err(format!("{message}, which ends it anyway; correct FLASHSALE_HTTP__HEAD_TIMEOUT_MS"));
        }
        let wrong = |why| format!("`http.cors_origins`: {why}; correct FLASHSALE_HTTP__CORS_ORIGINS");
        origins(&self.cors_origins).map(drop).map_err(wrong)
    }

    pub(super) fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms)
    }

    pub(super) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
}

/// The origins of a list, each as a browser sends it.
pub(super) fn origins(list: &str) -> Result<Vec<HeaderValue>, String> {
    let origin = |text: &str| {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
        let of_a_host = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:[]".contains(c);
        let value = HeaderValue::from_str(text).ok().filter(|_| !host.is_empty() && host.chars().all(of_a_host));
        value
            .ok_or_else(|| format!("`{text}` is no origin like https://a.example, in small letters and without a path"))
    };
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(origin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        let list = origins(" https://shop.example, http://127.0.0.1:8080 ,http://[::1]:1,").unwrap();
        assert_eq!(list, ["https://shop.example", "http://127.0.0.1:8080", "http://[::1]:1"]);
        assert!(origins("").unwrap().is_empty());
        for wrong in ["*", "null", "a.example", "https://", "https://a.example/", "https://*.example", "HTTPS://A"] {
            assert!(origins(&format!("https://a.example,{wrong}")).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        assert_eq!(Config::default().check(), Ok(()));
        for (config, named) in [
            (Config { connections_max: 0, ..Config::default() }, "FLASHSALE_HTTP__CONNECTIONS_MAX"),
            (Config { connections_max: usize::MAX, ..Config::default() }, "FLASHSALE_HTTP__CONNECTIONS_MAX"),
            (Config { head_timeout_ms: 0, ..Config::default() }, "FLASHSALE_HTTP__HEAD_TIMEOUT_MS"),
            (Config { ip_burst: 0, ..Config::default() }, "FLASHSALE_HTTP__IP_BURST"),
            (Config { cors_origins: "*".into(), ..Config::default() }, "FLASHSALE_HTTP__CORS_ORIGINS"),
        ] {
            let error = config.check().unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
