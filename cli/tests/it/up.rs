//! `flashsale up` as a newcomer runs it: its own servers, kill -9, and the same data after it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
};

use axum::http::Method;
use flashsale_testkit::wait_until;
use serde_json::json;

use crate::{
    http::{Answer, Http},
    process::{PATIENCE, flashsale, free_port},
};

/// A running stack; killed when dropped.
pub(crate) struct Up {
    child: Child,
    pub(crate) url: String,
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Up {
    /// Starts one whose data is in `folder`, and waits until it says that it runs.
    pub(crate) fn start(folder: &Path) -> Self {
        let port = free_port();
        let mut child = flashsale()
            .args(["up", "--data-dir"])
            .arg(folder)
            .env("FLASHSALE_HTTP_ADDRESS", format!("127.0.0.1:{port}"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            said.push_str(&line);
            said.push('\n');
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        let up = Self { child, url: format!("http://127.0.0.1:{port}") };
        assert!(said.contains(&format!("is running at {}", up.url)), "it said: {said}");
        assert!(said.contains("curl -X POST") && said.contains("dev-admin-key-12345678"), "{said}");
        up
    }
}

/// Processes whose command line names the folder.
fn left_running(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder) && !line.contains("deps/it-"))
        .collect()
}

async fn receipt(http: &Http, url: &str) -> Answer {
    let url = format!("{url}/api/v1/purchases?sku=DEMO");
    http.send(Method::GET, &url, &[("x-user-id", "alice")], None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_4_pr_7_the_local_stack_survives_kill_9_and_stops_without_a_trace() {
    let folder = tempfile::Builder::new().prefix("flashsale-up-").tempdir().unwrap();
    let http = Http::new();
    let mut up = Up::start(folder.path());
    let bought = http.buy(&up.url, "alice", Some("alice-1"), "DEMO").await.unwrap();
    assert_eq!(bought.status, 200, "{}", bought.body);

    // Everything that the welcome and the README promise to be there.
    for (path, wanted) in [
        ("/health", "healthy"),
        ("/health/live", "live"),
        ("/metrics", "flashsale_ingest_answers_total"),
        ("/api/openapi.json", "/api/v1/purchases"),
        ("/api/docs/", "swagger"),
        ("/subjects", "flashsale.purchase-decisions.v1-value"),
    ] {
        let answer = http.get(&format!("{}{path}", up.url)).await.unwrap();
        assert!(answer.status == 200 && answer.body.to_string().contains(wanted), "{path}: {answer:?}");
    }

    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let up = Up::start(folder.path());
    let retried = http.buy(&up.url, "alice", Some("alice-1"), "DEMO").await.unwrap();
    assert_eq!(retried.body, bought.body, "the same key, the same answer");
    assert_eq!(receipt(&http, &up.url).await.body["data"], bought.body["data"]);
    let stock = format!("{}/api/v1/sales?sku=DEMO", up.url);
    wait_until(PATIENCE, "the status to know of one unit", async || {
        http.get(&stock).await.unwrap().body["data"]["stock"] == json!(99)
    })
    .await;

    let refused =
        flashsale().args(["up", "--data-dir"]).arg(folder.path()).env("FLASHSALE_HTTP_ADDRESS", "127.0.0.1:0").output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("make down"), "says the way out");
    let kept = flashsale().args(["reset", "--yes", "--data-dir"]).arg(folder.path()).output().unwrap();
    assert!(!kept.status.success(), "a running stack is not deleted");

    let down = flashsale().args(["down", "--data-dir"]).arg(folder.path()).output().unwrap();
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    wait_until(PATIENCE, "nothing to be left running", async || {
        let left = left_running(folder.path());
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;

    let dry = flashsale().args(["reset", "--data-dir"]).arg(folder.path()).output().unwrap();
    assert_eq!(dry.status.code(), Some(64), "without --yes nothing is deleted");
    assert!(folder.path().join("ports.json").exists());
    assert!(flashsale().args(["reset", "--yes", "--data-dir"]).arg(folder.path()).status().unwrap().success());
    assert!(!folder.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let up = flashsale()
        .args(["up", "--data-dir"])
        .arg(folder.path())
        .env("FLASHSALE_HTTP_ADDRESS", taken.local_addr().unwrap().to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&up.stderr);
    assert_eq!(up.status.code(), Some(69));
    assert!(said.trim().lines().count() == 1 && said.contains("FLASHSALE_HTTP_ADDRESS"), "{said}");
}
