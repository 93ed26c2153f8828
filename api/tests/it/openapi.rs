//! The document, and the page that shows it.

use axum::{Router, body::Body, http::Request};
use flashsale_api::{docs_routes, openapi};
use flashsale_platform::Health;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::{App, finish};

fn document() -> Value {
    serde_json::to_value(openapi()).unwrap()
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let operations =
                item.as_object().unwrap().iter().filter(|(_, operation)| operation["responses"].is_object());
            operations.map(|(method, operation)| (method.to_uppercase(), path.clone(), operation))
        })
        .collect()
}

#[tokio::test]
async fn t_4_what_is_documented_is_served_and_what_is_served_is_documented() {
    let document = document();
    let mut served: Vec<String> =
        operations(&document).iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    served.sort();
    // The routes come out of the same list as the document; this is that nothing falls out of both.
    assert_eq!(
        served,
        [
            "DELETE /api/v1/products/{sku}",
            "GET /api/openapi.json",
            "GET /api/v1/catalogue",
            "GET /api/v1/ops/acts",
            "GET /api/v1/ops/consumers",
            "GET /api/v1/ops/dlq",
            "GET /api/v1/ops/dlq/{id}",
            "GET /api/v1/ops/overview",
            "GET /api/v1/ops/reconciliations",
            "GET /api/v1/ops/sales/{sku}/report",
            "GET /api/v1/ops/topics",
            "GET /api/v1/ops/topics/{topic}/messages",
            "GET /api/v1/products",
            "GET /api/v1/products/{sku}",
            "GET /api/v1/purchases",
            "GET /api/v1/sales",
            "GET /health",
            "GET /health/live",
            "GET /health/ready",
            "GET /metrics",
            "POST /api/v1/ops/consumers/{name}/pause",
            "POST /api/v1/ops/consumers/{name}/reset",
            "POST /api/v1/ops/consumers/{name}/resume",
            "POST /api/v1/ops/dlq/discard",
            "POST /api/v1/ops/dlq/redrive",
            "POST /api/v1/ops/reconciliations",
            "POST /api/v1/products",
            "POST /api/v1/products/{sku}/pause",
            "POST /api/v1/products/{sku}/resume",
            "PUT /api/v1/products/{sku}",
        ]
    );

    let app = App::start().await;
    let health = Health::builder().build();
    for (method, path, operation) in operations(&document) {
        let named = [("{sku}", "PHONE"), ("{name}", "nobody"), ("{topic}", "none"), ("{id}", "0-0")];
        let uri = named.iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
        let request = Request::builder().method(method.as_str()).uri(uri);
        let request = request.body(Body::empty()).unwrap();
        let routes = match path.as_str() {
            "/api/openapi.json" => docs_routes(openapi()),
            path if path.starts_with("/api/") => app.router.clone(),
            _ => health.routes(),
        };
        let response = routes.oneshot(request).await.unwrap();
        let status = response.status().as_u16().to_string();
        assert!(operation["responses"].get(&status).is_some(), "{method} {path} answers {status}");
    }
}

#[test]
fn t_4_every_operation_names_itself_its_failures_and_its_key() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let scheme = &document["components"]["securitySchemes"]["adminKey"];
    assert_eq!(
        (&scheme["type"], &scheme["in"], &scheme["name"]),
        (&"apiKey".into(), &"header".into(), &"X-Admin-Key".into())
    );
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{what}");
        let is_admin = ["/api/v1/products", "/api/v1/ops"].iter().any(|begin| path.starts_with(begin));
        let schemes = operation["security"].as_array().cloned().unwrap_or_default();
        let wants = |scheme: &str| schemes.iter().any(|one| one[scheme].is_array());
        assert_eq!(wants("adminKey"), is_admin, "{what}");
        let responses = operation["responses"].as_object().unwrap();
        assert_eq!(responses.contains_key("401"), is_admin || wants("shopperToken"), "{what}");
        assert_eq!(responses.contains_key("403"), is_admin, "{what}");
        if is_admin {
            let role = schemes[0]["adminKey"][0].as_str().unwrap_or_default();
            assert!(["viewer", "operator", "admin"].contains(&role), "{what} names the role that it needs");
        }
        if path.starts_with("/api/v1/") {
            for status in ["429", "503"] {
                assert!(responses[status]["headers"]["Retry-After"].is_object(), "{what} answers with {status}");
            }
            for status in ["408", "413", "415"] {
                assert_eq!(responses.contains_key(status), operation["requestBody"].is_object(), "{what}: {status}");
            }
            let takes_nothing = operation["parameters"].is_null() && operation["requestBody"].is_null();
            assert_eq!(responses.contains_key("400"), !takes_nothing, "{what}");
        }
        assert!(
            responses.values().all(|response| response["description"].as_str().is_some_and(|text| !text.is_empty()))
        );
    }
    every_reference_leads_somewhere(&document, &document);
}

fn every_reference_leads_somewhere(part: &Value, document: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            members.values().for_each(|part| every_reference_leads_somewhere(part, document));
        }
        Value::Array(parts) => parts.iter().for_each(|part| every_reference_leads_somewhere(part, document)),
        _ => {}
    }
}

#[tokio::test]
async fn t_4_the_page_loads_nothing_from_outside() {
    // As the cli does, with another service's route on a path of ours and its part of the document.
    let mut merged = openapi();
    merged.info.title = "Merged".into();
    let routes = finish(Router::new().merge(docs_routes(merged)));
    let get = async |path: &str| {
        let response = routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    };
    let (parts, served) = get("/api/openapi.json").await;
    assert_eq!((parts.status.as_u16(), &parts.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    assert_eq!(serde_json::from_str::<Value>(&served).unwrap()["info"]["title"], "Merged");

    let (parts, _) = get("/api/docs").await;
    assert_eq!((parts.status.as_u16(), &parts.headers["location"]), (303, &"/api/docs/".parse().unwrap()));
    let (parts, page) = get("/api/docs/").await;
    assert_eq!(parts.status, 200);
    let policy = parts.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'self'") && !policy.contains("http"), "the browser sees to it: {policy}");
    let sources = |page: &str| -> Vec<String> {
        let attributes = ["src=\"", "href=\""].map(|attribute| page.split(attribute).skip(1).collect::<Vec<_>>());
        attributes.concat().iter().map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    assert!(sources(&page).len() >= 6, "{page}");
    for source in sources(&page) {
        assert!(!source.contains("//"), "{source}");
        let (parts, _) = get_bytes(&routes, &format!("/api/docs/{}", source.trim_start_matches("./"))).await;
        assert_eq!(parts, 200, "{source}");
    }
    let (_, start) = get("/api/docs/swagger-initializer.js").await;
    assert!(start.contains("/api/openapi.json") && start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert!(!start.contains("://"), "{start}");

    let (parts, body) = get("/api/docs/nothing.js").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((parts.status.as_u16(), &body["error"]["code"]), (404, &"NOT_FOUND".into()));
}

async fn get_bytes(routes: &Router, path: &str) -> (u16, usize) {
    let response = routes.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes().len())
}
