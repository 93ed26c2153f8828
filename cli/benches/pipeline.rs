//! A thousand attempts at once (NF-2), then from decision to Postgres row at 2,000 accepted purchases a second,
//! everything on this machine.
//!
//! Starts `flashsale up` with durable servers of its own, sends attempts by schedule (an answer that is
//! late does not delay the next attempt), and reads the delays from the rows themselves and from the
//! sink's histogram.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures")]

mod installation;

use std::time::{Duration, Instant};

use axum::http::Request;
use installation::{Http, RATE, client, create_sale, drive, percentile, send, start};

const WARM_UP: Duration = Duration::from_secs(3);
const LASTS: Duration = Duration::from_secs(20);
const AT_ONCE: usize = 1_000;
/// Per mille of the answers, and how many ms they may take.
const GOALS: [(usize, f64); 3] = [(500, 500.0), (950, 1_000.0), (990, 2_000.0)];

/// All on connections of their own, and all sold.
async fn nf_2_a_thousand_attempts_at_once_are_answered_in_time(http: &Http, url: &str) {
    let attempts: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            let request = Request::post(format!("{url}/api/v1/purchases"))
                .header("x-user-id", format!("at-once-{n}"))
                .header("content-type", "application/json")
                .body(r#"{"sku":"BENCH"}"#.into())
                .unwrap();
            let http = http.clone();
            tokio::spawn(async move {
                let sent = Instant::now();
                let (status, body) = send(&http, request).await;
                assert!(status == 200 || status == 202, "{status} {body}");
                u64::try_from(sent.elapsed().as_micros()).unwrap()
            })
        })
        .collect();
    let mut latencies = Vec::with_capacity(AT_ONCE);
    for attempt in attempts {
        latencies.push(attempt.await.unwrap());
    }
    latencies.sort_unstable();
    for (per_mille, goal) in GOALS {
        let took = percentile(&latencies, per_mille);
        println!("{AT_ONCE} at once: {} % were answered within {took:.0} ms (goal {goal})", per_mille as f64 / 10.0);
        assert!(took < goal);
    }
}

fn main() {
    flashsale_platform::open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::Builder::new().prefix("flashsale-bench-").tempdir().unwrap();
        let up = start(folder.path());
        let http = client();
        create_sale(&http, &up.url, &up.database, 1_000_000).await;
        drive(&http, &up.url, "warm", WARM_UP).await;
        nf_2_a_thousand_attempts_at_once_are_answered_in_time(&http, &up.url).await;
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
