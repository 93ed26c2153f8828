//! `flashsale top` without a terminal, against a running installation.

use std::process::Output;

use flashsale_testkit::wait_until;
use serde_json::Value;

use crate::process::{Installation, PATIENCE};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_one_frame_without_a_terminal_and_refuses_to_go_on() {
    let shop = Installation::new().await;
    let _processor = shop.start(&["processor"]).await;
    let api = shop.start(&["api"]).await;
    shop.sale(&api, "TOP", 7, 60_000).await;
    wait_until(PATIENCE, "the sale and a consumer in the frame", async || {
        let frame = text(&shop.tool(&["top", "--url", &api.url, "--once"]));
        let is_whole = frame.contains("TOP ") && frame.contains("7 of 7") && frame.contains(".flashsale-proc");
        if is_whole { Ok(()) } else { Err(frame) }
    })
    .await;
    let json = shop.tool(&["top", "--url", &api.url, "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["overview"]["sales"][0]["sku"], "TOP", "{json}");
    assert!(json["consumers"]["consumers"].is_array(), "{json}");

    let refused = shop.tool(&["top", "--url", &api.url]);
    assert!(refused.status.code() == Some(64) && text(&refused).contains("--once"), "{}", text(&refused));
    let nobody = shop.tool(&["top", "--url", "http://127.0.0.1:1", "--once"]);
    assert!(nobody.status.code() == Some(69) && text(&nobody).contains("cannot reach"), "{}", text(&nobody));
}
