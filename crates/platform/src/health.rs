//! `/health`, `/health/live`, `/health/ready` and `/metrics`.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::telemetry;

/// A check may take this long; after it the thing checked is down.
const CHECK_MAX: Duration = Duration::from_secs(2);
/// What was found is told again for this long: however many ask, the stores are asked this often.
const REMEMBERED: Duration = Duration::from_millis(250);

type Checking = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> Checking + Send + Sync>;

struct Inner {
    started: Instant,
    draining: AtomicBool,
    checks: Checks,
    ready: Checks,
}

/// Whether all is up, and each check's report.
type Found = (bool, Map<String, Value>);

/// Checks, and what they found last.
struct Checks {
    checks: Vec<(&'static str, Check)>,
    found: Mutex<Option<(Instant, Found)>>,
}

impl Checks {
    fn new(checks: Vec<(&'static str, Check)>) -> Self {
        Self { checks, found: Mutex::new(None) }
    }

    /// Who asks while others do waits for their answer.
    async fn run(&self) -> Found {
        let mut last = self.found.lock().await;
        if let Some((at, found)) = last.as_ref()
            && at.elapsed() < REMEMBERED
        {
            return found.clone();
        }
        let found = run(&self.checks).await;
        *last = Some((Instant::now(), found.clone()));
        found
    }
}

/// Collects the checks of the parts that run in a process.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("draining", &self.inner.draining).finish_non_exhaustive()
    }
}

/// Builds a [`Health`].
#[derive(Default)]
pub struct Builder {
    checks: Vec<(&'static str, Check)>,
    ready: Vec<(&'static str, Check)>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

fn boxed<F, R>(check: F) -> Check
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), String>> + Send + 'static,
{
    Arc::new(move || Box::pin(check()))
}

impl Builder {
    /// Adds a dependency shown under `/health`.
    #[must_use]
    pub fn dependency<F, R>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, boxed(check)));
        self
    }

    /// Adds something without which this process must get no traffic.
    #[must_use]
    pub fn readiness<F, R>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.ready.push((name, boxed(check)));
        self
    }

    /// All checks together.
    pub fn build(self) -> Health {
        let Self { checks, ready } = self;
        let inner = Inner {
            started: Instant::now(),
            draining: AtomicBool::new(false),
            checks: Checks::new(checks),
            ready: Checks::new(ready),
        };
        Health { inner: Arc::new(inner) }
    }
}

impl Health {
    /// Starts collecting.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// From now on this process is not ready, so that load balancers look elsewhere.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Release);
    }

    /// The routes.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/health", get(health))
            .route("/health/live", get(|| async { Json(json!({ "status": "live" })) }))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }
}

async fn run(checks: &[(&'static str, Check)]) -> Found {
    let results = join_all(checks.iter().map(|(name, check)| async move {
        let began = Instant::now();
        let result = match tokio::time::timeout(CHECK_MAX, check()).await {
            Ok(result) => result,
            Err(_) => Err("timeout".to_owned()),
        };
        (*name, result, began.elapsed())
    }));
    let (mut all_up, mut report) = (true, Map::new());
    for (name, result, took) in results.await {
        if let Err(error) = &result {
            // The reason is for the log; the answer is public and says only that it is down.
            tracing::info!(check = name, error, "health check failed");
        }
        all_up &= result.is_ok();
        let status = if result.is_ok() { "up" } else { "down" };
        let millis = (took.as_secs_f64() * 100_000.0).round() / 100.0;
        report.insert(name.to_owned(), json!({ "status": status, "latencyMs": millis }));
    }
    (all_up, report)
}

fn status(up: bool) -> StatusCode {
    if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn health(State(health): State<Health>) -> Response {
    let (up, checks) = health.inner.checks.run().await;
    let uptime = health.inner.started.elapsed().as_secs();
    let word = if up { "healthy" } else { "degraded" };
    (status(up), Json(json!({ "status": word, "uptime": uptime, "checks": checks }))).into_response()
}

async fn ready(State(health): State<Health>) -> Response {
    if health.inner.draining.load(Ordering::Acquire) {
        return (status(false), Json(json!({ "status": "draining" }))).into_response();
    }
    let (up, checks) = health.inner.ready.run().await;
    let word = if up { "ready" } else { "not ready" };
    (status(up), Json(json!({ "status": word, "checks": checks }))).into_response()
}

async fn metrics() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], telemetry::render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn nf_10_however_many_ask_the_stores_are_asked_once_in_a_while() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counting = asked.clone();
        let health = Health::builder().dependency("redis", move || {
            let before = counting.fetch_add(1, Ordering::Relaxed);
            async move { if before == 0 { Ok(()) } else { Err("down".to_owned()) } }
        });
        let routes = health.build().routes();
        let ask = async || {
            let request = Request::get("/health").body(Body::empty()).unwrap();
            routes.clone().oneshot(request).await.unwrap().status().as_u16()
        };
        let began = Instant::now();
        let answers = join_all((0..200).map(|_| ask())).await;
        let asked = asked.load(Ordering::Relaxed);
        let most = 1 + usize::try_from(began.elapsed().as_millis() / REMEMBERED.as_millis()).unwrap();
        assert!((1..=most).contains(&asked), "{asked} times in {:?}", began.elapsed());
        assert_eq!(answers[0], 200);
        tokio::time::sleep(REMEMBERED).await;
        assert_eq!(ask().await, 503, "and it is not remembered for long");
    }
}
