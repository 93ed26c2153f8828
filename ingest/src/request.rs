//! A purchase request: every input is hostile until it is one of our types.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode, header};
use flashsale_challenge::RESPONSE_BYTES_MAX;
use flashsale_core::{RequestId, Sku, UserId};
use flashsale_identity::{Shoppers, Unidentified};
use flashsale_platform::ApiError;
use serde::Deserialize;
use serde_json::Value;

/// Longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024;
/// Unknown fields that one answer names, and how much of each name.
const FIELDS_NAMED_MAX: usize = 8;
const FIELD_NAME_CHARS_MAX: usize = 64;

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurchaseRequest {
    /// Who buys.
    pub user: UserId,
    /// What.
    pub sku: Sku,
    /// The client's key; none when it sent none.
    pub key: Option<RequestId>,
    /// What it says to the challenge of the sale; none when it sent none.
    pub challenge_response: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    sku: &'a str,
    qty: Option<u64>,
}

/// Reads a request; an error names everything that is wrong at once. Whose it is comes first: a request of nobody is
/// not looked at.
pub fn parse(shoppers: &Shoppers, headers: &HeaderMap, body: &[u8]) -> Result<PurchaseRequest, ApiError> {
    let mut fields = BTreeMap::new();
    let user = match shoppers.identify(headers) {
        Ok(user) => Some(user),
        Err(Unidentified::Invalid(why)) => note(&mut fields, "userId", Err(why)),
        Err(Unidentified::Unauthorized) => return Err(ApiError::token_required()),
    };
    let key = note(&mut fields, "idempotencyKey", key(headers));
    let response = note(&mut fields, "challengeResponse", challenge_response(headers));
    if !is_json(headers) {
        let message = "Send the body as application/json.";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    // The common case without a tree of values; any other is read again to say what is wrong.
    if let Ok(Body { sku, qty: None | Some(1) }) = serde_json::from_slice(body)
        && let (Ok(sku), Some(user), Some(key), Some(response)) = (Sku::new(sku), &user, &key, &response)
    {
        let (user, key, challenge_response) = (user.clone(), key.clone(), response.clone());
        return Ok(PurchaseRequest { user, sku, key, challenge_response });
    }
    let explained = explain(body, &mut fields);
    let fields: BTreeMap<&str, String> = fields.iter().map(|(name, why)| (name.as_str(), why.clone())).collect();
    match (explained, user, key, response) {
        (Some(sku), Some(user), Some(key), Some(challenge_response)) if fields.is_empty() => {
            Ok(PurchaseRequest { user, sku, key, challenge_response })
        }
        _ => Err(ApiError::validation(&fields)),
    }
}

fn note<T>(fields: &mut BTreeMap<String, String>, name: &str, result: Result<T, String>) -> Option<T> {
    result.map_err(|why| fields.insert(name.to_owned(), why)).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| format!("header {name} is not UTF-8"))
}

fn key(headers: &HeaderMap) -> Result<Option<RequestId>, String> {
    text(headers, "idempotency-key")?
        .map(RequestId::new)
        .transpose()
        .map_err(|error| format!("header Idempotency-Key {error}"))
}

fn challenge_response(headers: &HeaderMap) -> Result<Option<String>, String> {
    let Some(value) = headers.get("x-challenge-response") else { return Ok(None) };
    let is_one = (1..=RESPONSE_BYTES_MAX).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
    let text = value.to_str().ok().filter(|_| is_one).map(str::to_owned);
    let why = || format!("header X-Challenge-Response must be 1 to {RESPONSE_BYTES_MAX} visible ASCII characters");
    text.map(Some).ok_or_else(why)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|media_type| media_type.split(';').next()).unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Says what is wrong with the body; the SKU when that much is right.
fn explain(body: &[u8], fields: &mut BTreeMap<String, String>) -> Option<Sku> {
    let object = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(_) => {
            fields.insert("body".into(), "must be a JSON object".into());
            return None;
        }
        Err(_) => {
            fields.insert("body".into(), "is not valid JSON".into());
            return None;
        }
    };
    let sku = match object.get("sku") {
        None => Err("is missing".to_owned()),
        Some(Value::String(sku)) => Sku::new(sku).map_err(|error| error.to_string()),
        Some(_) => Err("must be a string".to_owned()),
    };
    match object.get("qty") {
        // JSON does not tell 1 from 1.0.
        None | Some(Value::Null) => {}
        Some(qty) if qty.as_f64() == Some(1.0) => {}
        Some(_) => {
            fields.insert("qty".into(), "must be 1".into());
        }
    }
    let unknown = object.keys().filter(|name| !matches!(name.as_str(), "sku" | "qty"));
    for name in unknown.take(FIELDS_NAMED_MAX) {
        let name = name.chars().take(FIELD_NAME_CHARS_MAX).collect();
        fields.insert(name, "is not a known field".into());
    }
    note(fields, "sku", sku)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(user: &str, key: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
        headers.insert("x-user-id", HeaderValue::from_bytes(user.as_bytes()).unwrap());
        if let Some(key) = key {
            headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        }
        headers
    }

    fn fields(headers: &HeaderMap, body: &str) -> String {
        format!("{:?}", parse(&Shoppers::from_header(), headers, body.as_bytes()).expect_err("not valid"))
    }

    #[test]
    fn both_forms_of_the_body_are_taken() {
        for body in [r#"{"sku":"A"}"#, r#"{"qty":1,"sku":"A"}"#, r#"{"sku":"\u0041","qty":1.0}"#] {
            let request = parse(&Shoppers::from_header(), &headers(" zoë ", Some("k-1")), body.as_bytes()).unwrap();
            assert_eq!((request.user.as_str(), request.sku.as_str()), ("zoë", "A"), "{body}");
            assert_eq!(request.key, Some(RequestId::new("k-1").unwrap()));
        }
    }

    #[test]
    fn a_response_to_a_challenge_is_text_of_one_line_and_bounded() {
        let with = |response: &[u8]| {
            let mut headers = headers("u", None);
            headers.insert("x-challenge-response", HeaderValue::from_bytes(response).unwrap());
            headers
        };
        let longest = "x".repeat(RESPONSE_BYTES_MAX);
        for good in ["a.b-_:1", longest.as_str()] {
            let request = parse(&Shoppers::from_header(), &with(good.as_bytes()), br#"{"sku":"A"}"#).unwrap();
            assert_eq!(request.challenge_response.as_deref(), Some(good));
        }
        for bad in [&b""[..], b"a b", "zo\u{eb}".as_bytes(), format!("{longest}x").as_bytes()] {
            assert!(fields(&with(bad), r#"{"sku":"A"}"#).contains("challengeResponse"), "{bad:?}");
        }
    }

    #[test]
    fn pr_9_everything_wrong_is_named_at_once() {
        let all = fields(&headers("  ", Some("a b")), r#"{"sku":"a/b","qty":2,"coupon":"x"}"#);
        for name in ["userId", "idempotencyKey", "sku", "qty", "coupon"] {
            assert!(all.contains(name), "{name} in {all}");
        }
        for (body, name) in [
            ("", "body"),
            ("[]", "body"),
            ("{", "body"),
            ("{}", "sku"),
            (r#"{"sku":1}"#, "sku"),
            (r#"{"sku":"A","qty":"1"}"#, "qty"),
            (r#"{"sku":"A","qty":0}"#, "qty"),
            (r#"{"sku":"A","qty":1.5}"#, "qty"),
            (r#"{"sku":"A"} x"#, "body"),
        ] {
            assert!(fields(&headers("u", None), body).contains(name), "{body}");
        }
        let many: String = (0..1_000).map(|n| format!(r#","{n}{}":1"#, "x".repeat(99))).collect();
        assert!(fields(&headers("u", None), &format!(r#"{{"sku":"A"{many}}}"#)).len() < 2_000, "the answer is bounded");
    }
}
