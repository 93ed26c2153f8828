//! A sale that makes each try cost something, from the terminal to the receipt.

use std::process::Command;

use axum::http::Method;
use flashsale_challenge::leading_zero_bits;
use flashsale_testkit::wait_until;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::process::{ADMIN_KEY, Installation, PATIENCE};

/// The same for both edges, and easy enough that a test solves it at once.
const SETTINGS: [(&str, &str); 3] = [
    ("FLASHSALE_CHALLENGE__SECRET", "a-secret-of-thirty-two-characters"),
    ("FLASHSALE_CHALLENGE__DIFFICULTY_BITS", "8"),
    ("FLASHSALE_CHALLENGE__DIFFICULTY_BITS_MAX", "8"),
];

/// Does what a shopper's page does with a puzzle.
fn solved(task: &Value) -> String {
    let (challenge, bits) = (task["challenge"].as_str().unwrap(), task["difficultyBits"].as_u64().unwrap());
    let mut responses = (0_u64..).map(|number| format!("{challenge}:{number}"));
    responses.find(|response| u64::from(leading_zero_bits(&Sha256::digest(response))) >= bits).unwrap()
}

/// The client in the shoppers' guide.
fn guide() -> String {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/shoppers.md")).unwrap();
    let (_, rest) = document.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nf_10_a_sale_with_a_puzzle_from_the_terminal_to_the_receipt() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let api = shop.start(&["api"]).await;
    let edges = [shop.start_with(&["ingest"], &SETTINGS).await, shop.start_with(&["ingest"], &SETTINGS).await];
    let create = |challenge: &str| {
        let sale = ["sale", "--url", &api.url, "--admin-key", ADMIN_KEY, "--json", "create", "BOTS"];
        let created = shop.tool(&[&sale[..], &["--name", "Phone", "--stock", "5", "--challenge", challenge]].concat());
        (created.status.success(), String::from_utf8([created.stdout, created.stderr].concat()).unwrap())
    };
    let (taken, said) = create("captcha");
    assert!(!taken && said.contains("FLASHSALE_CHALLENGE__CAPTCHA_VERIFY_URL"), "nobody could check it: {said}");
    let (taken, said) = create("proof-of-work");
    assert!(taken && said.contains(r#""challenge": "PROOF_OF_WORK""#), "{said}");
    let shown = shop.http.get(&format!("{}/api/v1/sales?sku=BOTS", api.url)).await.unwrap();
    assert_eq!(shown.body["data"]["challenge"], "PROOF_OF_WORK");

    let mut tasks = Vec::new();
    for edge in &edges {
        let url = format!("{}/api/v1/purchases/challenge?sku=BOTS", edge.url);
        let asked = wait_until(PATIENCE, "the edge to know the sale", async || {
            let asked = shop.http.send(Method::GET, &url, &[("x-user-id", "ann")], None).await.unwrap();
            (asked.status == 200).then_some(asked)
        })
        .await;
        tasks.push(asked.body["data"].clone());
    }
    let bot = shop.http.buy(&edges[0].url, "bot", None, "BOTS").await.unwrap();
    assert_eq!((bot.status, bot.code()), (403, "CHALLENGE_REQUIRED"), "{}", bot.body);
    // Asked by one instance, answered to another.
    let (url, response) = (format!("{}/api/v1/purchases", edges[1].url), solved(&tasks[0]));
    let headers = [("x-user-id", "ann"), ("idempotency-key", "k"), ("x-challenge-response", response.as_str())];
    let bought = shop.http.send(Method::POST, &url, &headers, Some(json!({"sku": "BOTS"}))).await.unwrap();
    assert_eq!(bought.status, 200, "{}", bought.body);
    assert!(bought.purchase_no().starts_with("PUR-"), "{}", bought.body);
    // The documents' own client, word for word.
    let script = guide().replace("127.0.0.1:8080", edges[1].url.trim_start_matches("http://")).replace("DEMO", "BOTS");
    let mut python = Command::new("python3");
    python.args(["-c", &script]).env("no_proxy", "*");
    let followed = tokio::task::block_in_place(|| python.output().unwrap());
    let said = String::from_utf8([followed.stdout, followed.stderr].concat()).unwrap();
    assert!(said.contains("'purchaseNo': 'PUR-"), "{said}");
    for (edge, counted) in [
        (&edges[0], r#"flashsale_ingest_challenges_failed_total{reason="missing"} 1"#),
        (&edges[1], r#"flashsale_ingest_challenges_passed_total{kind="PROOF_OF_WORK"} 2"#),
    ] {
        let metrics = shop.http.get(&format!("{}/metrics", edge.url)).await.unwrap();
        assert!(metrics.body.as_str().unwrap().contains(counted), "{}", metrics.body);
    }
}
