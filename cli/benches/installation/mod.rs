//! A whole installation on this machine, and load for it.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "each benchmark takes what it needs")]

pub mod bare;
pub mod buyers;
pub mod edge;
pub mod load;
pub mod processes;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use axum::http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

pub type Http = Client<HttpConnector, Full<axum::body::Bytes>>;

/// How it is all kept, for whoever reads the figures.
pub const SYNCED: &str = "Redis AOF everysec, Postgres fsync on, one broker that leaves the sync to the kernel";
/// How long the stores may take to agree afterwards.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long `flashsale up` may take until it is ready, and until it has stopped.
const UP_WITHIN: Duration = Duration::from_secs(180);
const DOWN_WITHIN: Duration = Duration::from_secs(120);
/// How long Postgres may take for a question, and an installation for an answer.
const ROWS_WITHIN: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Lines of `flashsale up` that nobody has read yet.
const LINES_MAX: usize = 64;
const KEY: &str = "dev-admin-key-12345678";

/// `flashsale up` with durable servers of its own; stopped when dropped.
pub struct Up {
    child: Child,
    pub url: String,
    pub database: String,
    folder: PathBuf,
}

impl Drop for Up {
    fn drop(&mut self) {
        // `up` stops its servers when it is asked to; killed, they die with it.
        drop(Command::new(binary()).args(["down", "--data-dir"]).arg(&self.folder).output());
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < DOWN_WITHIN {
            thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Up {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn server(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }
}

/// A client that keeps its connections.
pub fn client() -> Http {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1_000).build_http()
}

/// The binary that is measured: the one that `BENCH_BINARY` names, else the one that was built with this benchmark. That
/// one has features of libraries that only tests want, such as a clock that can be stopped, and is slower for them.
pub fn binary() -> std::path::PathBuf {
    std::env::var_os("BENCH_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_flashsale").into(), std::path::PathBuf::from)
}

/// Starts it with its data in `folder`.
pub fn start(folder: &Path) -> Up {
    start_with(folder, &[])
}

/// The same with more environment. Ends the benchmark when it is not ready in time.
pub fn start_with(folder: &Path, more: &[(&str, &str)]) -> Up {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(binary())
        .args(["up", "--no-demo", "--data-dir"])
        .arg(folder)
        .env("FLASHSALE_HTTP_ADDRESS", format!("127.0.0.1:{port}"))
        .envs(more.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let mut up = Up { child, url, database: String::new(), folder: folder.to_owned() };
    let lines = lines_of(up.child.stdout.take().unwrap());
    let (began, mut said) = (Instant::now(), String::new());
    loop {
        let left = UP_WITHIN.saturating_sub(began.elapsed());
        let Ok(line) = lines.recv_timeout(left) else {
            panic!("`flashsale up` is not ready after {:?}; it said last: {said:?}", began.elapsed());
        };
        if let Some(at) = line.find("postgres://") {
            up.database = line[at..].split_whitespace().next().unwrap_or_default().to_owned();
        }
        if line.starts_with("Ctrl-C") {
            return up;
        }
        said = line;
    }
}

/// The lines that a process prints, as they come; its end is theirs.
fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (line, lines) = mpsc::sync_channel(LINES_MAX);
    thread::spawn(move || {
        for text in BufReader::new(output).lines().map_while(Result::ok) {
            if line.send(text).is_err() {
                return;
            }
        }
    });
    lines
}

/// Does what cannot be called off, and ends the benchmark when it takes longer than `limit`.
fn within<T: Send + 'static>(limit: Duration, what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::sync_channel(1);
    thread::spawn(move || drop(done.send(work())));
    match result.recv_timeout(limit) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("{what}: not within {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("{what}: it failed"),
    }
}

/// What Postgres says to `sql`; ends the benchmark when it says nothing for too long.
pub fn psql(database: &str, sql: &str) -> String {
    let (what, database, sql) = (format!("psql: {sql}"), database.to_owned(), sql.to_owned());
    let ask = move || flashsale_localstack::psql(&database, &sql).map_err(|error| format!("{error}: {sql}"));
    within(ROWS_WITHIN, &what, ask).unwrap()
}

/// Waits until a process listens; ends the benchmark when it has ended, or does not within a minute.
pub fn until_listening(child: &mut Child, server: SocketAddr) {
    let began = Instant::now();
    while std::net::TcpStream::connect(server).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "the process has ended before it listened");
        assert!(began.elapsed() < Duration::from_secs(60), "nothing listens on {server}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a request; returns the status and the body. Ends the benchmark when there is no answer in time.
pub async fn send(http: &Http, request: Request<Full<axum::body::Bytes>>) -> (u16, String) {
    let what = format!("{} {}", request.method(), request.uri());
    let answer = async {
        let response = http.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what}: no answer within {ANSWER_WITHIN:?}"),
    }
}

/// Sets a sale up with `stock` units; it is on for an hour.
pub async fn create_sale(http: &Http, url: &str, database: &str, sku: &str, stock: u64) {
    let now = psql(database, "select to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let end = psql(database, "select to_char((now() + '1 hour') at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let body = format!(
        r#"{{"sku":"{sku}","productName":"bench","initialStock":{stock},"startTime":"{}","endTime":"{}"}}"#,
        now.trim(),
        end.trim()
    );
    let request = Request::post(format!("{url}/api/v1/products"))
        .header("x-admin-key", KEY)
        .header("content-type", "application/json");
    let (status, body) = send(http, request.body(body.into()).unwrap()).await;
    assert_eq!(status, 201, "{body}");
}

/// Waits until an edge takes attempts to buy `sku`; the one that it takes is the probe's.
pub async fn until_selling(http: &Http, url: &str, sku: &str) {
    let began = Instant::now();
    loop {
        let request = Request::post(format!("{url}/api/v1/purchases"))
            .header("x-user-id", format!("probe-{sku}"))
            .header("content-type", "application/json")
            .body(format!(r#"{{"sku":"{sku}"}}"#).into())
            .unwrap();
        let (status, body) = send(http, request).await;
        if status == 200 && !body.contains("SALE_NOT_ACTIVE") {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{sku} is not sold: {status} {body}");
        // A shopper has one attempt a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
}

/// Whether `verify` proves the sale, as soon as the rows are there.
pub fn proven(folder: &Path, sku: &str) -> bool {
    verified(folder, &["--sku", sku])
}

/// The same of every sale that there is.
pub fn all_proven(folder: &Path) -> bool {
    verified(folder, &[])
}

fn verified(folder: &Path, which: &[&str]) -> bool {
    let began = Instant::now();
    let name = which.last().unwrap_or(&"all");
    loop {
        let mut verify = Command::new(binary());
        let output = verify.arg("verify").args(which).env("FLASHSALE_DATA_DIR", folder).output().unwrap();
        if output.status.success() {
            println!("verify {name}: everything holds");
            return true;
        }
        if began.elapsed() > PATIENCE {
            println!("verify {name}: it does not hold");
            println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            return false;
        }
        thread::sleep(Duration::from_secs(2));
    }
}

/// A number from the environment.
pub fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// A value of sorted microseconds, in milliseconds.
pub fn percentile(sorted: &[u64], per_mille: usize) -> f64 {
    sorted[(sorted.len() - 1) * per_mille / 1_000] as f64 / 1_000.0
}
