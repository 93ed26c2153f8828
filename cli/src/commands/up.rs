//! `flashsale up`: everything on this machine, in one process, with the servers it needs.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use axum::http::{Method, StatusCode};
use clap::Args;
use flashsale_localstack::{self as local, Kind, Stack, Stage};
use flashsale_platform::{server, shutdown, telemetry};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    commands::{migrate, sale_times},
    parts::{self, Parts},
    settings::{LOCAL_ADMIN_KEY, Settings, Sources, redact_url},
    terminal::{USAGE, bold, dim, green, say},
};

/// Units of the demo sale.
const DEMO_STOCK: u64 = 100;
/// How long `down` waits for `up` to finish.
const DOWN_MAX: Duration = Duration::from_secs(60);

/// Where the local stack keeps its data.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataDir {
    /// Data, logs and ports of the local servers.
    #[arg(long, default_value = ".flashsale", env = "FLASHSALE_DATA_DIR", value_name = "FOLDER")]
    data_dir: PathBuf,
}

/// Starts everything.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    data: DataDir,
    /// Do not create a sale to try.
    #[arg(long)]
    no_demo: bool,
}

/// Deletes everything.
#[derive(Debug, Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    data: DataDir,
    /// Really do it.
    #[arg(long)]
    yes: bool,
}

impl Up {
    /// Runs until Ctrl-C, `flashsale down`, or the death of a server.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let mut settings = Settings::load(sources, true)?;
        settings.require(&["admin_key", "identity"])?;
        if std::env::var_os("RUST_LOG").is_none() && settings.log_filter.starts_with("info") {
            // A newcomer reads the steps below; what goes wrong is logged all the same.
            settings.log_filter = settings.log_filter.replacen("info", "warn", 1);
        }
        telemetry::init_logs(&settings.log_filter, settings.log_json);
        let shutdown = shutdown::on_signal()?;
        // Before the servers, so that a taken port is known at once.
        let listener = server::bind(&settings.http_address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        say(bold("Starting Flashsale"));
        let Some(stack) = self.start_servers(&mut settings, &shutdown).await? else {
            return Ok(ExitCode::SUCCESS);
        };
        let result = self.serve(&settings, listener, &url, shutdown.clone(), &stack).await;
        say("Stopping");
        tokio::task::spawn_blocking(move || {
            if let Some(stack) = stack.lock().unwrap_or_else(PoisonError::into_inner).take() {
                stack.stop();
            }
        })
        .await?;
        say(dim("Everything is stopped. The data stays; `make reset` deletes it."));
        result.map(|()| ExitCode::SUCCESS)
    }

    async fn serve(
        &self,
        settings: &Settings,
        listener: tokio::net::TcpListener,
        url: &str,
        shutdown: CancellationToken,
        stack: &SharedStack,
    ) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            applied = migrate::apply(settings) => applied?,
        }
        let stop = shutdown.child_token();
        let client = Client::new(url, settings.admin_key.expose_secret());
        let running = parts::run(settings, Parts::ALL, listener, stop.clone(), async || {
            // Only who has a key can create one.
            let wanted = !self.no_demo && !settings.admin_key.expose_secret().is_empty();
            let demo = demo_sale(&client, wanted).await?;
            welcome(url, settings, demo.as_deref());
            Ok(())
        });
        let mut running = std::pin::pin!(running);
        tokio::select! {
            ended = &mut running => ended,
            dead = watch(stack) => {
                stop.cancel();
                running.await?;
                Err(dead)
            }
        }
    }

    /// Starts the servers that the settings do not name; nothing when interrupted.
    async fn start_servers(
        &self,
        settings: &mut Settings,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Option<SharedStack>> {
        let wanted = [
            (Kind::Kafka, settings.brokers.is_empty()),
            (Kind::Redis, settings.redis_url.expose_secret().is_empty()),
            (Kind::Postgres, settings.database_url.expose_secret().is_empty()),
        ];
        let kinds: Vec<Kind> = wanted.into_iter().filter_map(|(kind, start)| start.then_some(kind)).collect();
        for (kind, _) in wanted.iter().filter(|(_, start)| !start) {
            say(format!("  {kind}: using the configured one"));
        }
        let config = local::Config::new(self.data.absolute()?);
        let starting = tokio::task::spawn_blocking(move || Stack::start(&config, &kinds, &progress));
        let stack = starting.await.context("start the servers")??;
        for kind in Kind::ALL {
            let Some(url) = stack.url(kind) else { continue };
            settings.use_local(kind, url);
        }
        if settings.replication < 0 && stack.url(Kind::Kafka).is_some() {
            settings.replication = 1;
        }
        if settings.processor.recover.in_flight_ms < 0 && kinds_started(&stack, &[Kind::Kafka, Kind::Redis]) {
            // Nobody but this process writes to servers that it started.
            settings.processor.recover.in_flight_ms = 0;
        }
        if shutdown.is_cancelled() {
            tokio::task::spawn_blocking(move || stack.stop()).await?;
            return Ok(None);
        }
        Ok(Some(Arc::new(Mutex::new(Some(stack)))))
    }
}

fn kinds_started(stack: &Stack, kinds: &[Kind]) -> bool {
    kinds.iter().all(|kind| stack.url(*kind).is_some())
}

type SharedStack = Arc<Mutex<Option<Stack>>>;

// By value: that is what the callback is given.
#[allow(clippy::needless_pass_by_value)]
fn progress(step: local::Step) {
    match step.stage {
        Stage::Preparing => say(format!("  {}: preparing {}", step.server, dim("(first start only)"))),
        Stage::MovedTo(folder) => say(format!("  {}: its data is in {}", step.server, folder.display())),
        Stage::Starting => {}
        Stage::Ready { url, took } => {
            let took = dim(&format!("({:.1} s)", took.as_secs_f64()));
            say(format!("{} {}: {url} {took}", green("✓"), step.server));
        }
    }
}

/// Returns when a server has died.
async fn watch(stack: &SharedStack) -> anyhow::Error {
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let stack = stack.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = stack.as_ref().map(Stack::check) {
            return error.into();
        }
    }
}

/// Waits until the installation is ready, then makes sure that there is a sale to try.
async fn demo_sale(client: &Client, wanted: bool) -> anyhow::Result<Option<String>> {
    let began = Instant::now();
    loop {
        // Readiness has no envelope; its status says all.
        if matches!(client.send(Method::GET, "/health/ready", None).await, Ok((StatusCode::OK, _))) {
            break;
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(60), "not ready after a minute; see the logs above");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, current) = client.send(Method::GET, "/api/v1/sales", None).await?;
    if status == StatusCode::OK && current["data"]["state"] != "ENDED" {
        return Ok(current["data"]["sku"].as_str().map(str::to_owned));
    }
    if !wanted {
        return Ok(None);
    }
    for number in 1.. {
        let sku = if number == 1 { "DEMO".to_owned() } else { format!("DEMO-{number}") };
        let time = |text| sale_times::parse(text).map_err(anyhow::Error::msg);
        let body = json!({
            "sku": sku, "productName": "Demo phone", "initialStock": DEMO_STOCK,
            "startTime": time("now")?, "endTime": time("+1d")?,
        });
        let (status, answer) = client.send(Method::POST, "/api/v1/products", Some(&body)).await?;
        match status {
            StatusCode::CREATED => return Ok(Some(sku)),
            StatusCode::CONFLICT => {}
            _ => anyhow::bail!("the demo sale was not created: {}", answer["error"]["message"]),
        }
    }
    Ok(None)
}

fn welcome(url: &str, settings: &Settings, demo: Option<&str>) {
    let key = match settings.admin_key.expose_secret() {
        LOCAL_ADMIN_KEY => LOCAL_ADMIN_KEY,
        _ => "as you set it",
    };
    say("");
    say(format!("{} {}", green("✓"), bold(&format!("Flashsale is running at {url}"))));
    say("");
    say(format!("  The shop, in a browser: {}", bold(&format!("{url}/"))));
    say(format!("  The operators' console: {}", bold(&format!("{url}/ops"))));
    if let Some(sku) = demo {
        say("  Buy a unit:");
        say(format!(
            "    curl -X POST {url}/api/v1/purchases -H 'X-User-Id: alice' -H 'Content-Type: application/json' -d '{{\"sku\":\"{sku}\"}}'"
        ));
        say("  See the sale, and the receipt:");
        say(format!("    curl '{url}/api/v1/sales?sku={sku}'"));
        say(format!("    curl '{url}/api/v1/purchases?sku={sku}' -H 'X-User-Id: alice'"));
        say("  The same purchase in Redis, in the log and in Postgres:");
        let urls = [&settings.redis_url, &settings.database_url];
        let [redis, database] = urls.map(|url| redact_url(url.expose_secret()));
        say(format!("    redis-cli -u {redis} HGETALL '{}sale:{{{sku}}}:buyers'", settings.redis_prefix));
        let program = std::env::args().next().unwrap_or_else(|| "flashsale".into());
        say(format!("    {program} replay purchase-decisions --brokers {}", settings.brokers));
        say(format!("    psql '{database}' -c 'select * from purchases'"));
    }
    say(format!("  API documentation:  {url}/api/docs"));
    say(format!("  Health and metrics: {url}/health  {url}/metrics"));
    say(format!("  Admin key:          {key}"));
    say("");
    say(dim("Ctrl-C stops everything; the data stays."));
}

impl DataDir {
    fn absolute(&self) -> anyhow::Result<PathBuf> {
        std::path::absolute(&self.data_dir).with_context(|| format!("{} is not a folder", self.data_dir.display()))
    }

    /// Stops the `up` that runs here.
    pub(crate) async fn stop(self) -> anyhow::Result<ExitCode> {
        let folder = self.absolute()?;
        let stopped = tokio::task::spawn_blocking(move || local::down(&folder, DOWN_MAX)).await??;
        match stopped {
            Some(pid) => say(format!("Stopped (process {pid}).")),
            None => say("Nothing is running here."),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Reset {
    /// Deletes the data, or says what would go.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let folder = self.data.absolute()?;
        if let Some(pid) = local::owner(&folder)? {
            anyhow::bail!("`flashsale up` is running here (process {pid}); stop it first with `make down`");
        }
        let folders = local::data_folders(&folder);
        if folders.is_empty() {
            say("There is nothing to delete.");
            return Ok(ExitCode::SUCCESS);
        }
        for folder in folders {
            if !self.yes {
                say(format!("Would delete {}", folder.display()));
                continue;
            }
            std::fs::remove_dir_all(&folder).with_context(|| format!("delete {}", folder.display()))?;
            say(format!("Deleted {}", folder.display()));
        }
        if self.yes {
            return Ok(ExitCode::SUCCESS);
        }
        say(
            "These hold all sales, purchases and logs of the local stack. Nothing was deleted; to do it: make reset YES=1",
        );
        Ok(ExitCode::from(USAGE))
    }
}
