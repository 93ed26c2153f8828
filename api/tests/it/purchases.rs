//! `GET /api/v1/purchases`.

use flashsale_core::{Micros, Receipt, RequestId, SaleState, SaleStatus, Sku, UserId, invariants::Sold};
use flashsale_sql::{Applied, Apply, Decided, Entry, Read, Store};
use serde_json::{Value, json};

use crate::{App, Setup, config, sku};

fn body(receipt: &Receipt) -> Value {
    json!({"purchaseNo": receipt.number(), "purchasedAt": receipt.decided_at.to_string()})
}

async fn record(store: &Store, sku: &Sku, user: &str, receipt: &Receipt) {
    let unit =
        Sold { user: UserId::new(user).unwrap(), request_id: RequestId::new("r").unwrap(), receipt: receipt.clone() };
    let sold = Decided::Sold { sku: sku.clone(), unit };
    let read = Read { topic: "t", partition: 0, next: 1, consumed: 1, rejected: 0, skipped: 0 };
    let batch = Apply { reads: vec![read], entries: vec![Entry { read: 0, offset: 0, decided: &sold, origin: None }] };
    assert_eq!(store.apply("test", &batch).await.unwrap(), Applied::Written(vec![(1, 0)]));
}

#[tokio::test]
async fn pr_8_a_winner_sees_the_same_receipt_at_once_and_for_ever() {
    let app = App::start().await;
    let phone = sku("PHONE");
    app.create(&app.product("PHONE", -60, 60).await).await.data(201);
    let receipt = app.sell(&phone, "zoë").await;
    let mine = [("x-user-id", " zoë ")];
    // Not in Postgres yet.
    let answer = app.get("/api/v1/purchases?sku=PHONE", &mine).await;
    assert_eq!(answer.data(200), &body(&receipt));
    assert_eq!(answer.header("cache-control"), "no-store");

    record(&app.store, &phone, "zoë", &receipt).await;
    app.hot.delete(&phone, &receipt.sale_id).await.unwrap();
    assert_eq!(app.get("/api/v1/purchases?sku=PHONE", &mine).await.data(200), &body(&receipt), "only in Postgres");
}

#[tokio::test]
async fn t_5_who_holds_nothing_is_told_so() {
    let app = App::start().await;
    app.create(&app.product("PHONE", -60, 60).await).await.data(201);
    for path in ["/api/v1/purchases?sku=PHONE", "/api/v1/purchases?sku=NOBODY"] {
        let answer = app.get(path, &[("x-user-id", "bob")]).await;
        assert_eq!((answer.status, answer.code()), (404, "NOT_FOUND"));
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn t_5_bad_input_is_named_field_by_field() {
    let app = App::start().await;
    let long = "x".repeat(256);
    let fields = async |query: &str, headers: &[(&str, &str)]| {
        app.get(&format!("/api/v1/purchases{query}"), headers).await.fields().clone()
    };
    let missing = json!({"sku": "is missing", "userId": "header X-User-Id is missing"});
    assert_eq!(fields("", &[]).await, missing);
    let both = json!({"sku": "must not be empty", "userId": "header X-User-Id must not be blank"});
    assert_eq!(fields("?sku=", &[("x-user-id", "  ")]).await, both);
    let user = json!({"userId": "header X-User-Id must be at most 255 characters"});
    assert_eq!(fields("?sku=A", &[("x-user-id", &long)]).await, user);
}

#[tokio::test]
async fn f_6_a_sale_that_redis_lost_is_not_a_purchase_that_never_was() {
    let app = App::start().await;
    let status = SaleStatus {
        config: config("PHONE", 1),
        state: SaleState::Active,
        end_reason: None,
        paused: false,
        as_of_sequence: 3,
        as_of_event: 2,
        as_of: Micros(0),
    };
    app.tell(&status).await;
    app.get("/api/v1/purchases?sku=PHONE", &[("x-user-id", "bob")]).await.assert_unavailable();
}

#[tokio::test(flavor = "multi_thread")]
async fn f_9_without_redis_postgres_still_knows_winners() {
    let redis = flashsale_testkit::private_redis().await;
    let app = Setup { redis: redis.url().to_owned(), ..Setup::new().await }.start().await;
    let phone = sku("PHONE");
    let receipt =
        Receipt { sale_id: config("PHONE", 1).sale_id, sequence: 7, decided_at: Micros(1_795_435_200_123_987) };
    record(&app.store, &phone, "zoë", &receipt).await;
    tokio::task::block_in_place(|| redis.kill());

    let winner = app.get("/api/v1/purchases?sku=PHONE", &[("x-user-id", "zoë")]).await;
    assert_eq!(winner.data(200)["purchasedAt"], "2026-11-23T12:00:00.123Z");
    assert_eq!(winner.data(200), &body(&receipt));
    app.get("/api/v1/purchases?sku=PHONE", &[("x-user-id", "bob")]).await.assert_unavailable();
}

#[tokio::test]
async fn f_18_without_postgres_redis_still_knows_winners() {
    let app = App::start().await;
    let phone = sku("PHONE");
    app.create(&app.product("PHONE", -60, 60).await).await.data(201);
    let receipt = app.sell(&phone, "zoë").await;
    let app = app.without_postgres();
    assert_eq!(app.get("/api/v1/purchases?sku=PHONE", &[("x-user-id", "zoë")]).await.data(200), &body(&receipt));
    let nobody = app.get("/api/v1/purchases?sku=PHONE", &[("x-user-id", "bob")]).await;
    assert_eq!((nobody.status, &nobody.body["error"]["code"]), (404, &"NOT_FOUND".into()), "Redis holds the sale");
    // Of a sale that Redis does not hold, only Postgres could tell.
    app.get("/api/v1/purchases?sku=OTHER", &[("x-user-id", "bob")]).await.assert_unavailable();
    assert_eq!(app.get("/api/v1/sales?sku=PHONE", &[]).await.status, 200, "the status asks neither");
}
