//! T-4..6: every endpoint, with valid and invalid input, on a real Redis, Postgres and Kafka.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall say so")]

mod openapi;
mod ops;
mod page;
mod products;
mod products_half_done;
mod purchases;
mod sales;

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request},
};
use flashsale_api::{Config, Reconcile, Service, Tools};
use flashsale_core::{Attempt, Challenge, Micros, Receipt, RequestId, SaleConfig, SaleId, SaleStatus, Sku, UserId};
use flashsale_identity::Shoppers;
use flashsale_ledger::{Ledger, SaleView};
use flashsale_lua::HotState;
use flashsale_operations::{Operations, Pulse, Sampler, Trial, Watcher, WatcherConfig};
use flashsale_platform::{TrustedProxies, server};
use flashsale_sql::Store;
use flashsale_streaming::{Delivery, Outcome, Rejection};
use flashsale_testkit::unique;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const ADMIN_KEY: &str = "sesame-open-sesame";
const PATIENCE: Duration = Duration::from_secs(20);

/// Routes as a process serves them.
fn finish(routes: Router) -> Router {
    let finished = server::finish(routes, &server::Config::default(), TrustedProxies::default());
    Router::new().fallback_service(finished)
}

/// The service on servers that other tests use too, under names of its own.
#[derive(Clone)]
struct App {
    router: Router,
    hot: HotState,
    store: Store,
    ledger: Ledger,
    view: SaleView,
    tools: Tools,
}

/// What differs from a service on which everything works.
struct Setup {
    redis: String,
    database: String,
    allow_delete: bool,
    topics: bool,
}

impl Setup {
    async fn new() -> Self {
        let database = flashsale_testkit::database().await;
        let store = Store::connect(&flashsale_sql::Config::new(&database)).await.expect("Postgres answers");
        store.migrate().await.expect("the schema can be made");
        Self { redis: flashsale_testkit::redis().await.to_owned(), database, allow_delete: true, topics: true }
    }

    async fn start(self) -> App {
        let mut redis = flashsale_lua::Config::new(self.redis);
        redis.key_prefix = format!("{}:", unique("api"));
        redis.response_timeout = Duration::from_secs(10);
        let hot = HotState::connect(&redis).await.expect("Redis answers");
        hot.open_new("test").await.expect("nobody recovers");
        let mut database = flashsale_sql::Config::new(self.database);
        database.acquire_timeout = Duration::from_secs(5);
        let store = Store::lazy(&database).expect("an address");
        let mut log = flashsale_ledger::Config::new(flashsale_testkit::kafka().await, "api-test");
        log.topic_prefix = format!("{}.", unique("api"));
        let ledger = Ledger::open(log).await.expect("Kafka answers");
        if self.topics {
            ledger.create_topics(1).await.expect("topics can be made");
        }
        let view = ledger.sales_by_status("api", |_, _| ()).await.expect("a view");
        if self.topics {
            view.caught_up().await;
            let events = ledger.sales_by_events("stand-in").await.expect("a view");
            events.caught_up().await;
            tokio::spawn(stand_in(ledger.clone(), events));
        }
        let tools = tools(&ledger, &store).await;
        let app = App { router: Router::new(), hot, store, ledger, view, tools };
        app.rebuilt(self.allow_delete)
    }
}

/// What operators work with, without the services that the command line adds: no letter is of any use to a consumer
/// that is not there, and nothing is compared.
async fn tools(ledger: &Ledger, store: &Store) -> Tools {
    let operations = Operations::open(ledger.clone(), Some(store.clone())).await.expect("operations");
    let window = Duration::from_secs(30);
    let judged = (window, Duration::from_secs(1));
    let sampler = Sampler::new(ledger.clone(), Some(store.clone()), operations.orders().clone(), judged);
    let config = WatcherConfig { every: Duration::from_millis(300), ..WatcherConfig::default() };
    let (watcher, consumers) = Watcher::new(config, sampler.expect("a client"), operations.clone());
    tokio::spawn(watcher.run(CancellationToken::new()));
    let pulse = Pulse::start(ledger).await.expect("a view");
    let trial: Trial = Arc::new(|_| Outcome::Reject(Rejection::new("stand_in", "no consumer runs here")));
    let reconcile: Reconcile = Arc::new(|_, _| Box::pin(async { Ok(None) }));
    Tools::new(operations, (consumers, window), pulse, trial, reconcile)
}

/// Stands in for the processor: what the events say becomes the status.
async fn stand_in(ledger: Ledger, events: SaleView) {
    let mut changes = events.changes();
    let mut told: HashMap<Sku, SaleStatus> = HashMap::new();
    while changes.changed().await.is_ok() {
        let delivery = Delivery::begin();
        let sales: HashMap<Sku, SaleStatus> =
            events.all().iter().map(|sale| (sale.config.sku.clone(), sale.as_ref().clone())).collect();
        for sale in sales.values().filter(|sale| told.get(&sale.config.sku) != Some(sale)) {
            ledger.send_status(&delivery, sale);
        }
        for gone in told.values().filter(|sale| !sales.contains_key(&sale.config.sku)) {
            ledger.send_tombstone(&delivery, &gone.config.sku, &gone.config.sale_id);
        }
        told = sales;
        delivery.seal();
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    fn code(&self) -> &str {
        assert_eq!(self.body["success"], false, "{self:?}");
        assert!(self.body["error"]["message"].as_str().is_some_and(|message| message.len() > 5), "{self:?}");
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The fields of a 400 with what is wrong with each.
    fn fields(&self) -> &Value {
        assert_eq!((self.status, self.code()), (400, "VALIDATION_ERROR"), "{self:?}");
        &self.body["error"]["fields"]
    }

    fn data(&self, status: u16) -> &Value {
        assert_eq!((self.status, &self.body["success"]), (status, &json!(true)), "{self:?}");
        &self.body["data"]
    }

    /// A failure that tells nothing about the inside.
    fn assert_unavailable(&self) {
        assert_eq!((self.status, self.code()), (503, "SERVICE_UNAVAILABLE"), "{self:?}");
        assert_eq!(self.header("retry-after"), "1");
        assert_eq!(self.header("cache-control"), "no-store");
        let text = self.body.to_string().to_lowercase();
        assert!(!["redis", "postgres", "kafka", "sale"].iter().any(|inside| text.contains(inside)), "{text}");
    }
}

impl App {
    async fn start() -> Self {
        Setup::new().await.start().await
    }

    /// The same parts behind new routes.
    fn rebuilt(self, allow_delete: bool) -> Self {
        let config = Config { admin_key: ADMIN_KEY.into(), admin_keys_file: None, allow_delete, has_captcha: false };
        let Self { hot, store, ledger, view, tools, .. } = self.clone();
        let service = Service::new(&config, hot, store, ledger, view, tools, Shoppers::from_header()).expect("a key");
        Self { router: finish(service.routes()), ..self }
    }

    /// As if Postgres were down: nothing listens there.
    fn without_postgres(self) -> Self {
        let store = Store::lazy(&flashsale_sql::Config::new("postgres://nobody@127.0.0.1:1/none")).expect("an address");
        Self { store, ..self }.rebuilt(true)
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") };
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
        self.send(request.body(Body::empty()).expect("a request")).await
    }

    /// As an administrator; without a body when there is none.
    async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-admin-key", ADMIN_KEY);
        let request = match body {
            None => request.body(Body::empty()),
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        };
        self.send(request.expect("a request")).await
    }

    async fn create(&self, product: &Value) -> Answer {
        self.admin(Method::POST, "/api/v1/products", Some(product)).await
    }

    async fn now(&self) -> Micros {
        self.hot.now().await.expect("Redis tells the time")
    }

    /// A valid product, with times in seconds from now.
    async fn product(&self, sku: &str, start_in: i64, end_in: i64) -> Value {
        let now = self.now().await.as_millis();
        let at = |seconds: i64| Micros::from_millis(now + seconds * 1_000).to_string();
        let (start, end) = (at(start_in), at(end_in));
        json!({"sku": sku, "productName": "A phone ☎", "initialStock": 5, "startTime": start, "endTime": end})
    }

    /// Sells a unit in Redis, where the log does not hear of it.
    async fn sell(&self, sku: &Sku, user: &str) -> Receipt {
        let sale = self.hot.snapshot(sku).await.expect("Redis answers").expect("a sale").sale_id;
        let attempt = Attempt { user: UserId::new(user).unwrap(), request_id: RequestId::new("r").unwrap() };
        let batch = self.hot.decide(sku, &sale, "i", &[attempt]).await.expect("Redis decides");
        batch.decided[0].decision.outcome.receipt().expect("sold").clone()
    }

    /// Puts a status into the log, and waits until the service shows it.
    async fn tell(&self, status: &SaleStatus) {
        let delivery = Delivery::begin();
        self.ledger.send_status(&delivery, status);
        delivery.seal();
        delivery.wait().await.expect("the log takes it");
        let shown = |seen: Option<&SaleStatus>| seen.is_some_and(|seen| !status.is_news_to(seen));
        assert!(self.view.wait_for(&status.config.sku, PATIENCE, shown).await);
    }
}

fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

/// A sale of five units on a day in November.
fn config(sku_text: &str, chance: u64) -> SaleConfig {
    SaleConfig {
        sale_id: SaleId::generate(Micros::from_millis(1_795_435_200_000), chance),
        sku: sku(sku_text),
        product_name: "A phone ☎".into(),
        initial_stock: 5,
        start: Micros::from_millis(1_795_435_200_000),
        end: Micros::from_millis(1_795_438_800_500),
        challenge: Challenge::None,
    }
}
