//! From decision to Postgres row at 2,000 accepted purchases a second, everything on this machine.
//!
//! Starts `flashsale up` with durable servers of its own, sends attempts by schedule (an answer that is
//! late does not delay the next attempt), and reads the delays from the rows themselves and from the
//! sink's histogram.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

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

type Http = Client<HttpConnector, Full<axum::body::Bytes>>;

const RATE: u32 = 2_000;
const WARM_UP: Duration = Duration::from_secs(3);
const LASTS: Duration = Duration::from_secs(20);
const KEY: &str = "dev-admin-key-12345678";

struct Up {
    child: Child,
    url: String,
    database: String,
    folder: std::path::PathBuf,
}

impl Drop for Up {
    fn drop(&mut self) {
        // `up` stops its servers when it is asked to; killed, they die with it.
        drop(Command::new(env!("CARGO_BIN_EXE_flashsale")).args(["down", "--data-dir"]).arg(&self.folder).output());
        drop(self.child.wait());
    }
}

fn start(folder: &std::path::Path) -> Up {
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

async fn send(http: &Http, request: Request<Full<axum::body::Bytes>>) -> (u16, String) {
    let response = http.request(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn create_sale(http: &Http, url: &str, database: &str) {
    let now = flashsale_localstack::psql(
        database,
        "select to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    );
    let end = flashsale_localstack::psql(
        database,
        "select to_char((now() + '1 hour') at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    );
    let body = format!(
        r#"{{"sku":"BENCH","productName":"bench","initialStock":1000000,"startTime":"{}","endTime":"{}"}}"#,
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
async fn drive(http: &Http, url: &str, name: &str, lasts: Duration) -> Vec<u64> {
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

fn percentile(sorted: &[u64], per_mille: usize) -> f64 {
    sorted[(sorted.len() - 1) * per_mille / 1_000] as f64 / 1_000.0
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::Builder::new().prefix("flashsale-bench-").tempdir().unwrap();
        let up = start(folder.path());
        let http: Http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1_000).build_http();
        create_sale(&http, &up.url, &up.database).await;
        drive(&http, &up.url, "warm", WARM_UP).await;
        let latencies = drive(&http, &up.url, "user", LASTS).await;
        let wanted = format!("{}", latencies.len());
        let rows = "select count(*) from purchases where user_id like 'user-%'";
        while flashsale_localstack::psql(&up.database, rows).unwrap().trim() != wanted {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let delays = flashsale_localstack::psql(
            &up.database,
            "select string_agg(round(1000 * p)::text, ' / ') from unnest((select percentile_cont(array[0.5, 0.99, 0.999]) \
             within group (order by extract(epoch from recorded_at - decided_at)) from purchases where user_id like 'user-%')) p",
        );
        let (_, metrics) = send(&http, Request::get(format!("{}/metrics", up.url)).body("".into()).unwrap()).await;
        println!("{} purchases accepted at {RATE}/s, confirm=log, durable servers, all on this machine", latencies.len());
        println!(
            "  answer, from the intended send time   p50 / p99 / p99.9 {:.1} / {:.1} / {:.1} ms",
            percentile(&latencies, 500), percentile(&latencies, 990), percentile(&latencies, 999)
        );
        println!("  decision to the row's transaction     p50 / p99 / p99.9 {} ms   (goal p99 250)", delays.unwrap().trim());
        println!("  decision to commit, sink's histogram (cumulative, with the warm-up):");
        for line in metrics.lines().filter(|line| line.starts_with("flashsale_sink_decision_to_row_seconds_bucket")) {
            println!("    {}", line.trim_start_matches("flashsale_sink_decision_to_row_seconds_bucket"));
        }
    });
}
