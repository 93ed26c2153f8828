//! What a process turns away before any service hears of it: the settings `http.*`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use axum::http::Method;
use flashsale_testkit::wait_until;

use crate::{
    http::Answer,
    process::{Installation, PATIENCE, Service},
};

const SOON: Duration = Duration::from_millis(400);
const CONNECTIONS_MAX: usize = 40;
/// A shop whose pages come from elsewhere.
const ORIGIN: &str = "https://shop.example";

struct Edge {
    shop: Installation,
    service: Service,
}

impl Edge {
    /// An ingest that is reached through a proxy on this machine. That it may not decide yet is no matter here.
    async fn launch(settings: &[(&str, &str)]) -> Self {
        let shop = Installation::new().await;
        let service = shop.launch(&["ingest"], settings);
        let live = format!("{}/health/live", service.url);
        wait_until(PATIENCE, "the process to answer", async || {
            shop.http.get(&live).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        Self { shop, service }
    }

    /// Asks as a client whom the proxy names.
    async fn ask(&self, method: Method, path: &str, client: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = [headers, &[("x-forwarded-for", client)]].concat();
        self.shop.http.send(method, &format!("{}{path}", self.service.url), &headers, None).await.unwrap()
    }

    async fn refused(&self, reason: &str) -> f64 {
        let metrics = self.shop.http.get(&format!("{}/metrics", self.service.url)).await.unwrap();
        let series = format!("flashsale_http_refused_total{{reason=\"{reason}\"}} ");
        let value = metrics.body.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&series)).unwrap();
        value.parse().unwrap()
    }
}

/// What comes until the server closes, after `bytes` were sent.
fn talk(server: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "still open");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_slow_clients_and_too_many_are_turned_away() {
    let (soon, connections) = (SOON.as_millis().to_string(), CONNECTIONS_MAX.to_string());
    let edge = Edge::launch(&[
        ("FLASHSALE_HTTP__HEAD_TIMEOUT_MS", soon.as_str()),
        ("FLASHSALE_HTTP__BODY_TIMEOUT_MS", soon.as_str()),
        ("FLASHSALE_HTTP__CONNECTIONS_MAX", connections.as_str()),
    ])
    .await;
    let server = edge.service.address();
    let began = Instant::now();
    assert_eq!(talk(server, "POST /api/v1/purchases HTTP/1.1\r\nhost: shop\r\nx-user-id: slo"), "");
    let late = talk(
        server,
        "POST /api/v1/purchases HTTP/1.1\r\nhost: shop\r\nx-user-id: slow\r\ncontent-type: application/json\r\n\
         content-length: 15\r\n\r\n{\"sku\":",
    );
    assert!(late.starts_with("HTTP/1.1 408") && late.contains("\"REQUEST_TIMEOUT\""), "{late}");
    assert!(began.elapsed() >= 2 * SOON, "after {:?}", began.elapsed());

    let idle: Vec<TcpStream> = (0..CONNECTIONS_MAX).map(|_| TcpStream::connect(server).unwrap()).collect();
    let told = talk(server, "GET /health/live HTTP/1.1\r\nhost: shop\r\n\r\n");
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("\"SERVICE_UNAVAILABLE\""), "{told}");
    assert!(told.contains("\r\nretry-after: ") && told.contains("\r\nx-correlation-id: "), "{told}");
    drop(idle);
    wait_until(PATIENCE, "the places to be free again", async || {
        edge.shop.http.get(&format!("{}/health/live", edge.service.url)).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    assert_eq!((edge.refused("late_head").await, edge.refused("late_body").await), (1.0, 1.0));
    assert!(edge.refused("connection").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_addresses_and_origins_are_limited_as_the_settings_say() {
    let edge = Edge::launch(&[
        ("FLASHSALE_TRUSTED_PROXIES", "127.0.0.1"),
        ("FLASHSALE_HTTP__IP_REQUESTS_PER_SECOND", "1"),
        ("FLASHSALE_HTTP__IP_BURST", "5"),
        ("FLASHSALE_HTTP__CORS_ORIGINS", ORIGIN),
    ])
    .await;
    let (greedy, modest) = ("203.0.113.7", "203.0.113.8");
    let mut statuses = Vec::new();
    for _ in 0..30 {
        let answer = edge.ask(Method::GET, "/nowhere", greedy, &[]).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            assert_eq!(answer.code(), "RATE_LIMITED");
            let wait = answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
            assert_eq!(answer.body["error"]["retryAfter"], wait);
            assert!(wait >= 1);
        }
    }
    assert!(statuses[..5].iter().all(|status| *status == 404), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(edge.ask(Method::GET, "/health/live", greedy, &[]).await.status, 200, "whoever watches is not counted");
    assert!(edge.refused("address").await >= 1.0);

    for (origin, allowed) in [(ORIGIN, Some(ORIGIN)), ("https://evil.example", None)] {
        let asked = [("origin", origin), ("access-control-request-method", "POST")];
        let preflight = edge.ask(Method::OPTIONS, "/api/v1/purchases", modest, &asked).await;
        let of = |answer: &Answer| answer.headers.get("access-control-allow-origin").cloned();
        assert_eq!(of(&preflight), allowed.map(|origin| origin.parse().unwrap()), "{origin}");
        let answer = edge.ask(Method::POST, "/api/v1/purchases", modest, &asked[..1]).await;
        assert!((400..500).contains(&answer.status), "refused by the service, not at the door: {}", answer.status);
        assert_eq!(of(&answer), allowed.map(|origin| origin.parse().unwrap()), "{origin}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers[name], value, "{name}");
        }
        assert!(answer.headers.contains_key("permissions-policy") && answer.headers.contains_key("x-correlation-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_no_origin_is_let_in_and_no_address_is_counted() {
    let edge = Edge::launch(&[]).await;
    for _ in 0..200 {
        let asked = [("origin", ORIGIN)];
        let answer = edge.ask(Method::GET, "/nowhere", "203.0.113.7", &asked).await;
        assert_eq!(answer.status, 404);
        let opened = answer.headers.keys().find(|name| name.as_str().starts_with("access-control"));
        assert_eq!(opened, None);
        assert_eq!(answer.headers["cross-origin-resource-policy"], "same-origin");
    }
}
