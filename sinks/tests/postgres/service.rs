use std::sync::{Arc, Mutex};

use flashsale_ledger::Ledger;
use flashsale_platform::Tracer;
use flashsale_schemas::{Topic, events::PurchaseDecision};
use flashsale_sinks::postgres::{Config, Service};
use flashsale_streaming::{Delivery, View, ViewConfig};
use flashsale_testkit::{unique, wait_until};
use tokio_util::sync::CancellationToken;

use crate::{PATIENCE, sale, store};

const EXAMPLE: &str = include_str!("../../../schemas/examples/flashsale.purchase-decisions.v1/1/accepted.json");

fn decision(sequence: i64, user: &str) -> PurchaseDecision {
    let example: PurchaseDecision = serde_json::from_str(EXAMPLE).unwrap();
    PurchaseDecision { sale_id: sale().to_string(), user_id: user.into(), sequence: Some(sequence), ..example }
}

#[tokio::test(flavor = "multi_thread")]
async fn f_20_f_21_bad_records_go_to_the_dead_letters_and_their_neighbours_to_postgres() {
    let (store, _) = store().await;
    let mut log = flashsale_ledger::Config::new(flashsale_testkit::kafka().await, "test");
    log.topic_prefix = format!("{}.", unique("sink"));
    let config = Config::new(&log.topic_prefix);
    let ledger = Ledger::open(log).await.unwrap();
    ledger.create_topics(1).await.unwrap();
    let classes: Arc<Mutex<Vec<String>>> = Arc::default();
    let letters =
        ViewConfig { name: unique("letters"), topics: vec![ledger.topic(Topic::PurchaseDecisionsDlq).into()] };
    let _view = View::start(ledger.streaming(), letters, {
        let classes = Arc::clone(&classes);
        move |record| {
            let class = record.headers.iter().find(|(name, _)| name == "dlq.class");
            classes
                .lock()
                .unwrap()
                .push(class.map(|(_, bytes)| String::from_utf8_lossy(bytes).into()).unwrap_or_default());
        }
    })
    .unwrap();

    let delivery = Delivery::begin();
    for sequence in 1..=300 {
        ledger.send_decision(&delivery, &decision(sequence, &format!("u{sequence}")), &[]);
        if sequence % 100 == 0 {
            let topic = ledger.topic(Topic::PurchaseDecisions);
            ledger.producer().send(&delivery, topic, b"k", Some(b"\x07garbage"), &[]);
        }
    }
    // Unit 7 was sold to somebody else: which of the two is stored, the log's order decides.
    ledger.send_decision(&delivery, &decision(7, "somebody else"), &[]);
    delivery.seal();
    delivery.wait().await.unwrap();

    let shutdown = CancellationToken::new();
    let service = tokio::spawn(Service::new(config, store.clone(), ledger, Tracer::off()).run(shutdown.clone()));
    wait_until(PATIENCE, "all rows", async || store.purchases(&sale()).await.unwrap().len() == 300).await;
    wait_until(PATIENCE, "all letters", async || {
        let mut seen = classes.lock().unwrap().clone();
        seen.sort();
        if seen == ["bad_magic", "bad_magic", "bad_magic", "conflict"] { Ok(()) } else { Err(seen) }
    })
    .await;
    shutdown.cancel();
    service.await.unwrap().unwrap();
}
