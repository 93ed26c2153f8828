//! `/api/v1/products`: what an administrator does, and what is refused.

use axum::{
    body::Body,
    http::{Method, Request},
};
use flashsale_api::{Config, ConfigError, Service};
use flashsale_core::{Challenge, SaleId, SaleState};
use flashsale_identity::Shoppers;
use serde_json::{Value, json};

use crate::{ADMIN_KEY, App, Setup, sku};

const ROUTES: [(&str, &str); 7] = [
    ("POST", "/api/v1/products"),
    ("GET", "/api/v1/products"),
    ("GET", "/api/v1/products/PHONE"),
    ("PUT", "/api/v1/products/PHONE"),
    ("DELETE", "/api/v1/products/PHONE"),
    ("POST", "/api/v1/products/PHONE/pause"),
    ("POST", "/api/v1/products/PHONE/resume"),
];

fn method(name: &str) -> Method {
    name.parse().unwrap()
}

/// The part of a product that its administrator set, as it is answered.
fn with(product: &Value, more: Value) -> Value {
    let mut product = product.clone();
    product.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    product
}

#[tokio::test]
async fn t_6_only_the_administrator_passes() {
    let app = App::start().await;
    for (verb, path) in ROUTES {
        let mut answers = Vec::new();
        for key in [None, Some(""), Some("sesame-open-sesam"), Some("sesame-open-sesame!")] {
            let mut request = Request::builder().method(verb).uri(path);
            if let Some(key) = key {
                request = request.header("x-admin-key", key);
            }
            let answer = app.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!((answer.status, answer.code()), (401, "UNAUTHORIZED"), "{verb} {path} {key:?}");
            answers.push(answer.body);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "a missing and a wrong key get the same answer");
    }
}

#[tokio::test]
async fn t_6_a_short_admin_key_is_refused_at_start() {
    let app = App::start().await;
    for (key, chars) in [("", 0), ("fifteen-chars-x", 15), ("äääääääää", 9)] {
        let config = Config { admin_key: key.into(), admin_keys_file: None, allow_delete: false, has_captcha: false };
        let App { hot, store, ledger, view, tools, .. } = app.clone();
        let refused = Service::new(&config, hot, store, ledger, view, tools, Shoppers::from_header()).unwrap_err();
        assert_eq!(refused, ConfigError::AdminKeyTooShort(chars));
        assert!(refused.to_string().contains("at least 16 characters"), "{refused}");
        assert!(!format!("{config:?} {refused}").contains("fifteen"), "the key itself is never shown");
    }
}

#[tokio::test]
async fn t_6_a_product_is_set_up_and_shown_everywhere_at_once() {
    let app = App::start().await;
    let product = app.product("PHONE", 60, 120).await;
    let created = app.create(&product).await;
    let data = created.data(201);
    let (sale, at) = (data["saleId"].clone(), data["createdAt"].clone());
    let created_now = json!({"state": "UPCOMING", "saleId": sale, "createdAt": at, "challenge": "NONE"});
    assert_eq!(data, &with(&product, created_now.clone()));
    let sale = SaleId::new(sale.as_str().unwrap()).unwrap();
    let at = at.as_str().unwrap();
    assert_eq!((at.len(), &at[23..]), (24, "Z"), "{at}");

    let status = app.get("/api/v1/sales?sku=PHONE", &[]).await;
    assert_eq!(status.data(200)["state"], "UPCOMING", "whoever writes reads it at once");
    let snapshot = app.hot.snapshot(&sku("PHONE")).await.unwrap().unwrap();
    assert_eq!((snapshot.sale_id, snapshot.state, snapshot.stock), (sale.clone(), SaleState::Upcoming, 5));
    assert_eq!(app.store.product(&sku("PHONE")).await.unwrap().unwrap().config.sale_id, sale);
    assert_eq!(app.hot.outbox_len(&sku("PHONE")).await.unwrap(), 0, "published and settled");

    let shown = with(&product, created_now);
    let shown = with(&shown, json!({"paused": false, "currentStock": 5, "totalPurchases": 0}));
    let one = app.admin(Method::GET, "/api/v1/products/PHONE", None).await;
    assert_eq!(one.data(200), &shown);
    let all = app.admin(Method::GET, "/api/v1/products", None).await;
    assert_eq!(all.data(200), &json!([shown]));
}

#[tokio::test]
async fn t_6_a_start_in_the_past_is_active_at_once() {
    let app = App::start().await;
    let created = app.create(&app.product("PHONE", -60, 60).await).await;
    assert_eq!(created.data(201)["state"], "ACTIVE");
    assert_eq!(app.get("/api/v1/sales", &[]).await.data(200)["state"], "ACTIVE");
    for user in ["a", "b"] {
        app.sell(&sku("PHONE"), user).await;
    }
    let shown = app.admin(Method::GET, "/api/v1/products/PHONE", None).await;
    let data = shown.data(200);
    assert_eq!(
        (&data["currentStock"], &data["totalPurchases"], &data["state"]),
        (&json!(3), &json!(2), &json!("ACTIVE"))
    );
}

#[tokio::test]
async fn t_6_times_may_have_any_offset_and_are_kept_in_milliseconds() {
    let app = App::start().await;
    let mut product = app.product("PHONE", -60, 60).await;
    product["startTime"] = json!("2026-01-02T03:04:05.678999+02:00");
    product["endTime"] = json!("2099-12-31T23:59:59-01:00");
    let created = app.create(&product).await;
    let data = created.data(201);
    assert_eq!(data["startTime"], "2026-01-02T01:04:05.678Z");
    assert_eq!(data["endTime"], "2100-01-01T00:59:59.000Z");
}

#[tokio::test]
async fn f_27_an_existing_sku_is_never_overwritten() {
    let app = App::start().await;
    let product = app.product("PHONE", -60, 60).await;
    app.create(&product).await.data(201);
    app.sell(&sku("PHONE"), "a").await;
    let before = app.admin(Method::GET, "/api/v1/products/PHONE", None).await.data(200).clone();
    for again in [product.clone(), with(&product, json!({"initialStock": 9}))] {
        let refused = app.create(&again).await;
        assert_eq!((refused.status, refused.code()), (409, "ALREADY_EXISTS"));
    }
    assert_eq!(app.admin(Method::GET, "/api/v1/products/PHONE", None).await.data(200), &before);
}

#[tokio::test]
async fn t_6_everything_wrong_with_a_product_is_named_at_once() {
    let app = App::start().await;
    let product = app.product("PHONE", 60, 120).await;
    let fields = async |product: Value| app.create(&product).await.fields().clone();
    let all = ["sku", "productName", "initialStock", "startTime", "endTime"];
    let missing: Value =
        all.iter().map(|field| ((*field).to_owned(), json!("is missing"))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(fields(json!({})).await, missing);
    let wrong =
        json!({"sku": "a b", "productName": " ", "initialStock": 0, "startTime": "now", "endTime": 1, "color": "red"});
    let time = "must be ISO 8601 with an offset, such as 2026-11-23T12:00:00.000Z";
    assert_eq!(
        fields(wrong).await,
        json!({
            "sku": "may only contain A-Z, a-z, 0-9 and -", "productName": "must not be blank",
            "initialStock": "must be a whole number from 1 to 1000000000", "startTime": time, "endTime": "must be a string",
            "color": "is not a known field",
        })
    );
    let stock = "must be a whole number from 1 to 1000000000";
    for (field, value, why) in [
        ("sku", json!("x".repeat(65)), "must be at most 64 characters"),
        ("sku", json!(7), "must be a string"),
        ("productName", json!("x".repeat(256)), "must be at most 255 characters"),
        ("productName", json!("a\nb"), "must not contain control characters"),
        ("productName", json!(null), "must be a string"),
        ("initialStock", json!(-1), stock),
        ("initialStock", json!(1.5), stock),
        ("initialStock", json!("5"), stock),
        ("initialStock", json!(1_000_000_001_u64), stock),
        ("startTime", json!("2026-11-23T12:00:00"), time),
        ("endTime", product["startTime"].clone(), "must be after startTime"),
    ] {
        assert_eq!(fields(with(&product, json!({field: value}))).await, json!({field: why}));
    }
    let past = json!({"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-01-02T00:00:00Z", "initialStock": 0});
    let both = json!({"endTime": "must be in the future", "initialStock": stock});
    assert_eq!(fields(with(&product, past)).await, both, "by the Redis clock, together with the rest");
    assert_eq!(app.store.products(10, 0).await.unwrap(), [], "nothing was stored");
}

#[tokio::test]
async fn pr_9_a_body_that_is_no_json_object() {
    let app = App::start().await;
    for (verb, path) in [("POST", "/api/v1/products"), ("PUT", "/api/v1/products/PHONE")] {
        let send = async |content_type: &str, body: String| {
            let request = Request::builder().method(verb).uri(path).header("x-admin-key", ADMIN_KEY);
            let request = request.header("content-type", content_type);
            app.send(request.body(Body::from(body)).unwrap()).await
        };
        for (body, why) in [("{", "is not valid JSON"), ("", "is not valid JSON"), ("[]", "must be a JSON object")] {
            assert_eq!(send("application/json", body.into()).await.fields(), &json!({"body": why}), "{verb} {body}");
        }
        let large = send("application/json", format!("{{\"sku\":\"{}\"}}", "x".repeat(16 * 1024))).await;
        assert_eq!((large.status, large.code()), (413, "PAYLOAD_TOO_LARGE"));
        let form = send("text/plain", "{}".into()).await;
        assert_eq!((form.status, form.code()), (415, "UNSUPPORTED_MEDIA_TYPE"));
    }
}

#[tokio::test]
async fn t_6_products_are_listed_page_by_page() {
    let app = App::start().await;
    for name in ["C", "A", "B"] {
        app.create(&app.product(name, 60, 120).await).await.data(201);
    }
    let list = async |query: &str| {
        let answer = app.admin(Method::GET, &format!("/api/v1/products{query}"), None).await;
        let products = answer.data(200).as_array().unwrap().clone();
        products.iter().map(|product| product["sku"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, ["A", "B", "C"]);
    assert_eq!(list("?limit=2").await, ["A", "B"]);
    assert_eq!(list("?limit=2&offset=2").await, ["C"]);
    assert_eq!(list("?limit=200&offset=9").await, Vec::<String>::new());
    let refused = app.admin(Method::GET, "/api/v1/products?limit=201&offset=-1", None).await;
    let limit =
        json!({"limit": "must be a whole number from 1 to 200", "offset": "must be a whole number from 0 to 1000000"});
    assert_eq!(refused.fields(), &limit);
    for query in ["limit=0", "limit=x", "limit=1.5", "limit="] {
        let refused = app.admin(Method::GET, &format!("/api/v1/products?{query}"), None).await;
        assert_eq!(refused.status, 400, "{query}");
    }
}

#[tokio::test]
async fn t_6_an_upcoming_sale_can_be_changed() {
    let app = App::start().await;
    let product = app.product("PHONE", 60, 120).await;
    let created = app.create(&product).await.data(201).clone();
    let patch = json!({"productName": "Another", "initialStock": 9});
    let changed = app.admin(Method::PUT, "/api/v1/products/PHONE", Some(&patch)).await;
    let shown = with(&with(&created, patch), json!({"paused": false, "currentStock": 9, "totalPurchases": 0}));
    assert_eq!(changed.data(200), &shown);
    let status = app.get("/api/v1/sales?sku=PHONE", &[]).await;
    assert_eq!((&status.data(200)["productName"], &status.data(200)["stock"]), (&json!("Another"), &json!(9)));
    assert_eq!(app.store.product(&sku("PHONE")).await.unwrap().unwrap().config.initial_stock, 9);

    let put = async |patch: Value| app.admin(Method::PUT, "/api/v1/products/PHONE", Some(&patch)).await;
    let nothing = json!({"body": "must have one or more of productName, initialStock, startTime, endTime, challenge"});
    assert_eq!(put(json!({})).await.fields(), &nothing);
    let unknown = json!({"sku": "is not a known field", "initialStock": "must be a whole number from 1 to 1000000000"});
    assert_eq!(put(json!({"sku": "OTHER", "initialStock": 0})).await.fields(), &unknown);
    let late = put(json!({"startTime": product["endTime"]})).await;
    assert_eq!(late.fields(), &json!({"startTime": "must be before endTime"}));
    let early = put(json!({"endTime": product["startTime"]})).await;
    assert_eq!(early.fields(), &json!({"endTime": "must be after startTime"}));
    let past = put(json!({"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-01-02T00:00:00Z"})).await;
    assert_eq!(past.fields(), &json!({"endTime": "must be in the future"}));
    assert_eq!(app.admin(Method::GET, "/api/v1/products/PHONE", None).await.data(200), &shown, "nothing changed");

    // A start that has passed begins the sale.
    let begun = put(json!({"startTime": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(begun.data(200)["state"], "ACTIVE");
    let refused = put(json!({"initialStock": 1})).await;
    assert_eq!((refused.status, refused.code()), (200, "SALE_NOT_MODIFIABLE"));
    assert_eq!(app.store.product(&sku("PHONE")).await.unwrap().unwrap().config.initial_stock, 9);
}

#[tokio::test]
async fn t_6_a_sale_has_a_challenge_when_its_administrator_says_so() {
    let app = App::start().await;
    let product = with(&app.product("PHONE", 60, 120).await, json!({"challenge": "PROOF_OF_WORK"}));
    assert_eq!(app.create(&product).await.data(201)["challenge"], "PROOF_OF_WORK");
    let public = async || app.get("/api/v1/sales?sku=PHONE", &[]).await.data(200).get("challenge").cloned();
    assert_eq!(public().await, Some(json!("PROOF_OF_WORK")));
    let catalogue = app.get("/api/v1/catalogue", &[]).await;
    assert_eq!(catalogue.data(200)["sales"][0]["challenge"], "PROOF_OF_WORK");
    assert_eq!(app.create(&product).await.code(), "ALREADY_EXISTS");

    let put = async |patch: Value| app.admin(Method::PUT, "/api/v1/products/PHONE", Some(&patch)).await;
    let other = put(json!({"initialStock": 9})).await;
    assert_eq!(other.data(200)["challenge"], "PROOF_OF_WORK", "another change leaves it");
    let unknown = put(json!({"challenge": "HARD"})).await;
    assert_eq!(unknown.fields(), &json!({"challenge": "must be one of NONE, PROOF_OF_WORK, CAPTCHA"}));
    let captcha = json!({"challenge": "CAPTCHA"});
    for answer in [put(captcha.clone()).await, app.create(&with(&product, captcha)).await] {
        let why = answer.fields()["challenge"].as_str().unwrap();
        assert!(why.contains("FLASHSALE_CHALLENGE__CAPTCHA_VERIFY_URL"), "nobody could pass it: {why}");
    }
    assert_eq!(put(json!({"challenge": "NONE"})).await.data(200)["challenge"], "NONE");
    assert_eq!(public().await, None, "shoppers are told of what they have to do only");
    assert_eq!(app.store.product(&sku("PHONE")).await.unwrap().unwrap().config.challenge, Challenge::None);
}

#[tokio::test]
async fn t_6_the_kill_switch_stops_a_sale_and_lets_it_go_on() {
    let app = App::start().await;
    app.create(&app.product("PHONE", -60, 60).await).await.data(201);
    let post = async |what: &str| app.admin(Method::POST, &format!("/api/v1/products/PHONE/{what}"), None).await;
    for (what, paused) in [("pause", true), ("pause", true), ("resume", false), ("resume", false)] {
        let answer = post(what).await;
        let data = answer.data(200);
        assert_eq!(
            (&data["sku"], &data["paused"], &data["state"]),
            (&json!("PHONE"), &json!(paused), &json!("ACTIVE"))
        );
        let status = app.get("/api/v1/sales?sku=PHONE", &[]).await;
        assert_eq!(status.data(200).get("paused"), paused.then_some(&json!(true)));
    }
    for user in ["a", "b", "c", "d", "e"] {
        app.sell(&sku("PHONE"), user).await;
    }
    for what in ["pause", "resume"] {
        let refused = post(what).await;
        assert_eq!((refused.status, refused.code()), (200, "SALE_NOT_MODIFIABLE"), "the last unit ended it");
    }
}

#[tokio::test]
async fn t_6_a_product_is_removed_everywhere() {
    let app = App::start().await;
    let product = app.product("PHONE", -60, 60).await;
    let first = app.create(&product).await.data(201).clone();
    app.sell(&sku("PHONE"), "a").await;
    let gone = app.admin(Method::DELETE, "/api/v1/products/PHONE", None).await;
    assert_eq!(gone.data(200), &json!({"sku": "PHONE", "deleted": true}));
    for path in ["/api/v1/products/PHONE", "/api/v1/sales?sku=PHONE"] {
        assert_eq!(app.admin(Method::GET, path, None).await.status, 404, "{path}");
    }
    assert_eq!(app.get("/api/v1/purchases?sku=PHONE", &[("x-user-id", "a")]).await.status, 404);
    assert_eq!(app.hot.snapshot(&sku("PHONE")).await.unwrap(), None);
    assert_eq!(app.admin(Method::DELETE, "/api/v1/products/PHONE", None).await.code(), "NOT_FOUND");

    let second = app.create(&product).await.data(201).clone();
    assert!(second["saleId"].as_str() > first["saleId"].as_str(), "another sale of the SKU");
    assert_eq!(app.get("/api/v1/sales?sku=PHONE", &[]).await.data(200)["stock"], 5);
}

#[tokio::test]
async fn t_6_removal_needs_permission() {
    let app = Setup { allow_delete: false, ..Setup::new().await }.start().await;
    app.create(&app.product("PHONE", 60, 120).await).await.data(201);
    for path in ["/api/v1/products/PHONE", "/api/v1/products/NOBODY"] {
        let refused = app.admin(Method::DELETE, path, None).await;
        assert_eq!((refused.status, refused.code()), (403, "FORBIDDEN"));
        assert!(refused.body.to_string().contains("FLASHSALE_ALLOW_DELETE"));
    }
    assert_eq!(app.admin(Method::GET, "/api/v1/products/PHONE", None).await.status, 200);
}

#[tokio::test]
async fn t_6_unknown_and_impossible_skus() {
    let app = App::start().await;
    let patch = json!({"initialStock": 1});
    for (verb, path) in &ROUTES[2..] {
        let body = (*verb == "PUT").then_some(&patch);
        let unknown = app.admin(method(verb), path, body).await;
        assert_eq!((unknown.status, unknown.code()), (404, "NOT_FOUND"), "{verb} {path}");
        for (bad, why) in [("a_b", "may only contain A-Z, a-z, 0-9 and -"), ("%FF", "is not UTF-8")] {
            let refused = app.admin(method(verb), &path.replace("PHONE", bad), body).await;
            assert_eq!(refused.fields(), &json!({"sku": why}), "{verb} {path}");
        }
    }
    let other = app.admin(Method::PATCH, "/api/v1/products/PHONE", None).await;
    assert_eq!((other.status, other.code()), (405, "METHOD_NOT_ALLOWED"));
}
