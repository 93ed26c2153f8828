//! The real nginx with the files of deploy/nginx, in front of real services.

mod front;

use std::{
    collections::HashSet,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::Method;
use flashsale_localstack::{Fault, FaultProxy};
use flashsale_testkit::wait_until;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use self::front::{Front, Upstreams, refusals};
use crate::{
    http::{Answer, Http},
    process::{ADMIN_KEY, Installation, PATIENCE, Service},
};

/// What a test that looks at nginx alone gives it.
const NOBODY: Upstreams<'static> = Upstreams { ingest: ["127.0.0.1:9"; 2], api: "127.0.0.1:9", streams: "127.0.0.1:9" };

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_an_address_gets_its_share_and_no_more() {
    let shop = Installation::new().await;
    let api = shop.start(&["api"]).await;
    let front = Front::start(&Upstreams { api: &api.url, ..NOBODY }).await;

    // What a stranger writes into X-Forwarded-For makes it nobody else.
    let began = Instant::now();
    let forged = |n: usize| format!("X-Forwarded-For: 203.0.113.{n}\r\n");
    let answers = front.pipelined([127, 0, 0, 2], "/nowhere", 200, forged).await;
    let (served, refused) = (answers.matches("HTTP/1.1 404").count(), refusals(&answers));
    let share = 12 + usize::try_from(began.elapsed().as_millis() / 10).unwrap();
    assert!((11..=share).contains(&served) && served + refused.len() == 200, "{served} of {share}");
    let (head, body) = refused.first().expect("200 at once are too many");
    for line in ["content-type: application/json", "retry-after: 1", "cache-control: no-store", "x-correlation-id: "] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert_eq!((&body["success"], &body["error"]["code"]), (&json!(false), &json!("RATE_LIMITED")));
    assert_eq!(body["error"]["retryAfter"], 1);
    wait_until(PATIENCE, "the address to be served again", async || {
        front.pipelined([127, 0, 0, 2], "/nowhere", 1, forged).await.contains("HTTP/1.1 404")
    })
    .await;

    // A proxy that is trusted speaks for many; of IPv6 a network of 64 bits is one.
    let many = |n: usize| format!("X-Forwarded-For: 198.51.100.{n}\r\n");
    assert_eq!(front.pipelined([127, 0, 0, 1], "/nowhere", 200, many).await.matches("HTTP/1.1 404").count(), 200);
    let networks = |n: usize| format!("X-Forwarded-For: 2001:db8:2:{n:x}::1\r\n");
    assert_eq!(front.pipelined([127, 0, 0, 1], "/nowhere", 200, networks).await.matches("HTTP/1.1 404").count(), 200);
    let household = |n: usize| format!("X-Forwarded-For: 2001:db8:1:1:{n:x}::1\r\n");
    assert!(!refusals(&front.pipelined([127, 0, 0, 1], "/nowhere", 200, household).await).is_empty());

    // nginx asks for the body once a request has its place.
    let mut places = Vec::new();
    for _ in 0..5 {
        places.push(front.attempt_without_a_body([127, 0, 0, 3]).await.unwrap());
    }
    let (head, body) = front.attempt_without_a_body([127, 0, 0, 3]).await.unwrap_err();
    assert!(head.starts_with("http/1.1 429") && body["error"]["code"] == "RATE_LIMITED", "{head}");
    places.pop();
    wait_until(PATIENCE, "the place of who left", async || {
        front.attempt_without_a_body([127, 0, 0, 3]).await.map(drop)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_what_is_not_for_shoppers_stops_at_nginx() {
    let (front, http) = (Front::start(&NOBODY).await, Http::new());
    let ask = async |method: Method, path: &str, from: &str, body: Option<Value>| {
        let headers = [("x-forwarded-for", from), ("x-correlation-id", "mine-1"), ("x-admin-key", ADMIN_KEY)];
        let answer = http.send(method, &format!("{}{path}", front.url), &headers, body).await.unwrap();
        assert_eq!((header(&answer, "x-correlation-id"), &answer.body["success"]), ("mine-1", &json!(false)), "{path}");
        assert_eq!(header(&answer, "content-type"), "application/json", "{path}");
        (answer.status, answer.code().to_owned(), header(&answer, "retry-after").to_owned())
    };
    let expect = |status: u16, code: &str, retry_after: &str| (status, code.to_owned(), retry_after.to_owned());
    for path in ["/metrics", "//metrics", "/%6Detrics", "/health/live", "/health/ready", "/subjects", "/schemas/types"]
        .into_iter()
        .chain(["/config", "/mode", "/-/error", "/-/purchases/again"])
    {
        assert_eq!(ask(Method::GET, path, "10.0.0.9", None).await, expect(404, "NOT_FOUND", ""), "{path}");
    }
    // Operators get to the api, which is not there.
    let operators = ["/ops", "/health", "/api/docs/", "/api/openapi.json", "/api/v1/ops/topics", "/api/v1/products"];
    for (n, path) in operators.into_iter().enumerate() {
        let stranger = format!("203.0.113.{n}");
        assert_eq!(ask(Method::GET, path, &stranger, None).await, expect(403, "FORBIDDEN", ""), "{path}");
        let operator = format!("10.0.1.{n}");
        assert_eq!(ask(Method::GET, path, &operator, None).await, expect(503, "SERVICE_UNAVAILABLE", "1"), "{path}");
    }
    let (large, purchases) = (json!("x".repeat(5_000)), "/api/v1/purchases");
    let refused = ask(Method::POST, purchases, "203.0.114.1", Some(large.clone())).await;
    assert_eq!(refused, expect(413, "PAYLOAD_TOO_LARGE", ""));
    let taken = ask(Method::POST, "/api/v1/products", "10.0.0.10", Some(large)).await;
    assert_eq!(taken, expect(503, "SERVICE_UNAVAILABLE", "1"), "operators may send more");
    let gone = ask(Method::POST, purchases, "203.0.114.2", Some(json!({ "sku": "A" }))).await;
    assert_eq!(gone, expect(503, "SERVICE_UNAVAILABLE", "1"), "not 502, which clients do not know");
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_12_the_status_is_asked_for_once_a_second_and_outlives_the_api() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let api = shop.start(&["api"]).await;
    let line = FaultProxy::start(api.url.trim_start_matches("http://").parse().unwrap()).unwrap();
    let front = Front::start(&Upstreams { api: &line.address().to_string(), ..NOBODY }).await;
    shop.sale(&api, "CACHED", 10, -1_000).await;

    // Everybody at once, and an api that takes its time: one asks, the others wait for its answer.
    line.set(Fault::Latency { delay: Duration::from_millis(200), jitter: Duration::ZERO });
    let asking: Vec<_> = (0..200).map(|_| tokio::spawn(front.get("/api/v1/catalogue", &[]))).collect();
    for answer in asking {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let asked = front.asked("GET /api/v1/catalogue ", 200).await;
    assert!((1..=3).contains(&asked), "200 shoppers cost the api {asked} requests");
    line.heal();

    let status = "/api/v1/sales?sku=CACHED";
    wait_until(PATIENCE, "the sale", async || front.get(status, &[]).await.status == 200).await;
    // Whoever asks: what a shopper sends along makes no other answer.
    let hit = wait_until(PATIENCE, "an answer that was kept", async || {
        let answer = front.get(status, &[("cookie", "a=b"), ("x-correlation-id", "mine-2")]).await;
        if header(&answer, "x-cache-status") == "HIT" { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert_eq!(header(&hit, "x-correlation-id"), "mine-2");
    assert_eq!(header(&hit, "cache-control"), "public, max-age=1");
    let changed = wait_until(PATIENCE, "the next answer", async || {
        let answer = front.get(status, &[]).await;
        let is_new = answer.status == 200 && answer.body["data"]["serverTime"] != hit.body["data"]["serverTime"];
        is_new.then_some(answer)
    })
    .await;
    assert_eq!(changed.body["data"]["stock"], 10);
    let unchanged = front.get(status, &[("if-none-match", header(&changed, "etag"))]).await;
    assert_eq!((unchanged.status, header(&unchanged, "etag")), (304, header(&changed, "etag")));
    let odd = front.get("/api/v1/sales?sku=CACHED&sku=OTHER", &[]).await;
    assert_eq!((odd.status, header(&odd, "x-cache-status")), (404, "BYPASS"), "read by the api alone");

    drop(api);
    let stale = wait_until(PATIENCE, "the api to be missed", async || {
        let answer = front.get(status, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (header(&answer, "x-cache-status") == "STALE").then_some(answer)
    })
    .await;
    assert_eq!(stale.body["data"]["sku"], "CACHED");
    let other = front.get("/api/v1/purchases?sku=CACHED", &[("x-user-id", "u")]).await;
    assert_eq!((other.status, header(&other, "retry-after"), other.code()), (503, "1", "SERVICE_UNAVAILABLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_11_a_stream_comes_through_at_once_and_leaves_its_address_room_to_buy() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let api = shop.start(&["api"]).await;
    let believing = [("FLASHSALE_TRUSTED_PROXIES", "127.0.0.1")];
    let (sink, edge) = tokio::join!(shop.start_with(&["sink", "sse"], &believing), shop.start(&["ingest"]));
    let front = Front::start(&Upstreams { ingest: [&edge.url; 2], api: &api.url, streams: &sink.url }).await;
    shop.sale(&api, "LIVE", 10, -1_000).await;

    let (shopper, mut streams) = ([127, 0, 0, 4], Vec::new());
    let mut first = wait_until(PATIENCE, "a stream", async || front.stream(shopper, "LIVE", 0).await).await;
    for text in ["content-type: text/event-stream", "cache-control: no-store", "event: initial"] {
        first.until(text).await;
    }
    for n in 1..5 {
        streams.push(front.stream(shopper, "LIVE", n).await.unwrap());
    }
    let (head, body) = front.stream(shopper, "LIVE", 5).await.expect_err("five are open");
    assert!(head.starts_with("http/1.1 429"), "{head}");
    assert_eq!(body["error"]["retryAfter"], 1, "by nginx: the sink says 5");

    // The page behind the stream can still buy, and sees it.
    let bought = wait_until(PATIENCE, "a unit", async || {
        let answer = front.buy_from(shopper, "LIVE", "alice").await;
        if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(answer) }
    })
    .await;
    let head = bought.to_lowercase();
    assert!(head.contains("cache-control: no-store") && !head.contains("x-cache-status"), "{bought}");
    first.until("event: stock-update").await;
    first.until(r#""stock":9"#).await;
    streams.pop();
    wait_until(PATIENCE, "the place of who left", async || front.stream(shopper, "LIVE", 6).await.map(drop)).await;
}

/// Purchases that each ingest has answered.
async fn answered(shop: &Installation, edges: &[&Service]) -> Vec<u64> {
    let mut answered = Vec::new();
    for edge in edges {
        let metrics = shop.http.get(&format!("{}/metrics", edge.url)).await.unwrap();
        let lines = metrics.body.as_str().unwrap_or_default().lines();
        let counts = lines.filter(|line| line.starts_with("flashsale_ingest_answers_total{"));
        answered.push(counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum());
    }
    answered
}

/// Buys for each of these shoppers and returns how many of their attempts came to each ingest.
async fn shared(shop: &Installation, front: &Front, edges: &[&Service], shoppers: &[&[(&str, &str)]]) -> Vec<u64> {
    let before = answered(shop, edges).await;
    for shopper in shoppers {
        front.buy("CROWD", shopper).await;
    }
    let after = answered(shop, edges).await;
    let shared: Vec<u64> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
    assert_eq!(shared.iter().sum::<u64>(), shoppers.len() as u64, "{before:?} {after:?}");
    shared
}

async fn each_has_one_home(shop: &Installation, front: &Front, edges: &[&Service]) {
    let mut homes = HashSet::new();
    for n in 0..30 {
        let user = format!("user-{n}");
        let shopper: &[(&str, &str)] = &[("x-user-id", &user)];
        let shared = shared(shop, front, edges, &[shopper; 3]).await;
        assert!(shared.contains(&3), "{user} came to both: {shared:?}");
        homes.insert(shared[0]);
    }
    assert_eq!(homes.len(), 2, "shoppers are spread over both");
    let users: Vec<String> = (0..10).map(|n| format!("guest-{n}")).collect();
    let session = |user| [("x-user-id", user), ("authorization", "Bearer one-and-the-same")];
    let guests: Vec<[(&str, &str); 2]> = users.iter().map(|user| session(user.as_str())).collect();
    let guests: Vec<&[(&str, &str)]> = guests.iter().map(|guest| guest.as_slice()).collect();
    let shared = shared(shop, front, edges, &guests).await;
    assert!(shared.contains(&10), "a session came to both: {shared:?}");
}

/// Shoppers who come one after the other, several at once, until they are told to stop.
struct Crowd {
    stop: Arc<AtomicBool>,
    told: Arc<AtomicUsize>,
    answers: Arc<Mutex<Vec<Answer>>>,
    queues: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    fn come(front: &Arc<Front>, sku: &'static str) -> Self {
        let (stop, told) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let answers = Arc::<Mutex<Vec<Answer>>>::default();
        let queues = (0..8).map(|queue| {
            let (front, stop, told, answers) = (front.clone(), stop.clone(), told.clone(), answers.clone());
            tokio::spawn(async move {
                for n in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("shopper-{queue}-{n}");
                    let answer = front.buy(sku, &[("x-user-id", &name), ("idempotency-key", &name)]).await;
                    answers.lock().unwrap().push(answer);
                    told.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        Self { queues: queues.collect(), stop, told, answers }
    }

    async fn until_told(&self, more: usize) {
        let enough = self.told.load(Ordering::Relaxed) + more;
        wait_until(PATIENCE, "shoppers to be told", async || {
            let told = self.told.load(Ordering::Relaxed);
            if told >= enough { Ok(()) } else { Err((told, enough)) }
        })
        .await;
    }

    /// The answers so far, each given once.
    fn answers(&self) -> Vec<Answer> {
        std::mem::take(&mut self.answers.lock().unwrap())
    }

    async fn leave(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        for queue in self.queues {
            queue.await.unwrap();
        }
        std::mem::take(&mut self.answers.lock().unwrap())
    }
}

/// An answer without a receipt.
fn unsold(answers: &[Answer]) -> Option<&Answer> {
    answers.iter().find(|answer| !matches!(answer.status, 200 | 202) || answer.purchase_no().is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_4_pr_7_a_shopper_has_one_ingest_and_its_death_is_not_seen() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let api = shop.start(&["api"]).await;
    let hasty = [("FLASHSALE_INGEST__USER_INTERVAL_MS", "0")];
    let (one, other) = tokio::join!(shop.start_with(&["ingest"], &hasty), shop.start_with(&["ingest"], &hasty));
    let upstreams = Upstreams { ingest: [&one.url, &other.url], api: &api.url, streams: NOBODY.streams };
    let front = Arc::new(Front::start(&upstreams).await);
    shop.sale(&api, "CROWD", 1_000_000, -1_000).await;
    for edge in [&one, &other] {
        wait_until(PATIENCE, "the edge to know the sale", async || {
            let probe = shop.http.buy(&edge.url, "probe", None, "CROWD").await.unwrap();
            if probe.status == 200 { Ok(()) } else { Err(probe) }
        })
        .await;
    }
    each_has_one_home(&shop, &front, &[&one, &other]).await;
    // By its method the same path is another service's; the challenge is the ingest's as well.
    front.get("/api/v1/purchases?sku=CROWD", &[("x-user-id", "user-0")]).await;
    front.get("/api/v1/purchases/challenge?sku=CROWD", &[("x-user-id", "user-0")]).await;
    assert!(api.url.ends_with(&front.asked_whom("GET /api/v1/purchases?sku").await));
    let asked = front.asked_whom("GET /api/v1/purchases/challenge").await;
    assert!([&one, &other].iter().any(|edge| edge.url.ends_with(&asked)), "{asked}");

    let port = one.url.rsplit(':').next().unwrap().parse().unwrap();
    let crowd = Crowd::come(&front, "CROWD");
    crowd.until_told(100).await;
    drop(one);
    crowd.until_told(300).await;
    let mut answers = crowd.answers();
    assert!(unsold(&answers).is_none(), "{:?}", unsold(&answers));

    // The next one may say 503 until it has read the sales.
    let one = shop.launch_at(port, &["ingest"], &hasty);
    wait_until(PATIENCE, "shoppers to come back to it", async || {
        let ready = shop.http.get(&format!("{}/health/ready", one.url)).await;
        ready.is_ok_and(|answer| answer.status == 200) && answered(&shop, &[&one]).await[0] > 0
    })
    .await;
    let is_early = |answer: &Answer| answer.status == 503 && !header(answer, "retry-after").is_empty();
    answers.extend(crowd.leave().await.into_iter().filter(|answer| !is_early(answer)));
    assert!(unsold(&answers).is_none(), "{:?}", unsold(&answers));
    let receipts: HashSet<&str> = answers.iter().map(Answer::purchase_no).collect();
    assert_eq!(receipts.len(), answers.len(), "each has a receipt of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn pr_7_only_an_attempt_with_a_key_is_made_again() {
    // Takes requests whole, and dies before it answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, attempts) = (listener.local_addr().unwrap().to_string(), Arc::<AtomicUsize>::default());
    let made = attempts.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"}") && connection.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
            made.fetch_add(1, Ordering::Relaxed);
            drop(connection.shutdown().await);
        }
    });
    let front = Front::start(&Upstreams { ingest: [&address; 2], ..NOBODY }).await;
    let answer = front.buy("A", &[("x-user-id", "u")]).await;
    assert_eq!((answer.status, attempts.swap(0, Ordering::Relaxed)), (503, 1), "it may have been decided");
    let answer = front.buy("A", &[("x-user-id", "u"), ("idempotency-key", "k")]).await;
    assert_eq!((answer.status, attempts.load(Ordering::Relaxed)), (503, 2), "the same attempt, once more");
}

#[test]
fn every_file_is_read_without_a_word_of_complaint() {
    let rendered = front::render(&NOBODY);
    rendered.check();
    let read = |name: &str| fs::read_to_string(rendered.folder().join(name)).unwrap();
    let texts = ["nginx.conf", "conf.d/server.conf", "conf.d/routes.conf"].map(read).concat();
    for piece in fs::read_dir(rendered.folder().join("conf.d")).unwrap() {
        let name = piece.unwrap().file_name().into_string().unwrap();
        let is_included = texts.contains(&format!("include conf.d/{name};"));
        assert!(is_included || name == "server-tls.conf", "{name} is read by nobody");
    }
    rendered.end_tls();
    rendered.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_tls_of_today_and_a_browser_that_remembers() {
    let rendered = front::render(&NOBODY);
    rendered.end_tls();
    let front = rendered.run().await;
    for version in ["-tls1_2", "-tls1_3"] {
        let answer = front.over_tls(version, "/metrics");
        assert!(answer.starts_with("HTTP/1.1 404"), "{version}: {answer}");
        assert!(answer.contains("Strict-Transport-Security: max-age=31536000"), "{version}: {answer}");
    }
    let redirect = front.pipelined([127, 0, 0, 2], "/a?b=c", 1, |_| String::new()).await;
    assert!(redirect.starts_with("HTTP/1.1 308") && redirect.contains("Location: https://test/a?b=c"), "{redirect}");
}
