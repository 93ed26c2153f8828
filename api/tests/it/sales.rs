//! `GET /api/v1/sales`.

use flashsale_core::{EndReason, Micros, SaleState, SaleStatus};
use serde_json::json;

use crate::{App, Setup, config};

fn status(sku: &str, state: SaleState, sequence: u64, event: u64) -> SaleStatus {
    SaleStatus {
        config: config(sku, 1),
        state,
        end_reason: None,
        paused: false,
        as_of_sequence: sequence,
        as_of_event: event,
        as_of: Micros(0),
    }
}

#[tokio::test]
async fn t_4_status_of_a_sale_in_each_state() {
    let app = App::start().await;
    let mut sale = status("PHONE", SaleState::Upcoming, 0, 1);
    app.tell(&sale).await;
    let answer = app.get("/api/v1/sales?sku=PHONE", &[]).await;
    let server_time = answer.data(200)["serverTime"].as_str().unwrap().to_owned();
    let mut expected = json!({
        "sku": "PHONE", "state": "UPCOMING", "stock": 5, "initialStock": 5, "productName": "A phone ☎",
        "startTime": "2026-11-23T12:00:00.000Z", "endTime": "2026-11-23T13:00:00.500Z", "serverTime": server_time,
    });
    assert_eq!(answer.data(200), &expected);
    assert_eq!((server_time.len(), server_time.ends_with('Z')), (24, true), "{server_time}");
    assert_eq!(answer.header("cache-control"), "public, max-age=1");
    assert!(answer.headers.contains_key("x-correlation-id"));

    let answered = async |sale: &SaleStatus| {
        app.tell(sale).await;
        let mut data = app.get("/api/v1/sales?sku=PHONE&utm=ignored", &[]).await.data(200).clone();
        data["serverTime"] = json!(server_time);
        data
    };
    (sale.state, sale.as_of_event, sale.as_of_sequence) = (SaleState::Active, 2, 2);
    (expected["state"], expected["stock"]) = (json!("ACTIVE"), json!(3));
    assert_eq!(answered(&sale).await, expected);
    (sale.paused, sale.as_of_event, expected["paused"]) = (true, 3, json!(true));
    assert_eq!(answered(&sale).await, expected);
    (sale.paused, sale.state, sale.as_of_event) = (false, SaleState::Ended, 4);
    (sale.end_reason, sale.as_of_sequence) = (Some(EndReason::SoldOut), 5);
    expected.as_object_mut().unwrap().remove("paused");
    (expected["state"], expected["stock"], expected["endReason"]) = (json!("ENDED"), json!(0), json!("SOLD_OUT"));
    assert_eq!(answered(&sale).await, expected);
}

#[tokio::test]
async fn t_4_without_a_sku_the_sale_that_matters_now() {
    let app = App::start().await;
    let none = app.get("/api/v1/sales", &[]).await;
    assert_eq!((none.status, none.code(), none.header("cache-control")), (404, "NOT_FOUND", "no-store"));
    for (sku, state) in [("OVER", SaleState::Ended), ("NEXT", SaleState::Upcoming), ("NOW", SaleState::Active)] {
        app.tell(&status(sku, state, 0, 1)).await;
        assert_eq!(app.get("/api/v1/sales", &[]).await.data(200)["sku"], sku);
    }
}

#[tokio::test]
async fn t_4_the_catalogue_lists_what_can_be_bought_first() {
    let app = App::start().await;
    let empty = app.get("/api/v1/catalogue", &[]).await;
    assert_eq!((&empty.data(200)["sales"], empty.header("cache-control")), (&json!([]), "public, max-age=1"));
    for (sku, state, as_of, end) in [
        ("OVER", SaleState::Ended, 1, 9),
        ("JUST-OVER", SaleState::Ended, 2, 9),
        ("NEXT", SaleState::Upcoming, 0, 9),
        ("LONG", SaleState::Active, 0, 9),
        ("SHORT", SaleState::Active, 0, 8),
    ] {
        let mut sale = status(sku, state, 0, 1);
        sale.as_of = Micros(as_of);
        sale.config.end = Micros::from_millis(sale.config.start.as_millis() + end);
        app.tell(&sale).await;
    }
    let answer = app.get("/api/v1/catalogue", &[]).await;
    let sales = answer.data(200)["sales"].as_array().unwrap();
    let skus: Vec<&str> = sales.iter().map(|sale| sale["sku"].as_str().unwrap()).collect();
    assert_eq!(skus, ["SHORT", "LONG", "NEXT", "JUST-OVER", "OVER"]);
    let alone = app.get("/api/v1/sales?sku=LONG", &[]).await;
    for field in ["sku", "state", "stock", "initialStock", "productName", "startTime", "endTime"] {
        assert_eq!(sales[1][field], alone.data(200)[field], "{field}");
    }
    assert!(answer.data(200)["serverTime"].is_string());
}

#[tokio::test]
async fn nf_12_an_unchanged_status_is_not_sent_again() {
    let app = App::start().await;
    let mut sale = status("PHONE", SaleState::Active, 0, 2);
    app.tell(&sale).await;
    let first = app.get("/api/v1/sales?sku=PHONE", &[]).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
    let strong = tag.trim_start_matches("W/");
    for known in [tag.as_str(), strong, "*", &format!("\"x\", {tag}")] {
        let answer = app.get("/api/v1/sales?sku=PHONE", &[("if-none-match", known)]).await;
        assert_eq!((answer.status, &answer.body), (304, &serde_json::Value::Null), "{known}");
        assert_eq!((answer.header("etag"), answer.header("cache-control")), (tag.as_str(), "public, max-age=1"));
    }
    let other = app.get("/api/v1/sales?sku=PHONE", &[("if-none-match", "\"x\"")]).await;
    assert_eq!((other.status, other.header("etag")), (200, tag.as_str()));

    let mut tags = vec![tag];
    for (sequence, event) in [(1, 2), (1, 3), (2, 3)] {
        (sale.as_of_sequence, sale.as_of_event) = (sequence, event);
        app.tell(&sale).await;
        let answer = app.get("/api/v1/sales?sku=PHONE", &[("if-none-match", &tags.join(", "))]).await;
        assert_eq!(answer.status, 200, "a sold unit and a change of state are news");
        tags.push(answer.header("etag").to_owned());
    }
}

#[tokio::test]
async fn t_4_a_status_that_cannot_be_given() {
    let app = App::start().await;
    let unknown = app.get("/api/v1/sales?sku=NOBODY", &[]).await;
    assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"));
    assert_eq!((unknown.header("cache-control"), unknown.header("etag")), ("no-store", ""));
    for (query, why) in [
        ("sku=", "must not be empty".to_owned()),
        ("sku=a%2Fb", "may only contain A-Z, a-z, 0-9 and -".to_owned()),
        (&format!("sku={}", "x".repeat(65)), "must be at most 64 characters".to_owned()),
    ] {
        assert_eq!(app.get(&format!("/api/v1/sales?{query}"), &[]).await.fields(), &json!({"sku": why}));
    }
}

#[tokio::test]
async fn t_4_before_the_log_is_read_nothing_is_said_to_be_unknown() {
    let app = Setup { topics: false, ..Setup::new().await }.start().await;
    app.get("/api/v1/sales?sku=PHONE", &[]).await.assert_unavailable();
    app.get("/api/v1/sales", &[]).await.assert_unavailable();
    app.get("/api/v1/catalogue", &[]).await.assert_unavailable();
    assert_eq!(app.get("/api/v1/sales?sku=", &[]).await.status, 400);
}
