//! What stands around all routes.

use std::{
    any::Any,
    convert::Infallible,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use super::{
    config::{Config, origins},
    deadlines::Progress,
    metrics::Refused,
};
use crate::{
    client_ip::{TrustedProxies, counted},
    envelope::{ApiError, CORRELATION_ID, correlate},
    rate::RateLimit,
};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// What no page of ours asks for.
const NO_PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";
/// Lines that are added to an answer.
const HEADERS: usize = 9;
/// For an answer that is no page: shown as one, it loads nothing and stands in no frame.
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";
/// How long a browser may keep the answer to the question that it asks before a request of another origin.
const PREFLIGHT_MAX: Duration = Duration::from_secs(600);

/// Puts around all routes what every answer has: the envelope also for unknown routes, wrong methods
/// and panics, the correlation id, and headers that keep browsers careful. Counts requests by address, if it is to.
pub fn finish(routes: Router, config: &Config, proxies: TrustedProxies) -> Finished {
    let routes = routes
        .fallback(|method: Method, uri: Uri| async move {
            ApiError::not_found(format!("There is no {method} {}.", uri.path()))
        })
        .method_not_allowed_fallback(|method: Method| async move {
            let message = format!("{method} is not allowed here.");
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
        });
    let guard = Guard { addresses: limit(config), proxies };
    Finished { routes, around: Arc::new(Around { guard, cors: cors(config) }) }
}

/// All routes, with what stands around them. A clone shares everything.
///
/// What stands around them is plain code and no layers of the router: each of those would copy the route and put the
/// request on the heap, for every request.
#[derive(Debug, Clone)]
pub struct Finished {
    routes: Router,
    around: Arc<Around>,
}

#[derive(Debug)]
struct Around {
    guard: Guard,
    cors: Option<CorsLayer>,
}

impl Finished {
    /// Answers one request.
    pub async fn answer(&self, request: Request) -> Response {
        self.answer_within(request, None).await
    }

    /// The same for a request whose body is on its way, and may be late.
    ///
    /// What is known of a request is few things, each on the heap, in a table of three places that would have to grow
    /// for a fourth: who sent it, its id, and what the router takes from its path. So `progress` is none of them.
    pub(super) async fn answer_within(&self, mut request: Request, progress: Option<&Progress>) -> Response {
        let id = correlate(&mut request);
        let mut response = match &self.around.cors {
            None => self.watched(request, progress).await,
            Some(cors) => Box::pin(self.across_origins(cors.clone(), request, progress)).await,
        };
        harden(&mut response);
        response.headers_mut().insert(CORRELATION_ID, id.into_header());
        response
    }

    /// Refuses who asks too often; says so when the body did not come in time, whatever the route made of that.
    async fn watched(&self, request: Request, progress: Option<&Progress>) -> Response {
        if let Some(refusal) = self.around.guard.refuse(&request) {
            return refusal.into_response();
        }
        let answering = AssertUnwindSafe(self.routes.clone().call(request)).catch_unwind();
        let response = match answering.await {
            Ok(Ok(response)) => response,
            Err(panic) => panicked(panic.as_ref()),
        };
        if !progress.is_some_and(Progress::body_is_late) {
            return response;
        }
        let mut response = ApiError::request_timeout().into_response();
        // The rest of the body would be taken for the next request.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// The same where pages of other origins may read answers. Every OPTIONS is answered here and not by a route, and
    /// counts all the same.
    async fn across_origins(&self, cors: CorsLayer, request: Request, progress: Option<&Progress>) -> Response {
        let is_options = request.method() == Method::OPTIONS;
        if let Some(refusal) = is_options.then(|| self.around.guard.refuse(&request)).flatten() {
            return refusal.into_response();
        }
        let routes = service_fn(|request| async move { Ok::<_, Infallible>(self.watched(request, progress).await) });
        let Ok(response) = cors.layer(routes).oneshot(request).await;
        response
    }
}

/// For whoever drives it without a connection.
impl Service<Request> for Finished {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message, "a handler panicked");
    ApiError::internal().into_response()
}

fn limit(config: &Config) -> Option<RateLimit> {
    let interval = Duration::from_secs(1).checked_div(config.ip_requests_per_second)?;
    Some(RateLimit::new(interval, config.ip_burst, config.ips_max))
}

/// Lets pages of the named origins read answers; none when none is named.
fn cors(config: &Config) -> Option<CorsLayer> {
    // Whoever loaded the configuration has checked it; what cannot be read opens nothing.
    let origins = origins(&config.cors_origins).ok().filter(|origins| !origins.is_empty())?;
    let named = ["idempotency-key", "last-event-id", "x-admin-key", "x-challenge-response", "x-operator", "x-user-id"];
    let mut headers: Vec<HeaderName> = named.into_iter().map(HeaderName::from_static).collect();
    headers.extend([header::AUTHORIZATION, header::CONTENT_TYPE, CORRELATION_ID]);
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods(vec![Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(headers)
            .expose_headers([CORRELATION_ID, header::RETRY_AFTER])
            .max_age(PREFLIGHT_MAX),
    )
}

/// Who may ask.
#[derive(Debug)]
struct Guard {
    addresses: Option<RateLimit>,
    proxies: TrustedProxies,
}

impl Guard {
    /// Why a request is not let in.
    fn refuse(&self, request: &Request) -> Option<ApiError> {
        let addresses = self.addresses.as_ref()?;
        let path = request.uri().path();
        // Who watches this process must see it also when its own address asks too much.
        if path == "/metrics" || path == "/health" || path.starts_with("/health/") {
            return None;
        }
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        let client = counted(self.proxies.client(peer.ip(), request.headers()));
        let seconds = addresses.check(&client).err()?;
        Refused::Address.count();
        Some(ApiError::rate_limited(seconds))
    }
}

/// Adds the headers that keep browsers careful. HTTPS is not ours to demand: it ends in front of us.
pub(super) fn harden(response: &mut Response) {
    let headers = response.headers_mut();
    // These, and the few that a route sets: one table for all of them from the start.
    headers.reserve(HEADERS);
    let shared = headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    let resource_policy = if shared { "cross-origin" } else { "same-origin" };
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (PERMISSIONS_POLICY, NO_PERMISSIONS),
        (OPENER_POLICY, "same-origin"),
        (RESOURCE_POLICY, resource_policy),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, NO_CONTENT),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::HeaderMap,
        routing::get,
    };
    use serde_json::Value;

    use super::*;

    fn routes() -> Router {
        Router::new()
            .route("/ok", get(|| async { crate::success(StatusCode::OK, 1) }))
            .route("/health/ready", get(|| async { crate::success(StatusCode::OK, 1) }))
            .route("/metrics", get(|| async { crate::success(StatusCode::OK, 1) }))
            .route("/page", get(|| async { ([(header::CONTENT_SECURITY_POLICY, "default-src 'self'")], "page") }))
            .route("/panic", get(|| async { panic!("secret") as &'static str }))
    }

    async fn send(routes: &Finished, request: Request<Body>) -> (u16, HeaderMap, Value) {
        let (parts, body) = routes.answer(request).await.into_parts();
        let body = to_bytes(body, 10_000).await.unwrap();
        (parts.status.as_u16(), parts.headers, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn answer(request: Request<Body>) -> (u16, HeaderMap, Value) {
        send(&finish(routes(), &Config::default(), TrustedProxies::default()), request).await
    }

    fn get_request(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
        let request = axum::http::Request::get(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn pr_9_everything_answers_in_the_envelope() {
        let (status, _, body) = answer(get_request("/ok", &[])).await;
        assert_eq!((status, &body), (200, &serde_json::json!({"success": true, "data": 1})));
        for (request, status, code) in [
            (get_request("/nowhere", &[]), 404, "NOT_FOUND"),
            (axum::http::Request::post("/ok").body(Body::empty()).unwrap(), 405, "METHOD_NOT_ALLOWED"),
            (get_request("/panic", &[]), 500, "INTERNAL_ERROR"),
        ] {
            let (got, headers, body) = answer(request).await;
            assert_eq!((got, body["error"]["code"].as_str()), (status, Some(code)));
            assert_eq!(body["success"], false);
            assert!(!body.to_string().contains("secret"), "nothing about the inside");
            assert!(headers.contains_key("x-correlation-id"));
        }
    }

    #[tokio::test]
    async fn the_correlation_id_is_echoed_when_sane() {
        let id = async |value: &str| {
            let (_, headers, _) = answer(get_request("/ok", &[("x-correlation-id", value)])).await;
            headers["x-correlation-id"].to_str().unwrap().to_owned()
        };
        assert_eq!(id("abc-1.2_3").await, "abc-1.2_3");
        for insane in ["", "a b", "<script>"] {
            let made = id(insane).await;
            assert_eq!(uuid::Uuid::parse_str(&made).unwrap().get_version_num(), 7);
        }
    }

    #[tokio::test]
    async fn every_answer_has_the_strict_headers() {
        for path in ["/ok", "/nowhere", "/panic", "/page"] {
            let (_, headers, _) = answer(get_request(path, &[("origin", "https://shop.example")])).await;
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "no-referrer"),
                ("permissions-policy", NO_PERMISSIONS),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("content-security-policy", if path == "/page" { "default-src 'self'" } else { NO_CONTENT }),
            ] {
                assert_eq!(headers[name], value, "{path} {name}");
            }
            let name = headers.keys().find(|name| name.as_str().starts_with("access-control"));
            assert_eq!(name, None, "{path}: no other origin is let in unless it is named");
        }
    }

    #[tokio::test]
    async fn another_origin_reads_answers_only_when_it_is_named() {
        let config = Config { cors_origins: "https://shop.example,https://b.example".into(), ..Config::default() };
        let routes = finish(routes(), &config, TrustedProxies::default());
        let asked = [("origin", "https://shop.example"), ("access-control-request-method", "POST")];
        let mut preflight = get_request("/ok", &asked);
        *preflight.method_mut() = Method::OPTIONS;
        let (status, headers, _) = send(&routes, preflight).await;
        assert_eq!((status, &headers["access-control-allow-origin"]), (200, &"https://shop.example".parse().unwrap()));
        let allowed = headers["access-control-allow-headers"].to_str().unwrap();
        for name in ["x-user-id", "idempotency-key", "content-type", "authorization", "x-challenge-response"] {
            assert!(allowed.split(',').any(|one| one == name), "{name} in {allowed}");
        }
        assert_eq!(headers["permissions-policy"], NO_PERMISSIONS);

        let (_, headers, _) = send(&routes, get_request("/nowhere", &asked[..1])).await;
        assert_eq!(headers["access-control-allow-origin"], "https://shop.example");
        assert_eq!(headers["access-control-expose-headers"], "x-correlation-id,retry-after");
        assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
        assert_eq!(headers.get("access-control-allow-credentials"), None, "cookies say nothing here");

        for origin in ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"] {
            let (status, headers, _) = send(&routes, get_request("/ok", &[("origin", origin)])).await;
            assert_eq!((status, headers.get("access-control-allow-origin")), (200, None), "{origin}");
            assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        }
    }

    #[tokio::test]
    async fn nf_10_an_address_that_asks_too_often_is_told_when_to_come_back() {
        // So slow that a slow test sees no second try of the same address come due.
        let config = Config { ip_requests_per_second: 1, ip_burst: 300, ..Config::default() };
        let routes = finish(routes(), &config, "10.0.0.0/8".parse().unwrap());
        let from = |peer: &str, path: &str, forwarded: &str| {
            let mut request = get_request(path, &[("x-forwarded-for", forwarded)]);
            let peer: SocketAddr = format!("{peer}:4711").parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
            send(&routes, request)
        };
        for n in 0..300 {
            // A client that invents addresses is counted by its own.
            assert_eq!(from("203.0.113.7", "/ok", &format!("198.51.100.{}", n % 256)).await.0, 200, "{n}");
        }
        let mut refused = 0;
        for _ in 0..100 {
            let (status, headers, body) = from("203.0.113.7", "/nowhere", "").await;
            if status == 429 {
                refused += 1;
                assert_eq!(body["error"]["code"], "RATE_LIMITED");
                assert_eq!(headers["retry-after"], "1");
                assert!(headers.contains_key("x-correlation-id") && headers.contains_key("content-security-policy"));
            }
        }
        assert!(refused > 50, "{refused} of 100");
        for path in ["/health/ready", "/metrics"] {
            assert_eq!(from("203.0.113.7", path, "").await.0, 200, "{path} is for whoever watches");
        }
        assert_eq!(from("203.0.113.8", "/ok", "").await.0, 200, "others are not affected");
        assert_eq!(from("10.0.0.1", "/ok", "203.0.113.9").await.0, 200, "behind a proxy the client counts");
        let mut again = Vec::new();
        for _ in 0..5 {
            again.push(from("10.0.0.1", "/ok", "203.0.113.7").await.0);
        }
        assert!(again.contains(&429), "wherever it comes in: {again:?}");
    }

    #[tokio::test]
    async fn nf_10_preflights_count_as_one_request_each_and_so_do_requests_beside_them() {
        let cors_origins = "https://shop.example".into();
        let config = Config { ip_requests_per_second: 1, ip_burst: 4, cors_origins, ..Config::default() };
        let routes = finish(routes(), &config, TrustedProxies::default());
        let send = |method: Method| {
            let asked = [("origin", "https://shop.example"), ("access-control-request-method", "POST")];
            let mut request = get_request("/ok", &asked);
            *request.method_mut() = method;
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 7], 4711))));
            send(&routes, request)
        };
        for method in [Method::OPTIONS, Method::GET, Method::OPTIONS, Method::GET] {
            assert_eq!(send(method.clone()).await.0, 200, "{method}");
        }
        // The fifth; a slow test sees one more come due, but not three.
        let mut refused = Vec::new();
        for _ in 0..3 {
            refused.push(send(Method::OPTIONS).await.0);
        }
        assert!(refused.contains(&429), "{refused:?}");
    }
}
