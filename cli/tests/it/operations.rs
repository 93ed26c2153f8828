//! `flashsale ops` on running services: consumers held and put elsewhere, dead letters sent again. Nothing is lost or
//! counted twice by any of it.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use flashsale_core::{SaleId, Sku};
use flashsale_ledger::SINK_POSTGRES;
use flashsale_schemas::{Encoder, Registry, Topic, events::PurchaseDecision};
use flashsale_sql::{Answer, Count};
use flashsale_streaming::{
    Observer, Partition, Position, Record, Rejection, ScanFrom, ScanUntil, read_all, redrive, resolve,
};
use flashsale_testkit::wait_until;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::process::{Installation, PATIENCE, Service};

const SOLD_OUT: &str = include_str!("../../../schemas/examples/flashsale.purchase-decisions.v1/1/sold_out.json");
/// An order is obeyed within two seconds, it is promised; a debug build beside other tests gets more.
const EFFECT_MAX: Duration = Duration::from_secs(5);
/// So that a stop takes no longer than it must.
const AT_ONCE: [(&str, &str); 1] = [("FLASHSALE_DRAIN_DELAY_MS", "0")];
/// For shoppers that come back at once.
const UNLIMITED: [(&str, &str); 1] = [("FLASHSALE_INGEST__USER_INTERVAL_MS", "0")];

impl Installation {
    /// Runs a tool; returns its exit code, what it printed as JSON or else as text, and what it complained of.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, Value, String) {
        let output = self.tool(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let printed = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (output.status.code().unwrap_or(-1), printed, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The same of one that must succeed.
    pub(crate) fn printed(&self, arguments: &[&str]) -> Value {
        let (code, printed, complaint) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {printed} {complaint}");
        printed
    }

    /// The group of the Postgres sink.
    fn sink(&self) -> String {
        self.ledger.group(SINK_POSTGRES)
    }

    /// How many members the sink's group has.
    fn members(&self) -> usize {
        tokio::task::block_in_place(|| {
            let observer = Observer::new(self.ledger.streaming()).unwrap();
            observer.group(&self.sink()).unwrap().map_or(0, |group| group.members.len())
        })
    }

    /// Waits until the sink has done all that the log has.
    pub(crate) async fn until_done(&self) {
        let topic = self.ledger.topic(Topic::PurchaseDecisions);
        wait_until(PATIENCE, "the sink to be at the end of the log", async || {
            let whole = resolve(self.ledger.streaming(), topic, &ScanFrom::Beginning, &ScanUntil::End).await.unwrap();
            let asked: Vec<(&str, i32)> = whole.keys().map(|number| (topic, *number)).collect();
            let rows = self.store.offsets(&self.sink(), &asked).await.unwrap();
            let next = |number| rows.iter().find(|row| row.partition == number).map_or(0, |row| row.next_offset);
            let behind: Vec<_> = whole.iter().filter(|(number, range)| next(**number) != range.end).collect();
            if behind.is_empty() { Ok(()) } else { Err(format!("{behind:?} of {rows:?}")) }
        })
        .await;
    }

    /// Lets each of these shoppers try once; returns what they were told, nothing for a unit.
    pub(crate) async fn visit(&self, edge: &Service, sku: &Sku, shoppers: Range<usize>) -> Vec<String> {
        let mut told = Vec::new();
        for number in shoppers {
            let answer = self.http.buy(&edge.url, &format!("user-{number}"), None, sku.as_str()).await.unwrap();
            assert!([200, 202].contains(&answer.status), "{}", answer.body);
            told.push(answer.code().to_owned());
        }
        told
    }

    async fn rows(&self, sale: &SaleId) -> usize {
        self.store.purchases(sale).await.unwrap().len()
    }

    async fn counted(&self, sale: &SaleId, answer: Answer) -> u64 {
        let counts = self.store.counts(sale).await.unwrap();
        counts.iter().filter(|count| count.answer == answer).map(|count| count.count).sum()
    }
}

/// A sale that has begun, with all but the sinks, and the edge to buy at.
async fn open(stock: u64) -> (Installation, Vec<Service>, Sku, SaleId) {
    let shop = Installation::new().await;
    // Who decides waits for who verifies Redis.
    let processor = shop.start(&["processor"]).await;
    let services = vec![shop.start_with(&["ingest"], &UNLIMITED).await, processor, shop.start(&["api"]).await];
    let (sku, sale) = shop.sale(&services[2], "HELD", stock, -1_000).await;
    wait_until(PATIENCE, "the edge to know the sale", async || {
        shop.http.buy(&services[0].url, "first", Some("key"), "HELD").await.unwrap().status == 200
    })
    .await;
    (shop, services, sku, sale)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_every_sink_at_once_and_over_restarts_and_nothing_is_lost_or_doubled() {
    let (shop, services, sku, sale) = open(500).await;
    let edge = &services[0];
    let sinks = [(); 2].map(|()| shop.launch(&["sink", "postgres"], &AT_ONCE));
    wait_until(PATIENCE, "both sinks in the group", async || shop.members() == 2).await;
    shop.visit(edge, &sku, 0..20).await;
    wait_until(PATIENCE, "the rows before the order", async || shop.rows(&sale).await == 21).await;

    let paused = shop.printed(&["ops", "pause", &shop.sink(), "--as", "kim", "--json"]);
    let began = Instant::now();
    assert_eq!((&paused["order"]["action"], &paused["order"]["issuedBy"]), (&"PAUSE".into(), &"kim".into()));
    for sink in &sinks {
        let metrics = format!("{}/metrics", sink.url);
        let held = format!("flashsale_consumer_held{{consumer=\"{}\"}} 1", shop.sink());
        wait_until(PATIENCE, "the sink to hold", async || {
            shop.http
                .get(&metrics)
                .await
                .is_ok_and(|answer| answer.body.as_str().is_some_and(|text| text.contains(&held)))
        })
        .await;
    }
    assert!(began.elapsed() < EFFECT_MAX, "held after {:?}", began.elapsed());
    // Who was being given partitions at that moment is forgotten by the group after its session.
    wait_until(PATIENCE, "both sinks to leave", async || shop.members() == 0).await;
    shop.visit(edge, &sku, 20..50).await;
    wait_until(PATIENCE, "the log", async || shop.sold_by_log(&sale).len() == 51).await;
    let seen = shop.printed(&["ops", "consumers", &shop.sink(), "--json"])["consumers"][0].clone();
    assert_eq!((&seen["paused"], &seen["verdict"]), (&"ALL".into(), &"WARN".into()));
    assert!(seen["lagRecords"].as_u64() >= Some(30), "{seen}");
    assert_eq!(shop.rows(&sale).await, 21, "others sell, and the sinks stand still");

    sinks.into_iter().for_each(Service::stop);
    let sinks = [(); 2].map(|()| shop.launch(&["sink", "postgres"], &AT_ONCE));
    for sink in &sinks {
        let live = format!("{}/health/live", sink.url);
        wait_until(PATIENCE, "the sink to run again", async || shop.http.get(&live).await.is_ok()).await;
    }
    shop.visit(edge, &sku, 50..60).await;
    wait_until(PATIENCE, "the log", async || shop.sold_by_log(&sale).len() == 61).await;
    let seen = shop.printed(&["ops", "consumers", &shop.sink(), "--json"])["consumers"][0].clone();
    assert_eq!((&seen["paused"], &seen["members"]), (&"ALL".into(), &Value::Array(Vec::new())));
    assert!(seen["lagRecords"].as_u64() >= Some(40), "{seen}");
    assert_eq!(shop.rows(&sale).await, 21, "the order outlives those who obey it");

    let resumed = shop.printed(&["ops", "resume", &shop.sink(), "--as", "kim", "--json"]);
    assert_eq!(resumed["order"]["action"], "RESUME");
    wait_until(PATIENCE, "all rows", async || shop.rows(&sale).await == 61).await;
    assert_eq!(shop.store.purchases(&sale).await.unwrap(), shop.sold_by_log(&sale));
    assert_eq!(shop.counted(&sale, Answer::Accepted).await, 61, "each once");
    wait_until(PATIENCE, "both sinks in the group again", async || shop.members() == 2).await;
    let proof = shop.printed(&["verify", "--sku", "HELD", "--json"]);
    assert_eq!(proof["verified"], true, "{proof}");
    let acts = shop.printed(&["ops", "acts", "--json"]);
    let kims: Vec<&Value> = acts["acts"].as_array().unwrap().iter().filter(|act| act["by"] == "kim").collect();
    assert_eq!((kims.len(), &kims[0]["action"], &kims[1]["action"]), (2, &"RESUME".into(), &"PAUSE".into()), "{acts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_24_a_reset_waits_for_the_sink_to_leave_and_what_is_read_again_changes_nothing() {
    let (shop, services, sku, sale) = open(5).await;
    let sink = shop.start_with(&["sink", "postgres"], &AT_ONCE).await;
    let told = shop.visit(&services[0], &sku, 0..8).await;
    assert_eq!(told.iter().filter(|code| code.as_str() == "SOLD_OUT").count(), 4);
    wait_until(PATIENCE, "the log", async || shop.decided("user-") == 8).await;
    wait_until(PATIENCE, "the outbox to be empty", async || shop.hot.outbox_len(&sku).await.unwrap() == 0).await;
    shop.until_done().await;
    let before = state(&shop, &sale).await;
    assert_eq!((before.0.len(), shop.counted(&sale, Answer::SoldOut).await), (5, 4));

    let group = shop.sink();
    let reset = ["ops", "reset", &group, "--to", "earliest", "--json"];
    let plan = shop.printed(&reset);
    assert_eq!((&plan["dryRun"], &plan["skips"]), (&true.into(), &0.into()), "{plan}");
    assert!(plan["replays"].as_u64() >= Some(9), "{plan}");
    let really = [&reset[..], &["--yes"]].concat();
    let (code, _, complaint) = shop.run(&really);
    assert!(code == 1 && complaint.contains("1 member") && complaint.contains("ops pause"), "{code} {complaint}");

    sink.stop();
    assert_eq!(shop.printed(&really)["dryRun"], false);
    let sink = shop.start_with(&["sink", "postgres"], &AT_ONCE).await;
    shop.until_done().await;
    assert_eq!(state(&shop, &sale).await, before, "stopped, put back, started");

    // The same without a stop: what is held whole is no member.
    shop.printed(&["ops", "pause", &group, "--json"]);
    wait_until(PATIENCE, "the sink to leave", async || shop.members() == 0).await;
    assert!(shop.printed(&really)["replays"].as_u64() >= Some(9));
    shop.printed(&["ops", "resume", &group, "--json"]);
    shop.until_done().await;
    assert_eq!(state(&shop, &sale).await, before, "held, put back, let go");
    let proof = shop.printed(&["verify", "--sku", "HELD", "--json"]);
    assert_eq!(proof["verified"], true, "{proof}");
    for (consumer, to) in [("nobody", "earliest"), (group.as_str(), "group=nobody")] {
        let (code, _, complaint) = shop.run(&["ops", "reset", consumer, "--to", to, "--yes"]);
        assert!([1, 69].contains(&code) && complaint.contains("error:"), "{code} {complaint}");
    }
    drop(sink);
}

/// What Postgres has of a sale.
async fn state(shop: &Installation, sale: &SaleId) -> (Vec<flashsale_core::invariants::Sold>, Vec<Count>) {
    (shop.store.purchases(sale).await.unwrap(), shop.store.counts(sale).await.unwrap())
}

/// A refusal of a sale that nobody else knows, as a record of the decisions.
async fn refusal(shop: &Installation) -> (SaleId, Record) {
    let decision: PurchaseDecision = serde_json::from_str(SOLD_OUT).unwrap();
    let codec = Registry::builtin().codec(Topic::PurchaseDecisions.name()).await.unwrap();
    let (encoder, _): (Encoder<PurchaseDecision>, _) = codec;
    let topic: Arc<str> = shop.ledger.topic(Topic::PurchaseDecisions).into();
    let record = Record {
        position: Position { partition: Partition { topic, number: 0 }, offset: 4_711 },
        key: Some(format!("{}:{}", decision.sale_id, decision.user_id).into()),
        payload: Some(encoder.encode(&decision).unwrap().into()),
        headers: Vec::new(),
        timestamp_ms: 0,
    };
    (SaleId::new(&decision.sale_id).unwrap(), record)
}

/// The dead letter with this key, as it lies in the log.
fn letter(shop: &Installation, key: &[u8]) -> Record {
    let topic: Arc<str> = shop.ledger.topic(Topic::PurchaseDecisionsDlq).into();
    let mut found = None;
    let read = tokio::task::block_in_place(|| {
        read_all(shop.ledger.streaming(), &topic, &CancellationToken::new(), &mut |record| {
            if record.key == Some(key) {
                found = Some(record.to_record(&topic));
            }
        })
    });
    read.unwrap();
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f_20_f_25_poison_stays_and_a_refusal_that_is_sent_again_twice_counts_once() {
    let shop = Installation::new().await;
    let _sink = shop.start(&["sink", "postgres"]).await;
    let topic = shop.ledger.topic(Topic::PurchaseDecisions);
    shop.ledger.producer().deliver(topic, b"poison", Some(b"\x07garbage"), &[]).await.unwrap();
    shop.until_done().await;
    let list = shop.printed(&["ops", "dlq", "list", "--json"]);
    assert_eq!((&list["open"], &list["groups"][0]["class"]), (&1.into(), &"bad_magic".into()), "{list}");
    let id = list["letters"][0]["id"].as_str().unwrap().to_owned();
    let shown = shop.printed(&["ops", "dlq", "show", &id, "--json"]);
    assert_eq!((&shown["hex"], &shown["key"]), (&"0767617262616765".into(), &"poison".into()));
    for (yes, dry_run) in [(None, true), (Some("--yes"), false)] {
        let command: Vec<&str> =
            ["ops", "dlq", "redrive", "--class", "bad_magic", "--json"].into_iter().chain(yes).collect();
        let plan = shop.printed(&command);
        assert_eq!((&plan["dryRun"], &plan["sent"], &plan["stillFailing"]), (&dry_run.into(), &0.into(), &1.into()));
        assert_eq!(
            (&plan["letters"][0]["id"], &plan["letters"][0]["verdict"]),
            (&id.as_str().into(), &"STILL_FAILING".into())
        );
    }

    let (sale, record) = refusal(&shop).await;
    let rejection = Rejection::new("schema_pending", "an older build did not know it");
    shop.ledger.dead_letters("sink-postgres").bury(&record, &rejection).await.unwrap();
    let command = ["ops", "dlq", "redrive", "--class", "schema_pending", "--as", "kim", "--json"];
    assert_eq!(shop.printed(&command)["wouldApply"], 1);
    assert_eq!(shop.printed(&[&command[..], &["--yes"]].concat())["sent"], 1);
    shop.until_done().await;
    assert_eq!(shop.counted(&sale, Answer::SoldOut).await, 1);

    // As if the note that it was sent had been lost.
    let letter = letter(&shop, record.key.as_deref().unwrap());
    for _ in 0..2 {
        redrive(shop.ledger.producer(), &letter).await.unwrap();
    }
    shop.until_done().await;
    assert_eq!(shop.counted(&sale, Answer::SoldOut).await, 1, "sent three times, counted once");
    let redriven = shop.printed(&["ops", "dlq", "list", "--state", "redriven", "--json"]);
    assert_eq!((&redriven["redriven"], &redriven["open"]), (&1.into(), &1.into()));
    assert_eq!(redriven["letters"][0]["act"]["by"], "kim");
    let given_up = ["ops", "dlq", "discard", "--id", &id, "--reason", "not ours", "--yes", "--json"];
    assert_eq!(shop.printed(&given_up)["discarded"], 1);
    let (code, _, complaint) = shop.run(&["ops", "dlq", "show", "0-4711"]);
    assert!(code == 1 && complaint.contains("no dead letter"), "{code} {complaint}");
    let acts = shop.printed(&["ops", "acts", "--json"])["acts"].clone();
    let actions: BTreeSet<&str> = acts.as_array().unwrap().iter().filter_map(|act| act["action"].as_str()).collect();
    assert_eq!(actions, BTreeSet::from(["DISCARD", "REDRIVE"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn f_25_a_refusal_that_a_rebuild_counted_counts_nothing_more_when_it_is_sent_again() {
    let shop = Installation::new().await;
    let _sink = shop.start(&["sink", "postgres"]).await;
    let (sale, record) = refusal(&shop).await;
    let topic = shop.ledger.topic(Topic::PurchaseDecisions);
    let write = async || {
        let (key, payload) = (record.key.as_deref().unwrap(), record.payload.as_deref());
        shop.ledger.producer().deliver(topic, key, payload, &[]).await.unwrap();
        shop.until_done().await;
    };
    let agrees = || {
        let plan = shop.printed(&["rebuild", "postgres", "--dry-run", "--json"]);
        plan["sales"].as_array().unwrap().iter().all(|sale| sale["counts_differ"] == false)
    };
    shop.psql("ALTER TABLE decision_counts ADD CONSTRAINT none CHECK (outcome <> 'SOLD_OUT')");
    write().await;
    write().await;
    shop.psql("ALTER TABLE decision_counts DROP CONSTRAINT none");
    let ids = shop.printed(&["ops", "dlq", "list", "--json"])["letters"].clone();
    let ids: Vec<&str> = ids.as_array().unwrap().iter().filter_map(|letter| letter["id"].as_str()).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");

    // One is sent again before the rebuild, the other after it.
    assert_eq!(shop.printed(&["ops", "dlq", "redrive", "--id", ids[0], "--yes", "--json"])["sent"], 1);
    shop.until_done().await;
    assert_eq!(shop.counted(&sale, Answer::SoldOut).await, 1);
    shop.printed(&["rebuild", "postgres", "--json"]);
    assert_eq!(shop.counted(&sale, Answer::SoldOut).await, 2, "both are in the log, and nothing stands against them");
    let plan = shop.printed(&["ops", "dlq", "redrive", "--all", "--yes", "--json"]);
    assert_eq!((&plan["sent"], &plan["wouldBeDuplicate"]), (&1.into(), &1.into()), "{plan}");
    shop.until_done().await;
    assert_eq!(shop.counted(&sale, Answer::SoldOut).await, 2);
    assert!(agrees());
}
