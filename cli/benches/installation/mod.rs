//! A whole installation on this machine, driven by schedule.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "each benchmark takes what it needs")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::Instant;

pub type Http = Client<HttpConnector, Full<axum::body::Bytes>>;

/// Attempts a second.
pub const RATE: u32 = 2_000;
const KEY: &str = "dev-admin-key-12345678";

/// `flashsale up` with durable servers of its own; stopped when dropped.
pub struct Up {
    child: Child,
    pub url: String,
    pub database: String,
    folder: std::path::PathBuf,
}

impl Drop for Up {
    fn drop(&mut self) {
        // `up` stops its servers when it is asked to; killed, they die with it.
        drop(Command::new(env!("CARGO_BIN_EXE_flashsale")).args(["down", "--data-dir"]).arg(&self.folder).output());
        drop(self.child.wait());
    }
}

impl Up {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// A client that keeps its connections.
pub fn client() -> Http {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1_000).build_http()
}

/// Starts it with its data in `folder`.
pub fn start(folder: &std::path::Path) -> Up {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = Command::new(env!("CARGO_BIN_EXE_flashsale"))
        .args(["up", "--no-demo", "--data-dir"])
        .arg(folder)
        .env("FLASHSALE_HTTP_ADDRESS", format!("127.0.0.1:{port}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut database = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(at) = line.find("postgres://") {
            database = line[at..].split_whitespace().next().unwrap_or_default().to_owned();
        }
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    Up { child, url: format!("http://127.0.0.1:{port}"), database, folder: folder.to_owned() }
}

/// Sends a request; returns the status and the body.
pub async fn send(http: &Http, request: Request<Full<axum::body::Bytes>>) -> (u16, String) {
    let response = http.request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Sets the sale BENCH up with `stock` units; it is on for an hour.
pub async fn create_sale(http: &Http, url: &str, database: &str, stock: u64) {
    let now = flashsale_localstack::psql(
        database,
        "select to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    );
    let end = flashsale_localstack::psql(
        database,
        "select to_char((now() + '1 hour') at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    );
    let body = format!(
        r#"{{"sku":"BENCH","productName":"bench","initialStock":{stock},"startTime":"{}","endTime":"{}"}}"#,
        now.unwrap().trim(),
        end.unwrap().trim()
    );
    let request = Request::post(format!("{url}/api/v1/products"))
        .header("x-admin-key", KEY)
        .header("content-type", "application/json");
    let (status, body) = send(http, request.body(body.into()).unwrap()).await;
    assert_eq!(status, 201, "{body}");
}

/// Sends attempts by schedule; returns the sorted latencies from the intended send times, in µs.
pub async fn drive(http: &Http, url: &str, name: &str, lasts: Duration) -> Vec<u64> {
    let began = Instant::now();
    let count = (lasts.as_secs_f64() * f64::from(RATE)) as u32;
    let mut answers = Vec::with_capacity(count as usize);
    for n in 0..count {
        let due = began + Duration::from_secs_f64(f64::from(n) / f64::from(RATE));
        tokio::time::sleep_until(due).await;
        let request = Request::post(format!("{url}/api/v1/purchases"))
            .header("x-user-id", format!("{name}-{n}"))
            .header("content-type", "application/json")
            .body(r#"{"sku":"BENCH"}"#.into())
            .unwrap();
        let http = http.clone();
        answers.push(tokio::spawn(async move {
            let (status, body) = send(&http, request).await;
            assert_eq!(status, 200, "{body}");
            u64::try_from(due.elapsed().as_micros()).unwrap()
        }));
    }
    let mut latencies = Vec::with_capacity(answers.len());
    for answer in answers {
        latencies.push(answer.await.unwrap());
    }
    latencies.sort_unstable();
    latencies
}

/// A value of sorted microseconds, in milliseconds.
pub fn percentile(sorted: &[u64], per_mille: usize) -> f64 {
    sorted[(sorted.len() - 1) * per_mille / 1_000] as f64 / 1_000.0
}
