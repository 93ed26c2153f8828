//! Writes of an administrator that met a server that was down, and what their repetition does.

use axum::http::Method;
use flashsale_core::{Challenge, SaleConfig, SaleState};
use flashsale_testkit::wait_until;
use serde_json::json;

use crate::{App, PATIENCE, Setup, sku};

const PRODUCT: &str = "/api/v1/products/PHONE";

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_a_sale_is_finished_by_the_same_request() {
    let app = App::start().await;
    let product = app.product("PHONE", -60, 60).await;
    // What is left when Redis fails after Postgres.
    let config = stored(&app, &product).await;

    let shown = app.admin(Method::GET, PRODUCT, None).await;
    for unknown in ["state", "paused", "currentStock", "totalPurchases"] {
        assert!(shown.data(200)[unknown].is_null(), "nobody knows its {unknown}");
    }
    app.admin(Method::POST, &format!("{PRODUCT}/pause"), None).await.assert_unavailable();
    let mut other = product.clone();
    other["initialStock"] = json!(6);
    assert_eq!(app.create(&other).await.code(), "ALREADY_EXISTS", "another configuration is another product");
    assert_eq!(app.hot.snapshot(&sku("PHONE")).await.unwrap(), None);

    let created = app.create(&product).await;
    assert_eq!(created.data(201)["saleId"], config.sale_id.as_str(), "the stored sale");
    assert_eq!(created.data(201)["state"], "ACTIVE");
    assert_eq!(app.create(&product).await.code(), "ALREADY_EXISTS");
}

async fn stored(app: &App, product: &serde_json::Value) -> SaleConfig {
    // Set up the usual way in Postgres and Redis, without the log; then taken from Redis.
    let time = |field: &str| product[field].as_str().unwrap().to_owned();
    let now = app.now().await;
    let config = SaleConfig {
        sale_id: flashsale_core::SaleId::generate(now, 1),
        sku: sku("PHONE"),
        product_name: product["productName"].as_str().unwrap().to_owned(),
        initial_stock: 5,
        start: micros(&time("startTime")),
        end: micros(&time("endTime")),
        challenge: Challenge::None,
    };
    app.store.insert_product(&config).await.unwrap();
    config
}

fn micros(text: &str) -> flashsale_core::Micros {
    let at = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).unwrap();
    flashsale_core::Micros::from_utc(at)
}

#[tokio::test]
async fn f_6_a_sale_that_redis_lost_is_not_opened_empty() {
    let app = App::start().await;
    let product = app.product("PHONE", -60, 60).await;
    app.create(&product).await.data(201);
    let receipt = app.sell(&sku("PHONE"), "a").await;
    app.hot.delete(&sku("PHONE"), &receipt.sale_id).await.unwrap();

    assert_eq!(app.create(&product).await.code(), "ALREADY_EXISTS");
    assert_eq!(app.hot.snapshot(&sku("PHONE")).await.unwrap(), None, "recovery brings it back, with its buyers");
    let shown = app.admin(Method::GET, PRODUCT, None).await;
    let data = shown.data(200);
    assert_eq!((&data["state"], &data["currentStock"]), (&json!("ACTIVE"), &json!(5)), "what the log told last");
    assert!(data["totalPurchases"].is_null(), "nobody can count them");

    // Removed all the same, also from the log.
    app.admin(Method::DELETE, PRODUCT, None).await.data(200);
    assert_eq!(app.get("/api/v1/sales?sku=PHONE", &[]).await.status, 404);
    assert_eq!(app.admin(Method::GET, PRODUCT, None).await.status, 404);
}

#[tokio::test]
async fn a_sale_that_postgres_does_not_know_is_no_obstacle_for_ever() {
    let app = App::start().await;
    let product = app.product("PHONE", -60, 60).await;
    app.create(&product).await.data(201);
    app.store.delete_product(&sku("PHONE")).await.unwrap();

    assert_eq!(app.create(&product).await.code(), "ALREADY_EXISTS");
    assert_eq!(app.store.product(&sku("PHONE")).await.unwrap(), None, "taken back");
    app.admin(Method::DELETE, PRODUCT, None).await.data(200);
    app.create(&product).await.data(201);
}

#[tokio::test]
async fn f_18_without_postgres_nothing_is_written() {
    let app = App::start().await.without_postgres();
    let product = app.product("PHONE", -60, 60).await;
    app.create(&product).await.assert_unavailable();
    assert_eq!(app.hot.snapshot(&sku("PHONE")).await.unwrap(), None);
    for (method, path) in [(Method::GET, PRODUCT), (Method::GET, "/api/v1/products"), (Method::DELETE, PRODUCT)] {
        app.admin(method, path, None).await.assert_unavailable();
    }
    app.admin(Method::PUT, PRODUCT, Some(&json!({"initialStock": 1}))).await.assert_unavailable();
}

#[tokio::test(flavor = "multi_thread")]
async fn f_9_a_request_that_met_no_redis_succeeds_when_it_is_back() {
    let redis = flashsale_testkit::private_redis().await;
    let app = Setup { redis: redis.url().to_owned(), ..Setup::new().await }.start().await;
    let product = app.product("PHONE", -60, 60).await;
    tokio::task::block_in_place(|| redis.kill());
    app.create(&product).await.assert_unavailable();
    app.create(&json!({})).await.fields();
    tokio::task::block_in_place(|| redis.restart()).unwrap();
    // As the processor does once it has compared the server with the log.
    app.hot.open_new("test").await.unwrap();
    // The first calls may still meet the broken connection.
    let created = wait_until(PATIENCE, "the product", async || {
        let answer = app.create(&product).await;
        if answer.status == 201 { Ok(answer) } else { Err(answer) }
    });
    assert_eq!(created.await.data(201)["state"], "ACTIVE");
    assert_eq!(app.hot.snapshot(&sku("PHONE")).await.unwrap().unwrap().state, SaleState::Active);
}

#[tokio::test]
async fn f_12_a_log_that_is_late_is_no_failure() {
    // Without topics nothing is acknowledged in time.
    let app = Setup { topics: false, ..Setup::new().await }.start().await;
    app.create(&app.product("PHONE", -60, 60).await).await.data(201);
    assert_eq!(app.hot.outbox_len(&sku("PHONE")).await.unwrap(), 2, "left to the relay");
    assert_eq!(app.admin(Method::GET, PRODUCT, None).await.data(200)["state"], "ACTIVE");
}
