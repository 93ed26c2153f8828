//! Clients that take their time, on real sockets.

use std::time::Instant;

use axum::{
    Router,
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::TrustedProxies;

/// Longer than anything below may take.
const PATIENCE: Duration = Duration::from_secs(20);
const SOON_MS: u64 = 200;

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Server {
    async fn start(config: Config) -> Self {
        let routes = Router::new()
            .route("/ok", get(|| async { crate::success(StatusCode::OK, "here") }))
            .route("/body", post(|body: String| async move { crate::success(StatusCode::OK, body) }))
            .route("/unread", post(|| async { crate::success(StatusCode::OK, "no matter") }))
            .route(
                "/stream",
                get(|| async {
                    let body = Body::from_stream(futures_util::stream::pending::<Result<&'static str, io::Error>>());
                    let mut response = body.into_response();
                    response.extensions_mut().insert(Detached);
                    response
                }),
            );
        let routes = finish(routes, &config, TrustedProxies::default());
        let listener = bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), shutdown: CancellationToken::new() };
        tokio::spawn(serve(listener, routes, config, server.shutdown.clone(), PATIENCE));
        server
    }

    /// A connection on which `bytes` were sent.
    async fn send(&self, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }
}

/// All that comes until the server closes; a reset is an end too.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "still open after {}", String::from_utf8_lossy(&bytes));
    String::from_utf8(bytes).unwrap()
}

/// One answer of a connection that goes on.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, async {
        // All bodies here end with the closing brace of the envelope, and no value has one.
        while !bytes.ends_with(b"}") {
            bytes.push(stream.read_u8().await.unwrap());
        }
    });
    read.await.unwrap();
    String::from_utf8(bytes).unwrap()
}

fn soon() -> Config {
    Config { head_timeout_ms: SOON_MS, body_timeout_ms: SOON_MS, ..Config::default() }
}

const ASK: &str = "GET /ok HTTP/1.1\r\nhost: here\r\n\r\n";

fn told(body: &str) -> String {
    format!("POST /body HTTP/1.1\r\nhost: here\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn nf_10_a_head_that_does_not_end_is_cut_off_and_an_idle_connection_is_not() {
    let server = Server::start(soon()).await;
    let mut idle = server.send("").await;
    let mut kept = server.send(ASK).await;
    assert!(answer(&mut kept).await.starts_with("HTTP/1.1 200"));
    let began = Instant::now();
    let mut slow = server.send("GET /ok HTTP/1.1\r\nhost: ").await;
    assert_eq!(rest(&mut slow).await, "", "cut off without a word");
    assert!(began.elapsed() >= Duration::from_millis(SOON_MS), "after {:?}", began.elapsed());
    for open in [&mut idle, &mut kept] {
        open.write_all(ASK.as_bytes()).await.unwrap();
        assert!(answer(open).await.contains("\"here\""), "it may wait for longer than a head may take");
    }
    kept.write_all(b"GET /ok HTTP/1.1\r\n").await.unwrap();
    assert_eq!(rest(&mut kept).await, "", "also the second head of a connection");
}

#[tokio::test]
async fn requests_in_pieces_and_several_at_once_are_answered() {
    let server = Server::start(Config::default()).await;
    let mut stream = server.send(&format!("{ASK}{}{ASK}GET /ok HT", told("{1"))).await;
    for part in ["\"here\"", "{1", "\"here\""] {
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(part), "{answer}");
    }
    stream.write_all(&ASK.as_bytes()["GET /ok HT".len()..]).await.unwrap();
    assert!(answer(&mut stream).await.contains("\"here\""));
    // A body that comes later than its head.
    let text = told("later");
    let (head, body) = text.split_at(text.len() - 3);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.contains("later"));
    // One that nobody waits for.
    stream.write_all(told("nobody").replace("/body", "/unread").as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.contains("no matter"));
    stream.write_all(ASK.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.contains("\"here\""), "and the next request is read all the same");
}

#[tokio::test]
async fn nf_10_a_body_that_does_not_come_is_told_so_in_the_envelope() {
    let server = Server::start(soon()).await;
    let mut stream = server.send("POST /body HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nhalf").await;
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"REQUEST_TIMEOUT\""), "{answer}");
    for header in ["x-correlation-id: ", "connection: close", "content-security-policy: default-src 'none'"] {
        assert!(answer.contains(header), "{header} in {answer}");
    }
}

#[tokio::test]
async fn nf_5_a_connection_too_many_is_told_to_come_back() {
    let server = Server::start(Config { connections_max: 2, ..Config::default() }).await;
    let mut stream = server.send("GET /stream HTTP/1.1\r\nhost: here\r\n\r\n").await;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut kept = server.send(ASK).await;
    answer(&mut kept).await;

    let mut third = server.send(ASK).await;
    let told = rest(&mut third).await;
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("\"code\":\"SERVICE_UNAVAILABLE\""), "{told}");
    let wait = told.split_once("retry-after: ").and_then(|(_, rest)| rest.split_once("\r\n")).unwrap().0;
    assert!((1..=3).contains(&wait.parse::<u64>().unwrap()), "{told}");
    assert!(told.contains("x-correlation-id: ") && told.contains("permissions-policy: "), "{told}");
    kept.write_all(ASK.as_bytes()).await.unwrap();
    assert!(answer(&mut kept).await.contains("\"here\""), "who was there before is not affected");

    for leaving in [kept, stream] {
        drop(leaving);
        // The server notices in a moment.
        let began = Instant::now();
        while !rest_of_one(&server).await.starts_with("HTTP/1.1 200") {
            assert!(began.elapsed() < PATIENCE, "the place is not free again");
        }
    }
}

/// What a connection for one request is told.
async fn rest_of_one(server: &Server) -> String {
    rest(&mut server.send(&ASK.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")).await).await
}

#[tokio::test]
async fn nf_5_a_head_is_bounded() {
    let server = Server::start(Config::default()).await;
    let long = format!("GET /ok HTTP/1.1\r\nhost: here\r\nx: {}\r\n\r\n", "x".repeat(RECEIVED_BYTES_MAX));
    let many = format!("GET /ok HTTP/1.1\r\nhost: here\r\n{}\r\n", "x: y\r\n".repeat(101));
    for head in [long, many] {
        let mut stream = server.send(&head).await;
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let fits = format!("GET /ok HTTP/1.1\r\nhost: here\r\nx: {}\r\n\r\n", "x".repeat(8_000));
    assert!(answer(&mut server.send(&fits).await).await.starts_with("HTTP/1.1 200"));
}
