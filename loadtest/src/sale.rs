//! The sales of a run: set up and watched through the API.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use flashsale_core::Micros;
use flashsale_loadtest::scenario::{Plan, Scenario};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// From the setting up of a sale to its start, so that whoever sells it has heard of it by then.
const START_IN: Duration = Duration::from_secs(2);
/// A sale goes on for this long after the run.
const SPARE: Duration = Duration::from_secs(3_600);
/// How long a sale may take to start, or to be known everywhere.
const STATE_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const CONNECT_MAX: Duration = Duration::from_secs(3);
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A client of the API of one installation.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    url: String,
    admin_key: Option<String>,
}

/// How a sale stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) state: String,
    pub(crate) initial_stock: u64,
}

/// The sales of a run.
#[derive(Debug, Clone)]
pub(crate) struct Sales {
    pub(crate) skus: Vec<String>,
    /// Units of each.
    pub(crate) units: u64,
}

impl Shop {
    /// A client of the installation whose API answers at `url`.
    pub(crate) fn new(url: &str, admin_key: Option<String>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_MAX));
        let http = HyperClient::builder(TokioExecutor::new()).build(connector);
        Self { http, url: url.trim_end_matches('/').to_owned(), admin_key }
    }

    /// Sends a request; returns the status and the whole envelope.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] when nobody answers.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::from(body)).with_context(|| format!("{url} is no address"))?;
        let asking = async {
            let response = self.http.request(request).await?;
            let status = response.status().as_u16();
            let bytes = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let bytes = bytes.map_err(|error| anyhow!("read the answer: {error}"))?.to_bytes();
            anyhow::Ok((status, bytes))
        };
        let unreachable = || Failure::Unreachable(self.url.clone());
        let answer = tokio::time::timeout(ANSWER_MAX, asking).await.with_context(unreachable)?;
        let (status, bytes) = answer.with_context(unreachable)?;
        let envelope = serde_json::from_slice(&bytes)
            .with_context(|| format!("{url} answered {status}, but not as Flashsale does; check --url"))?;
        Ok((status, envelope))
    }

    /// Sets a sale up that starts in two seconds and outlasts the plan.
    async fn create(&self, sku: &str, plan: &Plan) -> Result<()> {
        let admin_key = self.admin_key.as_deref().ok_or_else(|| {
            let message = "the admin key is missing; give --admin-key, or --sku for a sale that is there already";
            Failure::Usage(message.to_owned())
        })?;
        let start = now_ms() + millis(START_IN);
        let end = start + millis(plan.lasts + plan.options.answer_max + SPARE);
        let body = json!({
            "sku": sku,
            "productName": format!("Load test, {}", plan.describe()),
            "initialStock": plan.units,
            "startTime": Micros::from_millis(start).to_string(),
            "endTime": Micros::from_millis(end).to_string(),
        });
        let headers = [("x-admin-key", admin_key), ("x-operator", "flashsale-load")];
        let (status, answer) = self.send(Method::POST, "/api/v1/products", &headers, Some(&body)).await?;
        match status {
            201 => Ok(()),
            401 | 403 => {
                Err(Failure::Usage(format!("the admin key is refused: {}", answer["error"]["message"])).into())
            }
            _ => bail!("the sale {sku} could not be set up: {status} {}", answer["error"]),
        }
    }

    /// How the sale stands; none when there is none.
    pub(crate) async fn standing(&self, sku: &str) -> Result<Option<Standing>> {
        let (status, answer) = self.send(Method::GET, &format!("/api/v1/sales?sku={sku}"), &[], None).await?;
        if status == 404 {
            return Ok(None);
        }
        let data = &answer["data"];
        let (Some(state), Some(initial_stock)) = (data["state"].as_str(), data["initialStock"].as_u64()) else {
            bail!("the status of {sku} was answered with {status} {answer}");
        };
        Ok(Some(Standing { state: state.to_owned(), initial_stock }))
    }

    /// Waits until the sale is in this state.
    async fn until(&self, sku: &str, state: &str) -> Result<()> {
        let last = poll(async || {
            let standing = self.standing(sku).await?;
            let seen = standing.map_or_else(|| "unknown".to_owned(), |standing| standing.state);
            Ok(if seen == state { Ok(()) } else { Err(seen) })
        });
        last.await?.map_err(|seen| anyhow!("the sale {sku} is {seen}, and not {state} within {STATE_MAX:?}"))
    }

    /// Buys a unit as `user`.
    async fn buy(&self, sku: &str, user: &str) -> Result<()> {
        let body = json!({ "sku": sku });
        let last = poll(async || {
            let (_, answer) = self.send(Method::POST, "/api/v1/purchases", &[("x-user-id", user)], Some(&body)).await?;
            let code = answer["error"]["code"].as_str().unwrap_or_default();
            // An answer before this one may have been lost.
            let is_theirs = answer["success"] == true || code == "ALREADY_PURCHASED";
            Ok(if is_theirs { Ok(()) } else { Err(code.to_owned()) })
        });
        last.await?.map_err(|why| anyhow!("a unit of {sku} could not be bought: {why}"))
    }
}

/// Asks again and again, at most for [`STATE_MAX`]; what `ask` says in vain is the inner error.
async fn poll(mut ask: impl AsyncFnMut() -> Result<Result<(), String>>) -> Result<Result<(), String>> {
    let began = tokio::time::Instant::now();
    loop {
        match ask().await? {
            Err(_) if began.elapsed() < STATE_MAX => tokio::time::sleep(POLL).await,
            last => return Ok(last),
        }
    }
}

impl Sales {
    /// The sale that is there already.
    ///
    /// # Errors
    /// [`Failure::Usage`] when it is not there, or cannot take what `plan` sends.
    pub(crate) async fn existing(shop: &Shop, sku: &str, plan: &Plan) -> Result<Self> {
        let standing = shop.standing(sku).await?;
        let Standing { state, initial_stock } =
            standing.ok_or_else(|| Failure::Usage(format!("there is no sale {sku}")))?;
        let wanted = if plan.scenario == Scenario::Soldout { "ENDED" } else { "ACTIVE" };
        if state != wanted && (plan.buys() || plan.scenario == Scenario::Soldout) {
            let message = format!("the sale {sku} is {state}; this run needs one that is {wanted}");
            return Err(Failure::Usage(message).into());
        }
        Ok(Self { skus: vec![sku.to_owned()], units: initial_stock })
    }

    /// Sets up what `plan` needs and waits until it can be sent; of a sale that is to be sold out, `first` buys.
    pub(crate) async fn set_up(
        shop: &Shop,
        edge: &Shop,
        names: Vec<String>,
        plan: &Plan,
        first: &str,
        stop: &CancellationToken,
    ) -> Result<Self> {
        let setting_up = async {
            for sku in &names {
                shop.create(sku, plan).await?;
            }
            for sku in &names {
                shop.until(sku, "ACTIVE").await?;
                if plan.scenario == Scenario::Soldout {
                    for unit in 0..plan.units {
                        edge.buy(sku, &format!("{first}-first-{unit}")).await?;
                    }
                    shop.until(sku, "ENDED").await?;
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            ready = setting_up => ready?,
            () = stop.cancelled() => bail!("interrupted before anything was sent"),
        }
        Ok(Self { skus: names, units: plan.units })
    }
}

/// Milliseconds since 1970 by this machine's clock.
fn now_ms() -> i64 {
    millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
