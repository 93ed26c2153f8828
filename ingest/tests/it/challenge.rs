//! What a try must bring along.

use axum::{
    Router,
    http::{Request, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use flashsale_challenge::{Challenges, Config as Challenging, leading_zero_bits};
use flashsale_core::Challenge;
use flashsale_testkit::wait_until;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::fixture::{Answer, PATIENCE, Shop, buy, buy_with, send, unlimited};

/// Easy enough that a test solves it at once.
fn easy() -> Challenging {
    let secret = "a-secret-of-thirty-two-characters".into();
    Challenging { secret, difficulty_bits: 8, difficulty_bits_max: 8, ..Challenging::default() }
}

async fn edge(shop: &Shop, challenging: &Challenging) -> Router {
    shop.edge_of(unlimited(), shop.ledger.clone(), Challenges::new(challenging).unwrap()).await
}

/// Does what a shopper's page does with a puzzle.
fn solved(task: &Value) -> String {
    assert_eq!(task["kind"], "PROOF_OF_WORK", "{task}");
    let (challenge, bits) = (task["challenge"].as_str().unwrap(), task["difficultyBits"].as_u64().unwrap());
    let mut responses = (0_u64..).map(|number| format!("{challenge}:{number}"));
    responses.find(|response| u64::from(leading_zero_bits(&Sha256::digest(response))) >= bits).unwrap()
}

async fn asked(edge: &Router, user: &str, query: &str) -> Answer {
    let request = Request::get(format!("/api/v1/purchases/challenge{query}")).header("x-user-id", user);
    let answer = send(edge, request.body("".into()).unwrap()).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_a_sale_with_a_puzzle_sells_to_who_has_solved_it() {
    let shop = Shop::open().await;
    let hard = shop.sale_with("HARD", 9, -1_000, 60_000, Challenge::ProofOfWork).await;
    shop.sale("FREE", 9, -1_000, 60_000).await;
    let edge = edge(&shop, &easy()).await;
    assert_eq!(buy(&edge, "ann", None, "FREE").await.status, 200, "other sales ask for nothing");

    let required = buy(&edge, "ann", Some("k"), "HARD").await;
    assert_eq!((required.status, required.code()), (403, "CHALLENGE_REQUIRED"));
    let solution = solved(&required.body["error"]["challenge"]);
    let stolen = buy_with(&edge, "bob", None, "HARD", Some(&solution)).await;
    assert_eq!((stolen.status, stolen.code()), (403, "CHALLENGE_FAILED"));
    let theirs = solved(&stolen.body["error"]["challenge"]);
    for nonsense in ["1", "a.b:1"] {
        let failed = buy_with(&edge, "ann", None, "HARD", Some(nonsense)).await;
        assert_eq!((failed.status, failed.code()), (403, "CHALLENGE_FAILED"), "{nonsense}");
    }
    assert_eq!(shop.hot.snapshot(&hard.sku).await.unwrap().unwrap().sequence, 0, "nothing was decided");

    // The key of a try that was refused for this is free for the next one.
    let bought = buy_with(&edge, "ann", Some("k"), "HARD", Some(&solution)).await;
    assert_eq!((bought.status, bought.code()), (200, ""), "{}", bought.body);
    assert_eq!(buy_with(&edge, "bob", None, "HARD", Some(&theirs)).await.status, 200);
    let again = buy_with(&edge, "ann", None, "HARD", Some(&solution)).await;
    assert_eq!(again.code(), "ALREADY_PURCHASED", "a solution is good for tries, a shopper for one unit");
}

#[tokio::test(flavor = "multi_thread")]
async fn pr_7_a_retry_gets_the_same_answer_whatever_became_of_its_response() {
    let shop = Shop::open().await;
    shop.sale_with("HARD", 9, -1_000, 60_000, Challenge::ProofOfWork).await;
    let first = edge(&shop, &easy()).await;
    let solution = solved(&asked(&first, "ann", "?sku=HARD").await.body["data"]);
    let bought = buy_with(&first, "ann", Some("k"), "HARD", Some(&solution)).await;
    assert_eq!(bought.status, 200, "{}", bought.body);
    for response in [Some(solution.as_str()), Some("1"), None] {
        assert_eq!(buy_with(&first, "ann", Some("k"), "HARD", response).await.body, bought.body, "{response:?}");
    }
    // Another instance with the same secret knows neither the try nor the puzzle, and takes both.
    let second = edge(&shop, &easy()).await;
    assert_eq!(buy_with(&second, "ann", Some("k"), "HARD", Some(&solution)).await.body, bought.body);
    // One with another secret asks anew; the key leads to the same receipt.
    let other = edge(&shop, &Challenging { secret: "another-secret-of-thirty-two-chars".into(), ..easy() }).await;
    let anew = buy_with(&other, "ann", Some("k"), "HARD", Some(&solution)).await;
    assert_eq!(anew.code(), "CHALLENGE_FAILED");
    let solution = solved(&anew.body["error"]["challenge"]);
    assert_eq!(buy_with(&other, "ann", Some("k"), "HARD", Some(&solution)).await.body, bought.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_may_ask_what_to_do_before_a_try() {
    let shop = Shop::open().await;
    shop.sale_with("HARD", 1, 60_000, 120_000, Challenge::ProofOfWork).await;
    shop.sale("FREE", 1, -1_000, 60_000).await;
    let edge = edge(&shop, &easy()).await;
    let none = asked(&edge, "ann", "?sku=FREE").await;
    assert_eq!((none.status, none.body), (200, json!({"success": true, "data": {"kind": "NONE"}})));
    let puzzle = asked(&edge, "ann", "?sku=HARD").await;
    let task = &puzzle.body["data"];
    assert_eq!((puzzle.status, &task["difficultyBits"]), (200, &json!(8)));
    assert!(task["expiresAt"].as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')), "{task}");
    let early = buy_with(&edge, "ann", None, "HARD", Some(&solved(task))).await;
    assert_eq!(early.code(), "SALE_NOT_ACTIVE", "it may be solved ahead of the start");

    for (user, query, status, named) in [
        ("ann", "?sku=NOBODY", 404, "NOBODY"),
        ("ann", "", 400, "sku"),
        ("ann", "?sku=a/b", 400, "sku"),
        (" ", "?sku=HARD", 400, "userId"),
    ] {
        let refused = asked(&edge, user, query).await;
        assert!(refused.status == status && refused.body.to_string().contains(named), "{query}: {}", refused.body);
    }
    let long = buy_with(&edge, "ann", None, "FREE", Some(&"x".repeat(2_049))).await;
    assert_eq!((long.status, long.code()), (400, "VALIDATION_ERROR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_has_ended_asks_for_nothing() {
    let shop = Shop::open().await;
    shop.sale_with("HARD", 1, -1_000, 60_000, Challenge::ProofOfWork).await;
    let edge = edge(&shop, &easy()).await;
    let solution = solved(&asked(&edge, "ann", "?sku=HARD").await.body["data"]);
    let bought = buy_with(&edge, "ann", None, "HARD", Some(&solution)).await;
    wait_until(PATIENCE, "the edge to know that it is over", async || {
        asked(&edge, "ann", "?sku=HARD").await.body["data"]["kind"] == "NONE"
    })
    .await;
    assert_eq!(buy(&edge, "bob", None, "HARD").await.code(), "SOLD_OUT");
    let told = buy(&edge, "ann", None, "HARD").await;
    assert_eq!(told.body["error"]["purchase"]["purchaseNo"], bought.purchase_no(), "a buyer always gets the receipt");
}

/// Vouches for the token `good`, and has a bad day when it sees `down`.
async fn site_verify(form: String) -> Response {
    match form.as_str() {
        form if form.contains("response=good") => r#"{"success":true}"#.into_response(),
        form if form.contains("response=down") => StatusCode::BAD_GATEWAY.into_response(),
        _ => r#"{"success":false,"error-codes":["invalid-input-response"]}"#.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_a_sale_with_a_captcha_sells_to_whom_the_provider_vouches_for() {
    let shop = Shop::open().await;
    let sale = shop.sale_with("HUMAN", 9, -1_000, 60_000, Challenge::Captcha).await;
    let unconfigured = edge(&shop, &easy()).await;
    for answer in [asked(&unconfigured, "ann", "?sku=HUMAN").await, buy(&unconfigured, "ann", None, "HUMAN").await] {
        assert_eq!((answer.status, answer.code()), (503, "SERVICE_UNAVAILABLE"), "nobody can vouch for anybody");
        assert_eq!(answer.headers["retry-after"], "1");
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let captcha_verify_url = format!("http://{}/siteverify", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/siteverify", post(site_verify))).await });
    let (captcha_site_key, captcha_secret) = ("site-1".to_owned(), "secret".into());
    let config = Challenging { captcha_verify_url, captcha_site_key, captcha_secret, ..easy() };
    let edge = edge(&shop, &config).await;
    let task = json!({"kind": "CAPTCHA", "siteKey": "site-1", "verifier": "127.0.0.1"});
    assert_eq!(asked(&edge, "ann", "?sku=HUMAN").await.body["data"], task);
    for (response, status, code) in [
        (None, 403, "CHALLENGE_REQUIRED"),
        (Some("bad"), 403, "CHALLENGE_FAILED"),
        (Some("down"), 503, "SERVICE_UNAVAILABLE"),
    ] {
        let refused = buy_with(&edge, "ann", None, "HUMAN", response).await;
        assert_eq!((refused.status, refused.code()), (status, code), "{response:?}");
        if status == 403 {
            assert_eq!(refused.body["error"]["challenge"], task);
        }
    }
    assert_eq!(shop.hot.snapshot(&sale.sku).await.unwrap().unwrap().sequence, 0, "nothing was decided");
    assert_eq!(buy_with(&edge, "ann", None, "HUMAN", Some("good")).await.status, 200);
    let stolen = buy_with(&edge, "bob", None, "HUMAN", Some("good")).await;
    assert_eq!((stolen.status, stolen.code()), (403, "CHALLENGE_FAILED"), "a token is its shopper's");
}
