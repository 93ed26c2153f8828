//! The proof can fail: what is forged in a store is found, named, and where possible put right.

use std::time::{Duration, Instant};

use flashsale_core::{Micros, RequestId, SaleId, Sku, UserId};
use flashsale_schemas::events::{DecidedBy, Outcome, PurchaseDecision, accepted_id};
use flashsale_testkit::wait_until;
use serde_json::Value;

use crate::process::{Installation, PATIENCE, Service};

struct Shop {
    shop: Installation,
    processor: Service,
    _sink: Service,
    sku: Sku,
    sale: SaleId,
}

/// A sale of 20 units of which 10 are sold, quiet.
async fn sold() -> Shop {
    let shop = Installation::new().await;
    let processor = shop.start(&["processor"]).await;
    let sink = shop.start(&["sink", "postgres"]).await;
    let (api, edge) = (shop.start(&["api"]).await, shop.start(&["ingest"]).await);
    let (sku, sale) = shop.sale(&api, "PROOF", 20, -1_000).await;
    wait_until(PATIENCE, "the edge to know the sale", async || {
        shop.http.buy(&edge.url, "user-0", Some("key-0"), "PROOF").await.unwrap().status == 200
    })
    .await;
    for number in 1..10 {
        let (user, key) = (format!("user-{number}"), format!("key-{number}"));
        assert_eq!(shop.http.buy(&edge.url, &user, Some(&key), "PROOF").await.unwrap().status, 200);
    }
    // The comparison at the processor's start puts right what it can; it must be over.
    wait_until(PATIENCE, "the first comparison", async || {
        let metrics = shop.http.get(&format!("{}/metrics", processor.url)).await.unwrap();
        metrics.body.as_str().unwrap_or_default().contains("flashsale_reconcile_runs_total{")
    })
    .await;
    wait_until(PATIENCE, "the rows", async || shop.store.purchases(&sale).await.unwrap().len() == 10).await;
    wait_until(PATIENCE, "the outbox to be empty", async || shop.hot.outbox_len(&sku).await.unwrap() == 0).await;
    Shop { shop, processor, _sink: sink, sku, sale }
}

impl Shop {
    fn tool(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.shop.tool(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let json = serde_json::from_str(&text)
            .unwrap_or_else(|_| Value::String(text + &String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap_or(-1), json)
    }

    /// Writes a unit to the log that nobody sold.
    async fn forge(&self, user: &str, sequence: u64) {
        let at = self.shop.hot.now().await.unwrap();
        let forged = PurchaseDecision {
            decision_id: accepted_id(&self.sale, sequence),
            sale_id: self.sale.to_string(),
            sku: self.sku.to_string(),
            user_id: UserId::new(user).unwrap().to_string(),
            request_id: RequestId::new("forged").unwrap().to_string(),
            outcome: Outcome::Accepted,
            reason: None,
            sequence: Some(sequence as i64),
            as_of_sequence: Some(sequence as i64),
            remaining_stock: None,
            decided_at: Micros(at.0),
            received_at: None,
            decided_by: DecidedBy::Redis,
            ingest_id: "forger".into(),
        };
        let delivery = flashsale_streaming::Delivery::begin();
        self.shop.ledger.send_decision(&delivery, &forged, &[]);
        delivery.seal();
        delivery.wait().await.unwrap();
    }

    async fn violations(&self, invariant: &str) -> bool {
        let metrics = self.shop.http.get(&format!("{}/metrics", self.processor.url)).await.unwrap();
        let text = metrics.body.as_str().unwrap_or_default().to_owned();
        text.lines().any(|line| {
            line.starts_with(&format!("flashsale_monitor_violations{{invariant=\"{invariant}\"}}"))
                && !line.ends_with(" 0")
        })
    }
}

fn classes(json: &Value) -> Vec<String> {
    let sales = json.as_array().or_else(|| json["sales"].as_array()).cloned().unwrap_or_default();
    let mut classes: Vec<String> = sales
        .iter()
        .flat_map(|sale| sale["discrepancies"].as_array().cloned().unwrap_or_default())
        .map(|one| one["class"].as_str().unwrap_or_default().to_owned())
        .collect();
    classes.sort();
    classes
}

#[tokio::test(flavor = "multi_thread")]
async fn i_1_i_2_a_forged_unit_is_seen_at_once_and_breaks_the_proof() {
    let shop = sold().await;
    let (code, proof) = shop.tool(&["verify", "--sku", "PROOF", "--json"]);
    assert_eq!((code, &proof["verified"]), (0, &Value::Bool(true)), "{proof}");
    assert_eq!(proof["sales"][0]["log"]["accepted"], 10);

    shop.forge("user-3", 11).await;
    let began = Instant::now();
    wait_until(PATIENCE, "the monitor to see two units of one shopper", async || shop.violations("I2").await).await;
    // A second is promised; a debug build beside other tests gets more.
    assert!(began.elapsed() < Duration::from_secs(5), "seen after {:?}", began.elapsed());
    shop.forge("nobody", 21).await;
    wait_until(PATIENCE, "the monitor to see unit 21 of 20", async || shop.violations("I1").await).await;

    let (code, proof) = shop.tool(&["verify", "--sku", "PROOF", "--json"]);
    assert_eq!((code, &proof["verified"]), (1, &Value::Bool(false)), "{proof}");
    let broken: Vec<&str> = proof["sales"][0]["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["invariant"].as_str().unwrap())
        .collect();
    for id in ["I1", "I2", "I9"] {
        assert!(broken.contains(&id), "{id} in {proof}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i_4_i_5_what_is_changed_by_hand_in_a_view_is_named_and_put_right() {
    let shop = sold().await;
    let (code, clean) = shop.tool(&["reconcile", "--sku", "PROOF", "--json"]);
    assert!(code == 0 && classes(&clean).is_empty(), "{clean}");

    shop.shop.psql("DELETE FROM purchases WHERE sequence IN (3, 4)");
    let (code, found) = shop.tool(&["reconcile", "--sku", "PROOF", "--json"]);
    assert_eq!((code, classes(&found)), (1, vec!["MISSING_IN_POSTGRES".to_owned(); 2]), "{found}");
    assert_eq!(shop.shop.store.purchases(&shop.sale).await.unwrap().len(), 8, "it only looked");
    let kept = shop.shop.store.reconciliations(Some(&shop.sku), 1).await.unwrap();
    assert_eq!((kept[0].found, kept[0].repaired, kept[0].mode.as_str()), (2, 0, "DRY_RUN"));

    let (code, dry) = shop.tool(&["rebuild", "postgres", "--sku", "PROOF", "--dry-run", "--json"]);
    assert_eq!((code, &dry["sales"][0]["added"]), (0, &2.into()), "{dry}");
    let (code, repaired) = shop.tool(&["reconcile", "--sku", "PROOF", "--repair", "--json"]);
    assert_eq!((code, &repaired[0]["repaired"]), (0, &2.into()), "{repaired}");
    assert_eq!(shop.shop.store.purchases(&shop.sale).await.unwrap().len(), 10);

    shop.shop.psql("UPDATE purchases SET user_id = 'thief' WHERE sequence = 5");
    let (code, found) = shop.tool(&["reconcile", "--sku", "PROOF", "--json"]);
    assert!(code == 1 && classes(&found).contains(&"CONFLICT".to_owned()), "{found}");
    let (code, _) = shop.tool(&["rebuild", "postgres", "--sku", "PROOF", "--json"]);
    assert_eq!(code, 0);
    let (code, proof) = shop.tool(&["verify", "--sku", "PROOF", "--json"]);
    assert_eq!(code, 0, "{proof}");
    let counted: u64 = shop.shop.store.counts(&shop.sale).await.unwrap().iter().map(|count| count.count).sum();
    assert!(counted >= 10, "the counts were written anew: {counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_compared_once_more_after_its_end() {
    let shop = Installation::new().await;
    let _processor = shop.start_with(&["processor"], &[("FLASHSALE_PROCESSOR__RECONCILE__AFTER_END_MS", "1000")]).await;
    let _sink = shop.start(&["sink", "postgres"]).await;
    let (api, edge) = (shop.start(&["api"]).await, shop.start(&["ingest"]).await);
    let (sku, _) = shop.sale(&api, "OVER", 1, -1_000).await;
    wait_until(PATIENCE, "the last unit to be sold", async || {
        shop.http.buy(&edge.url, "user", Some("key"), "OVER").await.unwrap().status == 200
    })
    .await;
    wait_until(PATIENCE, "the comparison after the end", async || {
        let kept = shop.store.reconciliations(Some(&sku), 10).await.unwrap();
        kept.iter().any(|run| run.trigger == "SALE_ENDED" && run.found == 0 && run.compared == 1)
    })
    .await;
}
