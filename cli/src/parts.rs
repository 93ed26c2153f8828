//! Wires services into a process: connect, build, serve, and stop in the order that loses nothing.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use flashsale_challenge::Challenges;
use flashsale_identity::Shoppers;
use flashsale_ledger::{BorrowedDecision, Ledger, SaleView};
use flashsale_lua::HotState;
use flashsale_operations::{Operations, Pulse, Sampler, Trial, Watcher, WatcherConfig};
use flashsale_platform::{Health, Tracer, health, server, telemetry};
use flashsale_processor::{
    monitor::Listener,
    reconcile::{Reconciler, Repair},
};
use flashsale_schemas::events::ReconciliationTrigger;
use flashsale_sql::Store;
use secrecy::ExposeSecret;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::settings::Settings;

/// How long a process waits for what it needs at its start; its supervisor may restart it then.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// How long background parts may take to stop.
const STOP_MAX: Duration = Duration::from_secs(25);

/// Which services run in this process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parts {
    pub(crate) ingest: bool,
    pub(crate) processor: bool,
    pub(crate) sink_postgres: bool,
    pub(crate) sink_sse: bool,
    pub(crate) api: bool,
}

impl Parts {
    /// Everything, for `up`.
    pub(crate) const ALL: Self = Self { ingest: true, processor: true, sink_postgres: true, sink_sse: true, api: true };

    /// The settings without which these parts cannot start.
    pub(crate) fn required(self) -> Vec<&'static str> {
        let mut keys = vec!["brokers"];
        if self.ingest || self.processor || self.api {
            keys.push("redis_url");
        }
        if self.sink_postgres || self.api || self.processor {
            keys.push("database_url");
        }
        if self.api {
            keys.push("admin_key");
        }
        if self.ingest || self.api {
            keys.push("identity");
        }
        keys
    }
}

/// Opens the log as `settings` say.
pub(crate) async fn open_ledger(settings: &Settings) -> anyhow::Result<Ledger> {
    let client_id = if settings.instance.is_empty() { "flashsale" } else { &settings.instance };
    let mut config = flashsale_ledger::Config::new(&settings.brokers, client_id);
    config.streaming.security = settings.kafka.clone();
    config.topic_prefix.clone_from(&settings.topic_prefix);
    let linger = Duration::from_millis(settings.producer_linger_ms);
    (config.producer.linger, config.refusals.linger) = (linger, linger);
    config.registry_url = Some(settings.schema_registry_url.clone()).filter(|url| !url.is_empty());
    if let Some(url) = &config.registry_url {
        // An address that is none will not become one by waiting.
        flashsale_schemas::Registry::connect(url)?;
    }
    let is_final = |error: &flashsale_ledger::Error| match error {
        flashsale_ledger::Error::Streaming(error) => error.is_final(),
        flashsale_ledger::Error::Registry { .. } => false,
    };
    connect("the schema registry", is_final, || Ledger::open(config.clone())).await
}

/// Connects to Redis.
pub(crate) async fn open_hot_state(settings: &Settings) -> anyhow::Result<HotState> {
    let mut config = flashsale_lua::Config::new(settings.redis_url.expose_secret());
    config.key_prefix.clone_from(&settings.redis_prefix);
    config.ca_file = (!settings.redis_ca_file.is_empty()).then(|| PathBuf::from(&settings.redis_ca_file));
    connect("Redis", flashsale_lua::Error::is_final, || HotState::connect(&config)).await
}

/// Connects to Postgres.
pub(crate) async fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    let mut config = flashsale_sql::Config::new(settings.database_url.expose_secret());
    config.pool_max = settings.sink.pool_max;
    connect("Postgres", flashsale_sql::Error::is_final, || Store::connect(&config)).await
}

/// Tries until it works, with growing pauses, up to [`CONNECT_MAX`]; not when the error is final.
async fn connect<T, E, F>(what: &str, is_final: fn(&E) -> bool, open: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let began = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match open().await {
            Ok(opened) => return Ok(opened),
            Err(error) if is_final(&error) => return Err(error).with_context(|| format!("cannot use {what}")),
            Err(error) if began.elapsed() >= CONNECT_MAX => {
                return Err(error).with_context(|| format!("cannot reach {what} after {CONNECT_MAX:?}"));
            }
            Err(error) => {
                tracing::warn!(error = ?anyhow::Error::new(error), "waiting for {what}");
                tokio::time::sleep(flashsale_streaming::jittered(pause)).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

struct Built {
    routes: Router,
    health: health::Builder,
    tasks: JoinSet<anyhow::Result<()>>,
    /// Stops HTTP: no new requests, and the end of every stream.
    stop_http: CancellationToken,
    /// Stops everything in the background, after HTTP has stopped.
    stop: CancellationToken,
    /// Is told of spans until the last part has stopped.
    tracer: Tracer,
    /// Tells shoppers apart, for the parts that serve them.
    shoppers: Shoppers,
}

/// Runs `parts` until `shutdown`. `ready` is called once the process answers.
pub(crate) async fn run(
    settings: &Settings,
    parts: Parts,
    listener: TcpListener,
    shutdown: CancellationToken,
    ready: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    telemetry::init_metrics(shutdown.clone());
    flashsale_ingest::describe_metrics();
    flashsale_identity::describe_metrics();
    flashsale_api::describe_metrics();
    flashsale_processor::describe_metrics();
    flashsale_sinks::describe_metrics();
    flashsale_streaming::describe_metrics();
    flashsale_operations::describe_metrics();
    let built = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        built = build(settings, parts) => built?,
    };
    let Built { routes, health, mut tasks, stop_http, stop, tracer, shoppers: _ } = built;
    let health = health.build();
    let routes = server::finish(routes.merge(health.routes()), &settings.http, settings.trusted_proxies()?);
    let grace = Duration::from_millis(settings.shutdown_grace_ms);
    let mut http = tokio::spawn(server::serve(listener, routes, settings.http.clone(), stop_http.clone(), grace));

    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = async { ready().await?; std::future::pending::<anyhow::Result<()>>().await } => ended,
        served = &mut http => served.context("the HTTP server"),
        Some(ended) = tasks.join_next() => match ended {
            Ok(Ok(())) => Err(anyhow::anyhow!("a service stopped by itself")),
            Ok(Err(error)) => Err(error),
            Err(panic) => Err(anyhow::Error::new(panic).context("a service panicked")),
        },
    };
    // First no new requests, then the answers under way, then what they left behind.
    health.drain();
    if ended.is_ok() {
        tokio::time::sleep(Duration::from_millis(settings.drain_delay_ms)).await;
    }
    stop_http.cancel();
    if !http.is_finished() {
        http.await.context("the HTTP server")?;
    }
    stop.cancel();
    let stopped = tokio::time::timeout(STOP_MAX, async { while tasks.join_next().await.is_some() {} }).await;
    if stopped.is_err() {
        tracing::warn!("background parts did not stop within {STOP_MAX:?}");
    }
    tracer.shutdown().await;
    ended
}

async fn build(settings: &Settings, parts: Parts) -> anyhow::Result<Built> {
    let ledger = open_ledger(settings).await?;
    let mut built = Built {
        routes: Router::new(),
        health: with_log(Health::builder(), &ledger),
        tasks: JoinSet::new(),
        stop_http: CancellationToken::new(),
        stop: CancellationToken::new(),
        tracer: if parts.ingest || parts.sink_postgres {
            Tracer::new(&settings.tracing, &settings.instance)?
        } else {
            Tracer::off()
        },
        shoppers: if parts.ingest || parts.api { Shoppers::new(&settings.identity)? } else { Shoppers::from_header() },
    };
    let (shoppers, stop) = (built.shoppers.clone(), built.stop.clone());
    built.tasks.spawn(async move {
        shoppers.run(stop).await;
        Ok(())
    });
    let mut view = None;
    if parts.api || parts.sink_sse {
        let sales = ledger.sales_by_status("sales", |_, _| {}).await?;
        built.health = with_sales(built.health, &sales);
        view = Some(sales);
    }
    if let (Some(view), true) = (&view, parts.sink_sse) {
        add_streams(&mut built, settings, view.clone())?;
    }
    if parts.ingest || parts.processor || parts.api {
        let hot = open_hot_state(settings).await?;
        let check = hot.clone();
        built.health = built.health.dependency("redis", move || {
            let hot = check.clone();
            async move { hot.ping().await.map_err(|error| format!("{:#}", anyhow::Error::new(error))) }
        });
        if parts.ingest {
            add_ingest(&mut built, settings, &hot, &ledger).await?;
        }
        // Where both are in one process the processor, which reads every decision anyway, tells the pulse of them.
        let pulse = (parts.processor && parts.api).then(Pulse::told);
        if parts.processor {
            add_processor(&mut built, settings, &hot, &ledger, pulse.clone()).await?;
        }
        if let (Some(view), true) = (view, parts.api) {
            add_api(&mut built, settings, hot, &ledger, (view, pulse)).await?;
        }
    }
    if parts.sink_postgres {
        let store = open_store(settings).await?;
        built.health = with_store(built.health, &store);
        add_sink(&mut built, settings, store, &ledger);
    }
    Ok(built)
}

async fn add_ingest(built: &mut Built, settings: &Settings, hot: &HotState, ledger: &Ledger) -> anyhow::Result<()> {
    let catalogue = ledger.sales_by_events("ingest").await?;
    let (config, tracer) = (settings.ingest.clone(), built.tracer.clone());
    let challenges = Challenges::new(&settings.challenge)?;
    let (hot, ledger, shoppers) = (hot.clone(), ledger.clone(), built.shoppers.clone());
    let service = flashsale_ingest::Service::new(config, hot, ledger, catalogue, tracer, challenges, shoppers);
    built.routes = std::mem::take(&mut built.routes).merge(service.routes());
    let probe = service.clone();
    built.health = std::mem::take(&mut built.health).readiness("decision", move || {
        let probe = probe.clone();
        async move { probe.ready().await }
    });
    let stop = built.stop.clone();
    built.tasks.spawn(async move {
        service.run(stop).await;
        Ok(())
    });
    Ok(())
}

/// The pulse is told by the monitor.
struct Telling(Pulse);

impl Listener for Telling {
    fn decision(&self, decision: &BorrowedDecision<'_>, written_ms: i64) {
        self.0.take(decision, written_ms);
    }

    fn caught_up(&self) {
        self.0.begin();
    }
}

async fn add_processor(
    built: &mut Built,
    settings: &Settings,
    hot: &HotState,
    ledger: &Ledger,
    pulse: Option<Pulse>,
) -> anyhow::Result<()> {
    let store = open_store(settings).await?;
    built.health = with_store(std::mem::take(&mut built.health), &store);
    let (config, instance) = (&settings.processor, &settings.instance);
    let mut service = flashsale_processor::Service::new(config, hot, ledger, Some(&store), instance);
    if let Some(pulse) = pulse {
        service = service.telling(Arc::new(Telling(pulse)));
    }
    let fence = hot.clone();
    built.health = std::mem::take(&mut built.health).readiness("fence", move || {
        let fence = fence.clone();
        async move { fence.check_open().await.map_err(|error| error.to_string()) }
    });
    let stop = built.stop.clone();
    built.tasks.spawn(async move { service.run(stop).await.context("the processor") });
    Ok(())
}

async fn add_api(
    built: &mut Built,
    settings: &Settings,
    hot: HotState,
    ledger: &Ledger,
    (view, pulse): (SaleView, Option<Pulse>),
) -> anyhow::Result<()> {
    let store = open_store(settings).await?;
    built.health = with_store(std::mem::take(&mut built.health), &store);
    let tools = add_tools(built, settings, &hot, &store, (ledger, pulse)).await?;
    let shoppers = built.shoppers.clone();
    let service = flashsale_api::Service::new(&settings.api(), hot, store, ledger.clone(), view, tools, shoppers)?;
    built.routes = std::mem::take(&mut built.routes)
        .merge(service.routes())
        .merge(flashsale_api::page_routes())
        .merge(flashsale_api::docs_routes(document()))
        .merge(flashsale_schemas::registry::builtin::router(&settings.topic_prefix));
    let stop = built.stop.clone();
    built.tasks.spawn(async move {
        service.run(stop).await;
        Ok(())
    });
    Ok(())
}

/// What operators work with: the parts that know of each other only here.
async fn add_tools(
    built: &mut Built,
    settings: &Settings,
    hot: &HotState,
    store: &Store,
    (ledger, pulse): (&Ledger, Option<Pulse>),
) -> anyhow::Result<flashsale_api::Tools> {
    let operations = Operations::open(ledger.clone(), Some(store.clone())).await?;
    let config = WatcherConfig::default();
    let judged = (config.window, config.settled);
    let sampler = Sampler::new(ledger.clone(), Some(store.clone()), operations.orders().clone(), judged)?;
    let window = config.window;
    let (watcher, consumers) = Watcher::new(config, sampler, operations.clone());
    let stop = built.stop.clone();
    built.tasks.spawn(async move {
        watcher.run(stop).await;
        Ok(())
    });
    let pulse = match pulse {
        Some(told) => told,
        None => Pulse::start(ledger).await?,
    };
    let reconciler = Reconciler::new(hot.clone(), ledger.clone(), store.clone(), settings.processor.recover.clone());
    let stop = built.stop.clone();
    let reconcile: flashsale_api::Reconcile = Arc::new(move |skus, repair| {
        let (reconciler, stop) = (reconciler.clone(), stop.clone());
        Box::pin(async move {
            let repair = if repair { Repair::All } else { Repair::Nothing };
            let findings = reconciler.run(skus, repair, ReconciliationTrigger::Demand, &stop).await?;
            Ok(findings.first().map(|finding| finding.run_id.clone()))
        })
    });
    let trial = trial(ledger).await?;
    Ok(flashsale_api::Tools::new(operations, (consumers, window), pulse, trial, reconcile))
}

/// What the Postgres sink makes of a record.
pub(crate) async fn trial(ledger: &Ledger) -> anyhow::Result<Trial> {
    Ok(Arc::new(flashsale_sinks::postgres::stage(ledger.decoder().await?)))
}

fn add_sink(built: &mut Built, settings: &Settings, store: Store, ledger: &Ledger) {
    let mut config = flashsale_sinks::postgres::Config::new(&settings.topic_prefix);
    config.batch_max = settings.sink.batch_max;
    config.linger = Duration::from_millis(settings.sink.linger_ms);
    config.instance.clone_from(&settings.instance);
    let service = flashsale_sinks::postgres::Service::new(config, store, ledger.clone(), built.tracer.clone());
    let joined = service.has_joined();
    built.health = std::mem::take(&mut built.health).readiness("postgres sink", move || {
        let joined = joined();
        async move { if joined { Ok(()) } else { Err("the consumer group has not given it partitions yet".to_owned()) } }
    });
    let stop = built.stop.clone();
    built.tasks.spawn(async move { service.run(stop).await.context("the Postgres sink") });
}

fn add_streams(built: &mut Built, settings: &Settings, view: SaleView) -> anyhow::Result<()> {
    let (config, proxies) = (settings.sse.clone(), settings.trusted_proxies()?);
    let service = flashsale_sinks::sse::Service::new(config, view, proxies, built.stop_http.clone());
    built.routes = std::mem::take(&mut built.routes).merge(service.routes());
    let stop = built.stop.clone();
    built.tasks.spawn(async move {
        service.run(stop).await;
        Ok(())
    });
    Ok(())
}

/// The OpenAPI document of all services together.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let mut document = flashsale_api::openapi();
    document.merge(flashsale_ingest::openapi());
    document.merge(flashsale_sinks::sse::openapi());
    document
}

fn with_sales(health: health::Builder, view: &SaleView) -> health::Builder {
    let view = view.clone();
    health.readiness("sales", move || {
        let caught_up = view.is_caught_up();
        async move { if caught_up { Ok(()) } else { Err("the table of sales is not read yet".to_owned()) } }
    })
}

fn with_store(health: health::Builder, store: &Store) -> health::Builder {
    let store = store.clone();
    health.dependency("postgresql", move || {
        let store = store.clone();
        async move { store.ping().await.map_err(|error| format!("{:#}", anyhow::Error::new(error))) }
    })
}

fn with_log(health: health::Builder, ledger: &Ledger) -> health::Builder {
    let producer = ledger.producer().clone();
    health.dependency("log", move || {
        let producer = producer.clone();
        async move {
            let asked = tokio::task::spawn_blocking(move || producer.ping(Duration::from_secs(1))).await;
            match asked {
                Ok(result) => result.map_err(|error| format!("{:#}", anyhow::Error::new(error))),
                Err(error) => Err(error.to_string()),
            }
        }
    })
}
