//! Purchase requests: headers and a body, as the write edge reads them.

use axum::{
    body::to_bytes,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::IntoResponse,
};
use flashsale_core::{RequestId, Sku, UserId};
use flashsale_identity::Shoppers;
use flashsale_ingest::{BODY_BYTES_MAX, PurchaseRequest, parse_request};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::framing::parts;

/// Longest answer to a request that is not valid, in bytes: it names a few unknown fields, each cut off.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Feeds a request, its headers as lines.
pub fn request(data: &[u8]) {
    let (lines, body) = parts(data);
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        // What cannot be a header does not get past the HTTP parser.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    // Nor does a longer body get past the router.
    let body = &body[..body.len().min(BODY_BYTES_MAX)];
    match parse_request(&Shoppers::from_header(), &headers, body) {
        Ok(request) => taken(&request),
        Err(refusal) => refused(refusal.into_response()),
    }
}

/// What is taken is valid in every part, and the same when it is sent as we would write it.
fn taken(request: &PurchaseRequest) {
    let PurchaseRequest { user, sku, key, challenge_response } = request;
    assert_eq!(UserId::new(user.as_str()).as_ref(), Ok(user));
    assert_eq!(Sku::new(sku.as_str()).as_ref(), Ok(sku));
    let mut headers = HeaderMap::new();
    let mut insert = |name: &'static str, value: &str| {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("an identifier has no control characters");
        headers.insert(name, value);
    };
    insert("content-type", "application/json");
    insert("x-user-id", user.as_str());
    if let Some(key) = key {
        assert_eq!(RequestId::new(key.as_str()).as_ref(), Ok(key));
        insert("idempotency-key", key.as_str());
    }
    if let Some(response) = challenge_response {
        insert("x-challenge-response", response);
    }
    let body = json!({ "sku": sku.as_str(), "qty": 1 }).to_string();
    let again = parse_request(&Shoppers::from_header(), &headers, body.as_bytes());
    assert_eq!(again.expect("a valid request"), *request);
}

/// A refusal is in the envelope, bounded, and says what is wrong.
fn refused(response: axum::response::Response) {
    let status = response.status().as_u16();
    assert!([400, 415].contains(&status), "answered with {status}");
    let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).now_or_never();
    let body = body.expect("an answer is there at once").expect("an answer is bounded");
    let answer: Value = serde_json::from_slice(&body).expect("an answer is JSON");
    let error = &answer["error"];
    let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
    assert!(answer["success"] == json!(false) && !text("code").is_empty() && !text("message").is_empty(), "{answer}");
    if status == 400 {
        let fields = error["fields"].as_object();
        let fields = fields.expect("a request that is not valid has fields that are not");
        assert!(!fields.is_empty() && fields.values().all(|why| why.as_str().is_some_and(|why| !why.is_empty())));
    }
}
