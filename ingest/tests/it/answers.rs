//! What a shopper is told.

use axum::{body::Body, http::Request};
use flashsale_core::UserId;
use flashsale_ingest::{Config, Confirm};
use flashsale_schemas::events::{DecidedBy, Outcome};
use flashsale_testkit::wait_until;
use serde_json::json;

use crate::fixture::{PATIENCE, Shop, buy, send, unlimited};

#[tokio::test(flavor = "multi_thread")]
async fn pr_1_pr_2_a_buyer_gets_a_receipt_and_keeps_it() {
    let shop = Shop::open().await;
    shop.sale("A", 2, -1_000, 60_000).await;
    let edge = shop.edge(unlimited()).await;

    let bought = buy(&edge, " zoë ", None, "A").await;
    assert_eq!(bought.status, 200);
    assert_eq!(bought.headers["cache-control"], "no-store");
    let zoe = UserId::new("zoë").unwrap();
    let receipt = shop.hot.receipt(&"A".parse().unwrap(), &zoe).await.unwrap().expect("Redis holds it");
    let purchase = json!({"purchaseNo": receipt.number(), "purchasedAt": receipt.decided_at.to_string()});
    assert_eq!(bought.body, json!({"success": true, "data": purchase}));

    let again = buy(&edge, "zoë", None, "A").await;
    assert_eq!((again.status, again.code()), (200, "ALREADY_PURCHASED"));
    assert_eq!(again.body["error"]["purchase"], purchase);

    // It was in the log before the answer (I4); the refusal follows.
    shop.until_logged("both decisions", |log| log.len() == 2).await;
    let log = shop.logged();
    assert_eq!((log[0].outcome, log[0].sequence, log[0].remaining_stock), (Outcome::Accepted, Some(1), Some(1)));
    assert_eq!((log[0].decided_by, log[0].user_id.as_str()), (DecidedBy::Redis, "zoë"));
    assert_eq!((log[1].outcome, log[1].sequence), (Outcome::AlreadyPurchased, Some(1)));
    wait_until(PATIENCE, "the outbox to be settled", async || {
        // The creation and the start are the relay's to settle.
        shop.hot.outbox_len(&"A".parse().unwrap()).await.unwrap() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pr_3_pr_4_refusals_say_why() {
    let shop = Shop::open().await;
    shop.sale("SOON", 1, 60_000, 120_000).await;
    let over = shop.sale("OVER", 1, -2_000, -1_000).await;
    let paused = shop.sale("PAUSED", 1, -1_000, 60_000).await;
    shop.hot.pause(&paused.sku, &paused.sale_id, true).await.unwrap();
    shop.sale("GONE", 1, -1_000, 60_000).await;
    let edge = shop.edge(unlimited()).await;
    assert_eq!(buy(&edge, "first", None, "GONE").await.status, 200);

    for (sku, code, reason) in [
        ("SOON", "SALE_NOT_ACTIVE", "NOT_STARTED"),
        (over.sku.as_str(), "SALE_NOT_ACTIVE", "TIME_EXPIRED"),
        ("PAUSED", "SALE_NOT_ACTIVE", "PAUSED"),
        ("GONE", "SOLD_OUT", ""),
    ] {
        let answer = buy(&edge, "u", None, sku).await;
        assert_eq!((answer.status, answer.code()), (200, code), "{sku}");
        assert_eq!(answer.body["error"]["reason"].as_str().unwrap_or(""), reason, "{sku}");
        assert_eq!(answer.body["success"], false);
    }
    let unknown = buy(&edge, "u", None, "NOBODY").await;
    assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pr_7_i_8_the_same_key_gets_the_same_answer_also_after_a_restart() {
    let shop = Shop::open().await;
    shop.sale("A", 1, -1_000, 60_000).await;
    shop.sale("B", 1, -1_000, 60_000).await;
    let edge = shop.edge(Config::default()).await;
    let first = buy(&edge, "u", Some("k1"), "A").await;
    assert_eq!(first.status, 200);
    // No limit for retries: the key is known.
    for _ in 0..3 {
        assert_eq!(buy(&edge, "u", Some("k1"), "A").await.body, first.body);
    }
    let restarted = shop.edge(Config::default()).await;
    assert_eq!(buy(&restarted, "u", Some("k1"), "A").await.body, first.body, "after a restart");
    assert_eq!(buy(&restarted, "u", Some("k1"), "A").await.body, first.body, "and again");

    let sold_out = buy(&edge, "v", Some("k2"), "A").await;
    assert_eq!(sold_out.code(), "SOLD_OUT");
    assert_eq!(buy(&edge, "v", Some("k2"), "A").await.body, sold_out.body);
    let other_body = buy(&edge, "v", Some("k2"), "B").await;
    assert_eq!(other_body.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_3_ten_retries_at_once_with_one_key_get_one_unit_and_one_answer() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 50, -1_000, 60_000).await;
    let edges = [shop.edge(Config::default()).await, shop.edge(Config::default()).await];
    let tries = (0..10).map(|n| {
        let edge = edges[n % 2].clone();
        tokio::spawn(async move { buy(&edge, "u", Some("k"), "A").await.body })
    });
    let mut answers = Vec::new();
    for answer in tries.collect::<Vec<_>>() {
        answers.push(answer.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer["success"] == true), "{answers:?}");
    assert_eq!(shop.hot.snapshot(&sale.sku).await.unwrap().unwrap().sequence, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f_3_a_first_client_that_hangs_up_does_not_cost_its_retries_the_answer() {
    let shop = Shop::open().await;
    shop.sale("A", 5, -1_000, 60_000).await;
    // The limit of one attempt a second is on: retries with the key must not need another.
    let edge = shop.edge(Config::default()).await;
    let hung_up = tokio::time::timeout(std::time::Duration::from_micros(1), buy(&edge, "u", Some("k"), "A")).await;
    assert!(hung_up.is_err(), "the client left before the answer");
    for _ in 0..3 {
        let retry = buy(&edge, "u", Some("k"), "A").await;
        assert_eq!((retry.status, retry.code()), (200, ""), "{}", retry.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sku_that_is_sold_again_does_not_answer_with_the_sale_before() {
    let shop = Shop::open().await;
    let first = shop.sale("A", 1, -1_000, 60_000).await;
    let edge = shop.edge(unlimited()).await;
    let before = buy(&edge, "u", Some("k"), "A").await;
    let deleted = shop.hot.delete(&first.sku, &first.sale_id).await.unwrap();
    shop.ledger.publish_changes(deleted.changes.iter().map(|c| (c.change, &c.status))).await.unwrap();
    shop.sale("A", 1, -1_000, 60_000).await;
    let after = wait_until(PATIENCE, "the edge to know the new sale", async || {
        let answer = buy(&edge, "u", Some("k"), "A").await;
        (answer.status == 200 && answer.body != before.body).then_some(answer)
    })
    .await;
    assert_ne!(after.purchase_no(), "", "a unit of the new sale");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_end_losers_are_refused_at_the_edge_and_buyers_still_get_their_receipt() {
    let shop = Shop::open().await;
    shop.sale("A", 1, -1_000, 60_000).await;
    let edge = shop.edge(unlimited()).await;
    let receipt = buy(&edge, "winner", None, "A").await.purchase_no().to_owned();
    wait_until(PATIENCE, "the edge to know that it is over", async || {
        let answer = buy(&edge, "loser", None, "A").await;
        assert_eq!(answer.code(), "SOLD_OUT");
        shop.logged().iter().any(|decision| decision.decided_by == DecidedBy::Edge)
    })
    .await;
    let winner = buy(&edge, "winner", None, "A").await;
    assert_eq!(winner.body["error"]["purchase"]["purchaseNo"], receipt);
    let edge_refusal = shop.logged().into_iter().find(|decision| decision.decided_by == DecidedBy::Edge).unwrap();
    assert_eq!((edge_refusal.outcome, edge_refusal.as_of_sequence), (Outcome::SoldOut, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn f_12_a_late_log_makes_a_winner_wait_and_then_says_pending() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 5, -1_000, 60_000).await;
    let config = Config { confirm_timeout_ms: 200, ..unlimited() };
    let edge = shop.edge_writing_to(config.clone(), shop.deaf_ledger().await).await;
    let pending = buy(&edge, "u", Some("k"), "A").await;
    assert_eq!((pending.status, &pending.body["data"]["status"]), (202, &json!("PENDING")));
    let receipt = shop.hot.receipt(&sale.sku, &UserId::new("u").unwrap()).await.unwrap().unwrap();
    assert_eq!(pending.purchase_no(), receipt.number());
    assert_eq!(shop.hot.outbox_len(&sale.sku).await.unwrap(), 3, "the relay will find it");

    // The retry is told the same, and success once the log has it.
    assert_eq!(buy(&edge, "u", Some("k"), "A").await.body, pending.body);
    let healed = shop.edge(config.clone()).await;
    let success = buy(&healed, "u", Some("k"), "A").await;
    assert_eq!((success.status, success.purchase_no()), (200, pending.purchase_no()));
    shop.until_logged("the decision", |log| log.len() == 1).await;

    let at_once = shop.edge_writing_to(Config { confirm: Confirm::Redis, ..config }, shop.deaf_ledger().await).await;
    assert_eq!(buy(&at_once, "v", None, "A").await.status, 200, "confirm=redis does not wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn pr_9_what_is_not_valid_decides_nothing() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 5, -1_000, 60_000).await;
    let edge = shop.edge(unlimited()).await;
    let request = |user: &str, content_type: &str, body: String| {
        let request = Request::post("/api/v1/purchases").header("x-user-id", user).header("content-type", content_type);
        request.body(Body::from(body)).unwrap()
    };
    let valid = || r#"{"sku":"A"}"#.to_owned();
    let json = "application/json";
    for (request, status, code) in [
        (request("  ", json, valid()), 400, "VALIDATION_ERROR"),
        (request(&"x".repeat(256), json, valid()), 400, "VALIDATION_ERROR"),
        (request("u", json, r#"{"sku":"A","qty":2}"#.into()), 400, "VALIDATION_ERROR"),
        (request("u", json, r#"{"sku":"A","coupon":1}"#.into()), 400, "VALIDATION_ERROR"),
        (request("u", json, "{".into()), 400, "VALIDATION_ERROR"),
        (request("u", json, format!(r#"{{"sku":"A","x":"{}"}}"#, "y".repeat(5_000))), 413, "PAYLOAD_TOO_LARGE"),
        (request("u", "text/plain", valid()), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            Request::post("/api/v1/purchases").header("content-type", json).body(valid().into()).unwrap(),
            400,
            "VALIDATION_ERROR",
        ),
    ] {
        let answer = send(&edge, request).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.body);
    }
    assert_eq!(shop.hot.snapshot(&sale.sku).await.unwrap().unwrap().sequence, 0);
}
