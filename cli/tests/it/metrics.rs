//! What alerts and dashboards look at is there before anything goes wrong: an alert on a metric that does not exist is
//! silent, and looks like one that has nothing to say.

use std::{collections::BTreeSet, fs, path::Path};

use flashsale_testkit::wait_until;

use crate::process::{Installation, PATIENCE, Service};

/// Metrics that a healthy installation does not show, and why not. All others begin with their process.
const ONLY_AFTER_A_FAULT: [(&str, &str); 1] =
    [("flashsale_consumer_failures_total", "its label is the step that failed, which nobody knows before")];

/// The metrics that a text names; of a histogram the series are meant too.
fn named(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.strip_prefix("flashsale_").is_some_and(|rest| !rest.is_empty())).map(|name| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    })
}

/// Those that the rules and the dashboards name.
fn wanted() -> BTreeSet<String> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let mut wanted = BTreeSet::new();
    for folder in ["prometheus/rules", "grafana/dashboards"] {
        for file in fs::read_dir(deploy.join(folder)).unwrap() {
            wanted.extend(named(&fs::read_to_string(file.unwrap().path()).unwrap()));
        }
    }
    wanted
}

/// Those of which the services show a value; a description alone is none.
async fn shown(shop: &Installation, services: &[Service]) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    for service in services {
        let metrics = shop.http.get(&format!("{}/metrics", service.url)).await.unwrap();
        let text = metrics.body.as_str().unwrap_or_default();
        let series = text.lines().filter(|line| !line.starts_with('#'));
        shown.extend(series.filter_map(|line| named(line).next()));
    }
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alerts_and_dashboards_look_at_is_there_while_all_is_well() {
    let shop = Installation::new().await;
    let compared_soon = [("FLASHSALE_PROCESSOR__RECONCILE__AFTER_END_MS", "1000")];
    let processor = shop.start_with(&["processor"], &compared_soon).await;
    let sinks = [shop.start(&["sink", "postgres"]).await, shop.start(&["sink", "sse"]).await];
    // A file that lets nobody in besides the one shared key, so that there is one to look after.
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), "key = []\n").unwrap();
    let api = shop.start_with(&["api"], &[("FLASHSALE_ADMIN_KEYS_FILE", keys.path().to_str().unwrap())]).await;
    let edges = [shop.start(&["ingest"]).await];
    let (sku, _) = shop.sale(&api, "METRICS", 2, 1_500).await;
    shop.until_start(&edges, &sku).await;
    for (user, outcome) in [("a", ""), ("b", ""), ("c", "SOLD_OUT")] {
        let answer = shop.http.buy(&edges[0].url, user, None, "METRICS").await.unwrap();
        assert_eq!(answer.code(), outcome, "{user}: {}", answer.body);
    }

    let services: Vec<Service> = edges.into_iter().chain(sinks).chain([processor, api]).collect();
    let mut wanted = wanted();
    for (name, why) in ONLY_AFTER_A_FAULT {
        assert!(wanted.remove(name), "nothing looks at {name}; it need not be excused because {why}");
    }
    wait_until(PATIENCE, "a value of every metric that an alert or a dashboard looks at", async || {
        let shown = shown(&shop, &services).await;
        let missing: Vec<&String> = wanted.difference(&shown).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("without {missing:?}")) }
    })
    .await;
}
