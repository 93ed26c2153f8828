//! The services as processes.

use std::{
    fs::File,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use flashsale_core::{Micros, Receipt, RequestId, SaleId, SaleState, Sku, UserId, invariants::Sold};
use flashsale_ledger::Ledger;
use flashsale_lua::HotState;
use flashsale_schemas::{
    Topic,
    events::{Outcome, PurchaseDecision},
};
use flashsale_sql::Store;
use flashsale_streaming::{View, ViewConfig};
use flashsale_testkit::{unique, wait_until};
use serde_json::json;

use crate::http::Http;

pub(crate) const ADMIN_KEY: &str = "an-admin-key-for-tests";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn flashsale() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashsale"));
    command.env_remove("FLASHSALE_CONFIG").stdin(Stdio::null());
    command
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running service; killed when dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) url: String,
}

impl Service {
    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }

    /// Ends it in order, as a supervisor does.
    pub(crate) fn stop(mut self) {
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(asked.success(), "{asked}");
        let ended = tokio::task::block_in_place(|| self.child.wait()).unwrap();
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An installation with names of its own on the shared servers.
pub(crate) struct Installation {
    environment: Vec<(&'static str, String)>,
    database: String,
    pub(crate) http: Http,
    pub(crate) ledger: Ledger,
    pub(crate) hot: HotState,
    pub(crate) store: Store,
    decisions: Arc<Mutex<Vec<PurchaseDecision>>>,
    _view: View,
}

impl Installation {
    /// Migrated, without services.
    pub(crate) async fn new() -> Self {
        let prefix = unique("e2e");
        let (redis, kafka) = (flashsale_testkit::redis().await, flashsale_testkit::kafka().await);
        let database = flashsale_testkit::database().await;
        let environment = vec![
            ("FLASHSALE_BROKERS", kafka.to_owned()),
            ("FLASHSALE_REDIS_URL", redis.to_owned()),
            ("FLASHSALE_DATABASE_URL", database.clone()),
            ("FLASHSALE_TOPIC_PREFIX", format!("{prefix}.")),
            ("FLASHSALE_REDIS_PREFIX", format!("{prefix}:")),
            ("FLASHSALE_REPLICATION", "1".to_owned()),
            ("FLASHSALE_ADMIN_KEY", ADMIN_KEY.to_owned()),
            ("FLASHSALE_ALLOW_DELETE", "true".to_owned()),
            ("RUST_LOG", "warn,rdkafka=off,librdkafka=off".to_owned()),
        ];
        let migrated = flashsale().arg("migrate").envs(environment.clone()).output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));

        let mut log = flashsale_ledger::Config::new(kafka, "test");
        log.topic_prefix = format!("{prefix}.");
        let ledger = Ledger::open(log).await.unwrap();
        let mut hot = flashsale_lua::Config::new(redis);
        hot.key_prefix = format!("{prefix}:");
        let decisions = Arc::new(Mutex::new(Vec::new()));
        let decoder = ledger.decoder::<PurchaseDecision>().await.unwrap();
        let topics = vec![ledger.topic(Topic::PurchaseDecisions).to_owned()];
        let view = View::start(ledger.streaming(), ViewConfig { name: prefix, topics }, {
            let decisions = decisions.clone();
            move |record| {
                // A test may write what is no decision.
                if let Ok(decision) = decoder.decode(record.payload.as_deref().unwrap_or_default()) {
                    decisions.lock().unwrap().push(decision);
                }
            }
        });
        Self {
            environment,
            http: Http::new(),
            hot: HotState::connect(&hot).await.unwrap(),
            store: Store::connect(&flashsale_sql::Config::new(&database)).await.unwrap(),
            ledger,
            database,
            decisions,
            _view: view.unwrap(),
        }
    }

    /// What stands in front of its names, on the brokers with a dot behind it and in Redis with a colon.
    pub(crate) fn prefix(&self) -> &str {
        let (_, prefix) = self.environment.iter().find(|(name, _)| *name == "FLASHSALE_TOPIC_PREFIX").unwrap();
        prefix.trim_end_matches('.')
    }

    /// Runs a tool of the binary on this installation.
    pub(crate) fn tool(&self, arguments: &[&str]) -> std::process::Output {
        tokio::task::block_in_place(|| flashsale().args(arguments).envs(self.environment.clone()).output().unwrap())
    }

    /// Runs SQL behind everybody's back.
    pub(crate) fn psql(&self, statement: &str) {
        tokio::task::block_in_place(|| flashsale_localstack::psql(&self.database, statement).unwrap());
    }

    /// Starts one service and waits until it is ready.
    pub(crate) async fn start(&self, arguments: &[&str]) -> Service {
        self.start_with(arguments, &[]).await
    }

    /// The same with more environment.
    pub(crate) async fn start_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Service {
        let service = self.launch(arguments, more);
        self.until_ready(&service).await;
        service
    }

    /// Waits until a service is ready.
    pub(crate) async fn until_ready(&self, service: &Service) {
        let ready = format!("{}/health/ready", service.url);
        wait_until(PATIENCE, &format!("{ready} to say yes"), async || {
            self.http.get(&ready).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }

    /// Starts one service and waits for nothing.
    pub(crate) fn launch(&self, arguments: &[&str], more: &[(&str, &str)]) -> Service {
        self.launch_at(free_port(), arguments, more)
    }

    /// The same on a port of the caller's choice, such as that of one that was killed.
    pub(crate) fn launch_at(&self, port: u16, arguments: &[&str], more: &[(&str, &str)]) -> Service {
        let child = self.command(port, arguments, more).spawn().unwrap();
        Service { child, url: format!("http://127.0.0.1:{port}") }
    }

    /// Starts one service that writes all it says into a file, and waits for nothing.
    pub(crate) fn launch_into(&self, said: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Service {
        let (port, said) = (free_port(), File::create(said).unwrap());
        let mut command = self.command(port, arguments, more);
        let child = command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        Service { child, url: format!("http://127.0.0.1:{port}") }
    }

    fn command(&self, port: u16, arguments: &[&str], more: &[(&str, &str)]) -> Command {
        let mut command = flashsale();
        command
            .args(arguments)
            .envs(self.environment.clone())
            .envs(more.iter().copied())
            .env("FLASHSALE_HTTP_ADDRESS", format!("127.0.0.1:{port}"));
        command
    }

    /// Sets a sale up over HTTP; it starts in `start_in` ms and lasts an hour.
    pub(crate) async fn sale(&self, api: &Service, sku: &str, stock: u64, start_in: i64) -> (Sku, SaleId) {
        let now = self.hot.now().await.unwrap().as_millis() + start_in;
        let body = json!({
            "sku": sku, "productName": "Phone", "initialStock": stock,
            "startTime": Micros::from_millis(now).to_string(), "endTime": Micros::from_millis(now + 3_600_000).to_string(),
        });
        let url = format!("{}/api/v1/products", api.url);
        let created = self.http.send(axum::http::Method::POST, &url, &[("x-admin-key", ADMIN_KEY)], Some(body)).await;
        let created = created.unwrap();
        assert_eq!(created.status, 201, "{}", created.body);
        let sale = SaleId::new(created.body["data"]["saleId"].as_str().unwrap()).unwrap();
        (Sku::new(sku).unwrap(), sale)
    }

    /// The units that the log says were sold, each once, in sequence order.
    pub(crate) fn sold_by_log(&self, sale: &SaleId) -> Vec<Sold> {
        let decisions = self.decisions.lock().unwrap();
        let accepted = decisions.iter().filter(|d| d.outcome == Outcome::Accepted && d.sale_id == sale.as_str());
        let mut sold: Vec<Sold> = accepted
            .map(|decision| Sold {
                user: UserId::new(&decision.user_id).unwrap(),
                request_id: RequestId::new(&decision.request_id).unwrap(),
                receipt: Receipt {
                    sale_id: sale.clone(),
                    sequence: decision.sequence.unwrap().try_into().unwrap(),
                    decided_at: decision.decided_at,
                },
            })
            .collect();
        sold.sort_by_key(|unit| unit.receipt.sequence);
        sold.dedup();
        sold
    }

    /// How many decisions about the users of one run the log holds, repeats not counted.
    pub(crate) fn decided(&self, users: &str) -> usize {
        let decisions = self.decisions.lock().unwrap();
        let ids: std::collections::HashSet<&str> =
            decisions.iter().filter(|d| d.user_id.starts_with(users)).map(|d| d.decision_id.as_str()).collect();
        ids.len()
    }

    /// Waits until an edge has read of a sale that has not started, and then until its start.
    pub(crate) async fn until_start(&self, edges: &[Service], sku: &Sku) {
        let mut probes = 0;
        for edge in edges {
            wait_until(PATIENCE, "the edge to know the sale", async || {
                probes += 1;
                let probe = self.http.buy(&edge.url, &format!("probe-{probes}"), None, sku.as_str()).await.unwrap();
                probe.code() == "SALE_NOT_ACTIVE"
            })
            .await;
        }
        wait_until(PATIENCE, "the start", async || {
            self.hot.snapshot(sku).await.unwrap().is_some_and(|sale| sale.state == SaleState::Active)
        })
        .await;
    }
}
