//! One installation on the servers of the arena: its services as processes, its names, its stores.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use flashsale_core::{Challenge, Micros, SaleConfig, SaleId, Sku};
use flashsale_ledger::Ledger;
use flashsale_localstack::Kind;
use flashsale_lua::HotState;
use flashsale_sql::Store;
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{Arena, arena, client::Client};

const ADMIN_KEY: &str = "an-admin-key-for-drills";
/// How long a service may take to be ready; the first waits for the recovery.
const READY_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A service as a process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    child: Mutex<Child>,
    arguments: Vec<String>,
    more: Vec<(String, String)>,
    port: u16,
    pub(crate) url: String,
    log: PathBuf,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Service {
    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process id of its last start.
    pub(crate) fn pid(&self) -> u32 {
        self.child().id()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&self) {
        let mut child = self.child();
        drop(child.kill());
        drop(child.wait());
    }

    /// Any signal.
    pub(crate) fn signal(&self, signal: Signal) {
        arena::signal(self.pid(), signal);
    }

    /// Whether the process has ended, and how.
    pub(crate) fn ended(&self) -> Option<std::process::ExitStatus> {
        self.child().try_wait().ok().flatten()
    }

    /// Memory that it occupies, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells no VmRSS")?;
        Ok(line.trim_end_matches("kB").trim().parse()?)
    }

    /// The end of what it logged.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(15).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Everything it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// An installation with names of its own.
pub(crate) struct Installation {
    pub(crate) arena: Arc<Arena>,
    pub(crate) prefix: String,
    environment: Vec<(String, String)>,
    /// Postgres without its proxy, for breaking it from inside.
    pub(crate) database: String,
    pub(crate) client: Client,
    pub(crate) ledger: Ledger,
    pub(crate) hot: HotState,
    pub(crate) store: Store,
}

impl Installation {
    /// Migrated, without services.
    pub(crate) async fn new(arena: Arc<Arena>) -> Result<Self> {
        let prefix = format!("d{:08x}", uuid::Uuid::now_v7().as_u128() & 0xffff_ffff);
        let (through, direct) = arena.database(&prefix)?;
        let environment: Vec<(String, String)> = [
            ("FLASHSALE_BROKERS", arena.brokers()),
            ("FLASHSALE_REDIS_URL", arena.redis_url()),
            ("FLASHSALE_DATABASE_URL", through),
            ("FLASHSALE_TOPIC_PREFIX", format!("{prefix}.")),
            ("FLASHSALE_REDIS_PREFIX", format!("{prefix}:")),
            ("FLASHSALE_REPLICATION", "1".into()),
            ("FLASHSALE_ADMIN_KEY", ADMIN_KEY.into()),
            ("FLASHSALE_ALLOW_DELETE", "true".into()),
            // Shoppers of a drill retry faster than people.
            ("FLASHSALE_INGEST__USER_INTERVAL_MS", "0".into()),
            ("FLASHSALE_DRAIN_DELAY_MS", "0".into()),
            ("RUST_LOG", "info,rdkafka=off,librdkafka=off".into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let migrated = Command::new(&arena.binary).arg("migrate").envs(environment.clone()).output()?;
        ensure!(migrated.status.success(), "migrate: {}", String::from_utf8_lossy(&migrated.stderr));
        let mut log = flashsale_ledger::Config::new(arena.brokers(), "drill");
        log.topic_prefix = format!("{prefix}.");
        let mut hot = flashsale_lua::Config::new(arena.redis_url());
        hot.key_prefix = format!("{prefix}:");
        Ok(Self {
            environment,
            client: Client::new(),
            ledger: Ledger::open(log).await?,
            hot: HotState::connect(&hot).await?,
            store: Store::connect(&flashsale_sql::Config::new(&direct)).await?,
            database: direct,
            prefix,
            arena,
        })
    }

    /// Starts a service without waiting for it.
    pub(crate) fn spawn(&self, arguments: &[&str], more: &[(&str, &str)]) -> Result<Service> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let log = self.arena.scratch("logs")?.join(format!("{}-{port}-{}.log", self.prefix, arguments.join("-")));
        let more: Vec<(String, String)> =
            more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let child = self.launch(&arguments, port, &log, &more)?;
        let url = format!("http://127.0.0.1:{port}");
        Ok(Service { child: Mutex::new(child), arguments, more, port, url, log })
    }

    fn launch(&self, arguments: &[String], port: u16, log: &PathBuf, more: &[(String, String)]) -> Result<Child> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(&self.arena.binary);
        command
            .args(arguments)
            .envs(self.environment.clone())
            .env("FLASHSALE_HTTP_ADDRESS", format!("127.0.0.1:{port}"))
            .envs(more.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        command.spawn().with_context(|| format!("start {arguments:?}"))
    }

    /// Starts a service that was killed again, on its port.
    pub(crate) async fn restart(&self, service: &Service) -> Result<()> {
        service.kill();
        let child = self.launch(&service.arguments, service.port, &service.log, &service.more)?;
        *service.child() = child;
        self.ready(service).await
    }

    /// Waits until a service says that it is ready.
    pub(crate) async fn ready(&self, service: &Service) -> Result<()> {
        let url = format!("{}/health/ready", service.url);
        let began = Instant::now();
        loop {
            if self.client.get(&url).await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if let Some(status) = service.ended() {
                bail!("{:?} ended with {status}:\n{}", service.arguments, service.log_tail());
            }
            if began.elapsed() > READY_MAX {
                bail!("{:?} is not ready after {READY_MAX:?}:\n{}", service.arguments, service.log_tail());
            }
            sleep(POLL).await;
        }
    }

    /// Starts a service with more environment and waits until it is ready.
    pub(crate) async fn start_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Result<Service> {
        let service = self.spawn(arguments, more)?;
        self.ready(&service).await?;
        Ok(service)
    }

    /// Sets a sale up; it starts `start_in` ms from now and lasts `lasts` ms.
    pub(crate) async fn sale(
        &self,
        api: &Service,
        sku: &str,
        stock: u64,
        start_in: i64,
        lasts: i64,
    ) -> Result<SaleConfig> {
        let start = self.hot.now().await?.as_millis() + start_in;
        let body = json!({
            "sku": sku, "productName": "Phone", "initialStock": stock,
            "startTime": Micros::from_millis(start).to_string(),
            "endTime": Micros::from_millis(start + lasts).to_string(),
        });
        let url = format!("{}/api/v1/products", api.url);
        let headers = [("x-admin-key", ADMIN_KEY)];
        let created = self.client.send(Method::POST, &url, &headers, Some(&body), Duration::from_secs(10)).await?;
        ensure!(created.status == 201, "create the sale: {} {}", created.status, created.text);
        Ok(SaleConfig {
            sale_id: SaleId::new(created.body["data"]["saleId"].as_str().unwrap_or_default())?,
            sku: Sku::new(sku)?,
            product_name: "Phone".into(),
            initial_stock: stock,
            start: Micros::from_millis(start),
            end: Micros::from_millis(start + lasts),
            challenge: Challenge::None,
        })
    }

    /// An administrator's request.
    pub(crate) async fn admin(
        &self,
        api: &Service,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<crate::client::Answer> {
        let headers = [("x-admin-key", ADMIN_KEY)];
        self.client.send(method, &format!("{}{path}", api.url), &headers, body, Duration::from_secs(10)).await
    }

    /// Runs a tool of the binary; returns its exit code and what it printed.
    pub(crate) async fn tool(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let mut command = tokio::process::Command::new(&self.arena.binary);
        command.args(arguments).envs(self.environment.clone()).stdin(Stdio::null());
        let output = tokio::time::timeout(Duration::from_secs(120), command.output()).await??;
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Ok((output.status.code().unwrap_or(-1), text.into_owned()))
    }

    /// Runs SQL on the installation's database, past the proxy.
    pub(crate) async fn sql(&self, statement: &str) -> Result<String> {
        let (url, statement) = (self.database.clone(), statement.to_owned());
        Ok(tokio::task::spawn_blocking(move || flashsale_localstack::psql(&url, &statement)).await??)
    }

    /// A plain connection to Redis, past the proxy.
    pub(crate) async fn redis(&self) -> Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.arena.direct(Kind::Redis)?)?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// One value of the metrics of a service; the sum of all its series whose labels contain `labels`.
    pub(crate) async fn metric(&self, service: &Service, name: &str, labels: &str) -> Result<f64> {
        let text = self.client.get(&format!("{}/metrics", service.url)).await?.text;
        let mut sum = None;
        for line in text.lines().filter(|line| line.starts_with(name) && line.contains(labels)) {
            let rest = &line[name.len()..];
            if rest.starts_with(['{', ' '])
                && let Some(value) = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok())
            {
                *sum.get_or_insert(0.0) += value;
            }
        }
        sum.with_context(|| format!("{} shows no {name} {labels}", service.url))
    }
}

/// Waits until `seen` holds, at most `patience`.
pub(crate) async fn until(
    what: &str,
    patience: Duration,
    mut seen: impl AsyncFnMut() -> Result<bool>,
) -> Result<Duration> {
    let began = Instant::now();
    let mut last;
    loop {
        match seen().await {
            Ok(true) => return Ok(began.elapsed()),
            Ok(false) => last = String::from("not yet"),
            Err(error) => last = format!("{error:#}"),
        }
        if began.elapsed() > patience {
            bail!("{what}: not within {patience:?} (last: {last})");
        }
        sleep(POLL).await;
    }
}
