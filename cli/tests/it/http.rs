//! A small HTTP client for tests.

use std::time::Duration;

use axum::http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("")
    }

    pub(crate) fn purchase_no(&self) -> &str {
        self.body["data"]["purchaseNo"].as_str().unwrap_or("")
    }
}

/// A client of one installation; a clone shares its connections.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<axum::body::Bytes>>,
}

impl Http {
    pub(crate) fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(2_000).build_http() }
    }

    /// Sends a request; a connection that is refused or cut is an error.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Full::from(body)).map_err(|error| error.to_string())?;
        let asking = async {
            let response = self.client.request(request).await.map_err(|error| format!("{error:?}"))?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        tokio::time::timeout(Duration::from_secs(30), asking).await.map_err(|_| "no answer".to_owned())?
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Answer, String> {
        self.send(Method::GET, url, &[], None).await
    }

    /// One attempt to buy.
    pub(crate) async fn buy(&self, url: &str, user: &str, key: Option<&str>, sku: &str) -> Result<Answer, String> {
        let mut headers = vec![("x-user-id", user)];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        let body = serde_json::json!({ "sku": sku });
        self.send(Method::POST, &format!("{url}/api/v1/purchases"), &headers, Some(body)).await
    }
}
