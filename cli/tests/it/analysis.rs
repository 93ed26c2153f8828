//! What analysts ask of a sale that is over: exports, replays, reports, and how it stood at a time. All agree with the
//! log, with each other, and with what the shoppers were told.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::http::Method;
use flashsale_core::{Micros, SaleId, Sku, UserId};
use flashsale_ledger::Place;
use flashsale_schemas::{Topic, events::PurchaseDecision};
use flashsale_streaming::{Record, ScanFrom, read_all};
use flashsale_testkit::{unique, wait_until};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::process::{ADMIN_KEY, Installation, PATIENCE, Service};

/// A sale of ten units that is sold out, and quiet.
struct Over {
    shop: Installation,
    /// The API, and the others.
    services: Vec<Service>,
    sku: Sku,
    sale: SaleId,
    /// How many shoppers were told what; `ACCEPTED` for a unit.
    told: BTreeMap<String, u64>,
}

impl Over {
    async fn new() -> Self {
        let shop = Installation::new().await;
        let unlimited = [("FLASHSALE_INGEST__USER_INTERVAL_MS", "0")];
        let services =
            vec![shop.start(&["api"]).await, shop.start(&["processor"]).await, shop.start(&["sink", "postgres"]).await];
        let edges = [shop.start_with(&["ingest"], &unlimited).await];
        let (sku, sale) = shop.sale(&services[0], "OVER", 10, 1_500).await;
        shop.until_start(&edges, &sku).await;
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        // Fourteen come for ten units, and two of the winners once more.
        for shoppers in [0..14, 0..2] {
            for code in shop.visit(&edges[0], &sku, shoppers).await {
                let code = if code.is_empty() { "ACCEPTED".to_owned() } else { code };
                *told.entry(code).or_default() += 1;
            }
        }
        wait_until(PATIENCE, "every decision in the log", async || {
            let probes = shop.decided("probe-");
            told.insert("SALE_NOT_ACTIVE".to_owned(), probes as u64);
            shop.decided("user-") == 16 && probes > 0
        })
        .await;
        wait_until(PATIENCE, "the outbox to be empty", async || shop.hot.outbox_len(&sku).await.unwrap() == 0).await;
        shop.until_done().await;
        let [edge] = edges;
        let services = services.into_iter().chain([edge]).collect();
        Self { shop, services, sku, sale, told }
    }

    /// Every decision in the log, by its place.
    async fn log(&self) -> BTreeMap<Place, PurchaseDecision> {
        let decoder = self.shop.ledger.decoder::<PurchaseDecision>().await.unwrap();
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let into = seen.clone();
        let take = move |place, decision: Result<PurchaseDecision, _>| {
            into.lock().unwrap().insert(place, decision.unwrap());
        };
        let stop = CancellationToken::new();
        let from = ScanFrom::Beginning;
        self.shop.ledger.pass(decoder, from, |_| true, &stop, |_| (), take).await.unwrap();
        std::mem::take(&mut *seen.lock().unwrap())
    }

    /// Everything in a topic, by partition and offset.
    fn records(&self, topic: &str) -> Vec<Record> {
        let (name, mut records): (Arc<str>, Vec<Record>) = (topic.into(), Vec::new());
        let read = tokio::task::block_in_place(|| {
            let take = &mut |record: flashsale_streaming::Scanned<'_>| records.push(record.to_record(&name));
            read_all(self.shop.ledger.streaming(), topic, &CancellationToken::new(), take)
        });
        read.unwrap();
        records.sort_by_key(|record| (record.position.partition.number, record.position.offset));
        records
    }
}

/// The names and bytes of all files in a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_the_log_and_the_same_bytes_each_time() {
    let over = Over::new().await;
    let (folder, log) = (tempfile::tempdir().unwrap(), over.log().await);
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for decision in log.values() {
        let name = serde_json::to_value(decision.outcome).unwrap();
        *outcomes.entry(name.as_str().unwrap().to_owned()).or_default() += 1;
    }
    for format in ["jsonl", "parquet", "csv"] {
        let [one, other] = ["one", "other"].map(|name| folder.path().join(format!("{format}-{name}")));
        for path in [&one, &other] {
            let path = path.to_str().unwrap();
            let command = ["export", "--sku", "OVER", "--format", format, "--output", path, "--json"];
            let manifest = over.shop.printed(&command);
            assert_eq!((&manifest["outcomes"], &manifest["rows"]), (&json!(outcomes), &log.len().into()));
            let (code, _, complaint) = over.shop.run(&command);
            assert!(code == 64 && complaint.contains("--overwrite"), "what is there is kept: {code} {complaint}");
        }
        let (one, other) = (files(&one), files(&other));
        assert!(one.len() >= 2 && one.contains_key("manifest.json"), "{:?}", one.keys());
        assert!(one == other, "two exports of one stretch differ: {:?} {:?}", one.keys(), other.keys());
    }

    let mut rows: Vec<Value> = files(&folder.path().join("jsonl-one"))
        .into_iter()
        .filter(|(name, _)| name.starts_with("part-"))
        .flat_map(|(_, bytes)| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    rows.sort_by_key(|row| (row["partition"].as_i64(), row["offset"].as_i64()));
    assert_eq!(rows.len(), log.len());
    for (row, (place, decision)) in rows.iter().zip(&log) {
        assert_eq!((&row["partition"], &row["offset"]), (&place.partition.into(), &place.offset.into()));
        let said = serde_json::to_value(decision).unwrap();
        let times = ["decided_at", "received_at"];
        for (field, value) in said.as_object().unwrap().iter().filter(|(field, _)| !times.contains(&field.as_str())) {
            assert_eq!(&row[field], value, "{field} of {place:?}");
        }
        let shown = row["decided_at"].as_str().unwrap();
        assert!(shown.starts_with(&decision.decided_at.to_string()[..23]), "to the microsecond: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_into_a_sandbox_keeps_time_key_and_partition_and_a_live_topic_takes_none_unasked() {
    let over = Over::new().await;
    let (prefix, topic) = (format!("{}.", unique("sandbox")), over.shop.ledger.topic(Topic::PurchaseDecisions));
    let originals = over.records(topic);
    let dry = over.shop.printed(&["replay", "--sandbox", &prefix, "--dry-run", "--json"]);
    assert_eq!((&dry["dryRun"], &dry["recordsMax"]), (&true.into(), &originals.len().into()));
    let done = over.shop.printed(&["replay", "--sandbox", &prefix, "--json"]);
    assert_eq!((&done["records"], &done["live"]), (&originals.len().into(), &false.into()), "{done}");
    let copies = over.records(&format!("{prefix}{}", Topic::PurchaseDecisions));
    assert_eq!(copies.len(), originals.len());
    for (original, copy) in originals.iter().zip(&copies) {
        let place = |record: &Record| (record.position.partition.number, record.position.offset);
        assert_eq!(place(copy), place(original));
        assert_eq!((&copy.key, &copy.payload), (&original.key, &original.payload), "{}", original.position);
        assert_eq!(copy.timestamp_ms, original.timestamp_ms, "{}", original.position);
        let (source, headers) = copy.headers.split_last().unwrap();
        assert_eq!(headers, original.headers);
        assert_eq!(source, &("replay.source".to_owned(), original.position.to_string().into_bytes()));
    }

    let own = over.shop.ledger.group("");
    let consent = "--yes-really-into-a-live-topic";
    for (arguments, complaint) in [
        (vec!["replay", "sale-events", "--into", topic], consent),
        (vec!["replay", "sale-events", "--into", topic, "--dry-run"], consent),
        (vec!["replay", "--into", topic, consent], "into itself"),
        (vec!["replay", "--sandbox", own.as_str()], "a prefix of its own"),
        (vec!["replay", "--into", "a topic"], "cannot be the name"),
    ] {
        let (code, printed, said) = over.shop.run(&arguments);
        assert!(code == 64 && said.contains(complaint), "{arguments:?}: {code} {printed} {said}");
    }
    assert_eq!(over.records(topic).len(), originals.len(), "nothing was written");
    assert_eq!(over.shop.printed(&["verify", "--sku", "OVER", "--json"])["verified"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_the_log_agrees_with_that_of_postgres_and_with_what_shoppers_were_told() {
    let over = Over::new().await;
    let url = format!("{}/api/v1/ops/sales/OVER/report", over.services[0].url);
    let api = wait_until(PATIENCE, "the API to know the end", async || {
        let answer = over.shop.http.send(Method::GET, &url, &[("x-admin-key", ADMIN_KEY)], None).await?;
        let report = answer.body["data"].clone();
        if report["state"] == "ENDED" { Ok(report) } else { Err(answer.body.to_string()) }
    })
    .await;
    let log = over.shop.printed(&["report", "--sku", "OVER", "--json"]);
    for field in ["sku", "saleId", "productName", "state", "endReason", "initialStock", "sold", "startTime", "endTime"]
    {
        assert_eq!(log[field], api[field], "{field}");
    }
    assert_eq!((&log["saleId"], &log["endReason"]), (&over.sale.as_str().into(), &"SOLD_OUT".into()));
    assert_eq!((&log["perSecond"], &log["bucketSeconds"]), (&api["perSecond"], &1.into()));
    assert_eq!(log["timeToSellOutMs"], api["timeToSellOutMs"]);
    let told = |code: &str| over.told[code];
    let totals = json!({
        "attempts": over.told.values().sum::<u64>(), "accepted": told("ACCEPTED"), "soldOut": told("SOLD_OUT"),
        "alreadyPurchased": told("ALREADY_PURCHASED"), "notActive": {"NOT_STARTED": told("SALE_NOT_ACTIVE")},
    });
    assert_eq!(api["totals"], totals);
    let mut of_the_log = log["totals"].clone();
    of_the_log.as_object_mut().unwrap().remove("atTheEdge");
    assert_eq!(of_the_log, totals);
    assert_eq!((told("ACCEPTED"), told("SOLD_OUT"), told("ALREADY_PURCHASED")), (10, 4, 2));

    let (code, _, complaint) = over.shop.run(&["report", "--sku", "NOBODY", "--json"]);
    assert!(code == 1 && complaint.contains("no sale"), "{code} {complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_shown_as_it_stood_before_and_after_a_purchase() {
    let over = Over::new().await;
    let user = UserId::new("user-0").unwrap();
    let receipt = over.shop.hot.receipt(&over.sku, &user).await.unwrap().unwrap();
    let url = over.services[0].url.as_str();
    let at = |at: &str| over.shop.run(&["sale", "--url", url, "--json", "show", "OVER", "--at", at]);
    let around = |millis: i64| Micros::from_millis(receipt.decided_at.as_millis() + millis).to_string();

    let (code, before, complaint) = at(&around(-1));
    assert_eq!((code, &before["sold"], &before["stock"]), (0, &0.into(), &10.into()), "{before} {complaint}");
    assert_eq!((&before["state"], &before["buyers"]), (&"ACTIVE".into(), &json!([])));
    let (code, after, complaint) = at(&around(1));
    assert_eq!((code, &after["sold"], &after["stock"]), (0, &1.into(), &9.into()), "{after} {complaint}");
    let buyer = json!({
        "sequence": 1, "userId": "user-0", "purchaseNo": receipt.number(), "decidedAt": receipt.decided_at.to_string(),
    });
    assert_eq!((&after["buyers"], &after["buyersTotal"]), (&json!([buyer]), &1.into()));
    let (code, now, complaint) = at("now");
    assert_eq!((code, &now["sold"], &now["endReason"]), (0, &10.into(), &"SOLD_OUT".into()), "{now} {complaint}");
    assert!(now["consumers"].is_array(), "and where consumers stood: {now}");
    let (code, none, complaint) = at("-1h");
    assert!(code == 1 && complaint.contains("no sale of OVER"), "before there was one: {code} {none} {complaint}");
    let (code, _, complaint) = at("2999-01-01T00:00:00Z");
    assert!(code != 0 && complaint.contains("future"), "{code} {complaint}");
}
