//! One edge, or several over the same servers, and a reader of what they wrote.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request},
};
use flashsale_challenge::Challenges;
use flashsale_core::{Challenge, Micros, Receipt, RequestId, SaleConfig, SaleId, Sku, UserId, invariants::Sold};
use flashsale_identity::Shoppers;
use flashsale_ingest::{Config, Service};
use flashsale_ledger::Ledger;
use flashsale_lua::HotState;
use flashsale_platform::{Tracer, TrustedProxies, server};
use flashsale_schemas::{
    Topic,
    events::{Outcome, PurchaseDecision},
};
use flashsale_streaming::{View, ViewConfig};
use flashsale_testkit::{unique, wait_until};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Servers, names and tables of one test.
pub(crate) struct Shop {
    pub(crate) hot: HotState,
    pub(crate) ledger: Ledger,
    decisions: Arc<Mutex<Vec<PurchaseDecision>>>,
    _view: View,
    stop: CancellationToken,
}

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

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let prefix = unique("ingest");
        let mut hot = flashsale_lua::Config::new(flashsale_testkit::redis().await);
        hot.key_prefix = format!("{prefix}:");
        hot.response_timeout = Duration::from_secs(10);
        let mut log = flashsale_ledger::Config::new(flashsale_testkit::kafka().await, "test");
        log.topic_prefix = format!("{prefix}.");
        let ledger = Ledger::open(log).await.unwrap();
        ledger.create_topics(1).await.unwrap();
        let decisions = Arc::new(Mutex::new(Vec::new()));
        let decoder = ledger.decoder::<PurchaseDecision>().await.unwrap();
        let topics = vec![ledger.topic(Topic::PurchaseDecisions).to_owned()];
        let view = View::start(ledger.streaming(), ViewConfig { name: prefix, topics }, {
            let decisions = decisions.clone();
            move |record| {
                let decision = decoder.decode(record.payload.as_deref().unwrap_or_default()).expect("our own record");
                decisions.lock().unwrap().push(decision);
            }
        });
        Self {
            hot: {
                let hot = HotState::connect(&hot).await.unwrap();
                hot.open_new("test").await.unwrap();
                hot
            },
            ledger,
            decisions,
            _view: view.unwrap(),
            stop: CancellationToken::new(),
        }
    }

    /// An edge that takes part in this shop.
    pub(crate) async fn edge(&self, config: Config) -> Router {
        self.edge_writing_to(config, self.ledger.clone()).await
    }

    /// Likewise, but it writes decisions somewhere else.
    pub(crate) async fn edge_writing_to(&self, config: Config, ledger: Ledger) -> Router {
        let challenges = Challenges::new(&flashsale_challenge::Config::default()).unwrap();
        self.edge_of(config, ledger, challenges).await
    }

    /// Likewise, and it knows of challenges.
    pub(crate) async fn edge_of(&self, config: Config, ledger: Ledger, challenges: Challenges) -> Router {
        let catalogue = self.ledger.sales_by_events(&unique("catalogue")).await.unwrap();
        catalogue.caught_up().await;
        let (hot, shoppers) = (self.hot.clone(), Shoppers::from_header());
        let service = Service::new(config, hot, ledger, catalogue, Tracer::off(), challenges, shoppers);
        let routes = service.routes();
        tokio::spawn(service.run(self.stop.clone()));
        let finished = server::finish(routes, &server::Config::default(), TrustedProxies::default());
        Router::new().fallback_service(finished)
    }

    /// A log whose topics do not exist: nothing is ever acknowledged.
    pub(crate) async fn deaf_ledger(&self) -> Ledger {
        let mut log = flashsale_ledger::Config::new(flashsale_testkit::kafka().await, "test");
        log.topic_prefix = unique("nowhere");
        Ledger::open(log).await.unwrap()
    }

    /// Sets a sale up, with times in ms from now.
    pub(crate) async fn sale(&self, sku: &str, stock: u64, start_in: i64, end_in: i64) -> SaleConfig {
        self.sale_with(sku, stock, start_in, end_in, Challenge::None).await
    }

    /// Likewise, with a challenge.
    pub(crate) async fn sale_with(
        &self,
        sku: &str,
        stock: u64,
        start_in: i64,
        end_in: i64,
        challenge: Challenge,
    ) -> SaleConfig {
        let now = self.hot.now().await.unwrap();
        let config = SaleConfig {
            sale_id: SaleId::generate(now, 1),
            sku: Sku::new(sku).unwrap(),
            product_name: "Phone".into(),
            initial_stock: stock,
            start: Micros::from_millis(now.as_millis() + start_in),
            end: Micros::from_millis(now.as_millis() + end_in),
            challenge,
        };
        let created = self.hot.create(&config).await.unwrap();
        self.ledger.publish_changes(created.changes.iter().map(|c| (c.change, &c.status))).await.unwrap();
        config
    }

    /// Everything in the log, once each, in the order of arrival.
    pub(crate) fn logged(&self) -> Vec<PurchaseDecision> {
        let mut seen = std::collections::HashSet::new();
        let decisions = self.decisions.lock().unwrap();
        decisions.iter().filter(|decision| seen.insert(decision.decision_id.clone())).cloned().collect()
    }

    /// The units that the log says were sold, in sequence order.
    pub(crate) fn sold_by_log(&self) -> Vec<Sold> {
        let mut sold: Vec<Sold> = self
            .logged()
            .into_iter()
            .filter(|decision| decision.outcome == Outcome::Accepted)
            .map(|decision| Sold {
                user: UserId::new(&decision.user_id).unwrap(),
                request_id: RequestId::new(&decision.request_id).unwrap(),
                receipt: Receipt {
                    sale_id: SaleId::new(&decision.sale_id).unwrap(),
                    sequence: decision.sequence.unwrap().try_into().unwrap(),
                    decided_at: decision.decided_at,
                },
            })
            .collect();
        sold.sort_by_key(|unit| unit.receipt.sequence);
        sold
    }

    pub(crate) async fn until_logged(&self, what: &str, done: impl Fn(&[PurchaseDecision]) -> bool) {
        wait_until(PATIENCE, what, async || done(&self.logged())).await;
    }
}

/// Sends one attempt.
pub(crate) async fn buy(edge: &Router, user: &str, key: Option<&str>, sku: &str) -> Answer {
    buy_with(edge, user, key, sku, None).await
}

/// Likewise, with a response to the challenge of the sale.
pub(crate) async fn buy_with(
    edge: &Router,
    user: &str,
    key: Option<&str>,
    sku: &str,
    response: Option<&str>,
) -> Answer {
    let mut request =
        Request::post("/api/v1/purchases").header("x-user-id", user).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    if let Some(response) = response {
        request = request.header("x-challenge-response", response);
    }
    send(edge, request.body(format!(r#"{{"sku":"{sku}"}}"#).into()).unwrap()).await
}

pub(crate) async fn send(edge: &Router, request: Request<Body>) -> Answer {
    let response = edge.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 100_000).await.unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: serde_json::from_slice(&body).unwrap() }
}

/// An edge without the limit a user, for tests of what lies behind it.
pub(crate) fn unlimited() -> Config {
    Config { user_interval_ms: 0, ..Config::default() }
}
