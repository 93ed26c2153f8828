//! A client of the HTTP API, for the tools.

use anyhow::{Context, bail};
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{client::legacy::Client as HyperClient, rt::TokioExecutor};
use serde_json::Value;

use crate::commands::actor::whoever;

type Body = Full<axum::body::Bytes>;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Talks to one installation.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: HyperClient<hyper_util::client::legacy::connect::HttpConnector, Body>,
    url: String,
    admin_key: String,
    actor: Option<String>,
}

impl Client {
    /// A client of the installation at `url`.
    pub(crate) fn new(url: &str, admin_key: &str) -> Self {
        let actor = whoever().ok().map(|actor| actor.to_string());
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        Self { http, url: url.trim_end_matches('/').to_owned(), admin_key: admin_key.to_owned(), actor }
    }

    /// Sends a request; returns the status and the whole envelope.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method).uri(&url).header("x-admin-key", &self.admin_key);
        if let Some(actor) = &self.actor {
            request = request.header("x-operator", actor);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Body::from(body)).with_context(|| format!("{url} is not an address"))?;
        let asking = async {
            let response = self.http.request(request).await?;
            let status = response.status();
            let bytes = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let bytes = bytes.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?.to_bytes();
            anyhow::Ok((status, bytes))
        };
        let (status, bytes) = tokio::time::timeout(std::time::Duration::from_secs(10), asking)
            .await
            .with_context(|| format!("{} did not answer within 10 s", self.url))?
            .with_context(|| {
                format!("cannot reach {}; is it running (`make up`)? Give another with --url", self.url)
            })?;
        let answer = serde_json::from_slice(&bytes)
            .with_context(|| format!("{url} answered {status}, but not as Flashsale does; check --url"))?;
        Ok((status, answer))
    }

    /// Sends a request and returns `data`; any other answer is an error with its message.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (status, mut answer) = self.send(method, path, body).await?;
        if answer["success"] == true {
            return Ok(answer["data"].take());
        }
        let error = &answer["error"];
        let mut message = error["message"].as_str().unwrap_or("no message").to_owned();
        if let Some(fields) = error["fields"].as_object() {
            for (name, why) in fields {
                message.push_str(&format!("\n  {name} {}", why.as_str().unwrap_or_default()));
            }
        }
        if status == StatusCode::UNAUTHORIZED {
            message.push_str(" Give the key with --admin-key or FLASHSALE_ADMIN_KEY.");
        }
        bail!("{} ({status}): {message}", error["code"].as_str().unwrap_or("UNKNOWN"))
    }
}
