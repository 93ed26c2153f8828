//! A small HTTP client that never hides what happened.

use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: bool,
    pub(crate) body: Value,
    /// The body, byte for byte.
    pub(crate) text: String,
}

impl Answer {
    /// The code of an error, or nothing.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("")
    }

    /// The receipt number: of a success, or of the purchase that an ALREADY_PURCHASED shows.
    pub(crate) fn receipt(&self) -> Option<(&str, &str)> {
        let held = if self.body["success"] == true { &self.body["data"] } else { &self.body["error"]["purchase"] };
        Some((held["purchaseNo"].as_str()?, held["purchasedAt"].as_str()?))
    }
}

/// A client; a clone shares its connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self { http: HyperClient::builder(TokioExecutor::new()).pool_max_idle_per_host(4_000).build(connector) }
    }

    /// Sends a request; no answer within `patience` is an error.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::from(body.map(Value::to_string).unwrap_or_default()))?;
        let asking = async {
            let response = self.http.request(request).await?;
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            anyhow::Ok(Answer {
                status: parts.status.as_u16(),
                retry_after: parts.headers.contains_key("retry-after"),
                body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
                text,
            })
        };
        tokio::time::timeout(patience, asking).await.map_err(|_| anyhow!("no answer within {patience:?}"))?
    }

    /// One attempt to buy.
    pub(crate) async fn buy(&self, url: &str, sku: &str, user: &str, key: &str, patience: Duration) -> Result<Answer> {
        let body = serde_json::json!({ "sku": sku });
        let headers = [("x-user-id", user), ("idempotency-key", key)];
        self.send(Method::POST, &format!("{url}/api/v1/purchases"), &headers, Some(&body), patience).await
    }

    /// A read.
    pub(crate) async fn get(&self, url: &str) -> Result<Answer> {
        self.send(Method::GET, url, &[], None, Duration::from_secs(5)).await
    }
}
