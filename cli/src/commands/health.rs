//! `flashsale health`: whether a process should get traffic, for supervisors that run a command.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use axum::http::{Method, StatusCode};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    client::Client,
    settings::{Settings, Sources},
    terminal::{say, say_json},
};

/// Where a process says whether it is ready.
const READY: &str = "/health/ready";
/// Longer than the process gives its own checks, and shorter than supervisors wait for a command.
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// Asks a running process whether it is ready; exit code 0 when it is, 1 when it is not or does not answer.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// The process to ask; by default the one that listens where this configuration says.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print JSON instead of a line.
    #[arg(long)]
    json: bool,
}

impl Health {
    /// Asks, and says what came of it.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let url = match self.url {
            Some(url) => url,
            None => here(&Settings::load(sources, false)?.http_address),
        };
        let client = Client::new(&url, "");
        let asked = tokio::time::timeout(ANSWER_MAX, client.send(Method::GET, READY, None)).await;
        let (is_ready, answer) = match asked {
            Ok(Ok((status, answer))) => (status == StatusCode::OK, answer),
            Ok(Err(error)) => (false, json!({ "status": "no answer", "reason": format!("{error:#}") })),
            Err(_) => (false, json!({ "status": "no answer", "reason": format!("none within {ANSWER_MAX:?}") })),
        };
        if self.json {
            say_json(&json!({ "url": url, "isReady": is_ready, "answer": answer }))?;
        } else {
            say(format!("{url}: {}", in_words(&answer)));
        }
        Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The address of whoever listens on `address` on this host: a process that listens everywhere is asked by loopback.
fn here(address: &str) -> String {
    let Ok(mut address) = address.parse::<SocketAddr>() else { return format!("http://{address}") };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    format!("http://{address}")
}

/// The status, and what is down or why nothing came.
fn in_words(answer: &Value) -> String {
    let status = answer["status"].as_str().unwrap_or("an answer that is not Flashsale's");
    let checks = answer["checks"].as_object().into_iter().flatten();
    let down: Vec<&str> = checks.filter(|(_, check)| check["status"] != "up").map(|(name, _)| name.as_str()).collect();
    match (answer["reason"].as_str(), down.as_slice()) {
        (Some(reason), _) => format!("{status}: {reason}"),
        (None, []) => status.to_owned(),
        (None, down) => format!("{status}: {}", down.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_listens_everywhere_is_asked_by_loopback() {
        for (address, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
            ("10.1.2.3:80", "http://10.1.2.3:80"),
            ("localhost:8080", "http://localhost:8080"),
        ] {
            assert_eq!(here(address), url);
        }
    }

    #[test]
    fn what_is_down_is_named() {
        let answer = json!({ "status": "not ready", "checks": {
            "decision": { "status": "up", "latencyMs": 0.4 }, "fence": { "status": "down", "latencyMs": 0.1 },
        } });
        assert_eq!(in_words(&answer), "not ready: fence");
        assert_eq!(in_words(&json!({ "status": "ready", "checks": {} })), "ready");
        assert_eq!(in_words(&json!({ "status": "no answer", "reason": "refused" })), "no answer: refused");
        assert_eq!(in_words(&json!([])), "an answer that is not Flashsale's");
    }
}
