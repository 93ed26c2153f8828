//! Reading requests: every input is hostile until it is one of our types.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{
        DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{JsonRejection, PathRejection},
    },
    http::{StatusCode, request::Parts},
};
use flashsale_core::Sku;
use flashsale_platform::ApiError;
use serde_json::{Map, Value};

/// Longest body of an administrator, in bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Unknown fields that one answer names, and how much of each name.
const UNKNOWN_NAMED_MAX: usize = 8;
const UNKNOWN_NAME_CHARS_MAX: usize = 64;

/// What is wrong with each field, collected so that one answer names everything.
#[derive(Debug, Default)]
pub(crate) struct Faults(BTreeMap<String, String>);

impl Faults {
    pub(crate) fn add(&mut self, field: &str, why: impl Into<String>) {
        self.0.insert(field.to_owned(), why.into());
    }

    /// Takes the value, or notes why there is none.
    pub(crate) fn note<T>(&mut self, field: &str, result: Result<T, impl ToString>) -> Option<T> {
        result.map_err(|why| self.add(field, why.to_string())).ok()
    }

    /// Notes the fields of `object` that nobody knows.
    pub(crate) fn unknown(&mut self, object: &Map<String, Value>, known: &[&str]) {
        let unknown = object.keys().filter(|name| !known.contains(&name.as_str()));
        for name in unknown.take(UNKNOWN_NAMED_MAX) {
            let name: String = name.chars().take(UNKNOWN_NAME_CHARS_MAX).collect();
            self.add(&name, "is not a known field");
        }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// An error when anything was noted.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(self.error()) }
    }

    pub(crate) fn error(&self) -> ApiError {
        let fields = self.0.iter().map(|(field, why)| (field.as_str(), why.clone())).collect();
        ApiError::validation(&fields)
    }
}

/// The body, when it is a JSON object.
#[derive(Debug)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, ApiError> {
        DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
        match Json::from_request(request, state).await {
            Ok(Json(Value::Object(object))) => Ok(Self(object)),
            Ok(_) => Err(ApiError::invalid("body", "must be a JSON object")),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                let message = "Send the body as application/json.";
                Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message))
            }
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let message = "The body is larger than 16 KiB.";
                Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message))
            }
            Err(_) => Err(ApiError::invalid("body", "is not valid JSON")),
        }
    }
}

/// The SKU in the path.
#[derive(Debug)]
pub(crate) struct SkuInPath(pub(crate) Sku);

impl<S: Send + Sync> FromRequestParts<S> for SkuInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(sku) = path.map_err(|_| ApiError::invalid("sku", "is not UTF-8"))?;
        Sku::new(&sku).map(Self).map_err(|error| ApiError::invalid("sku", error.to_string()))
    }
}

/// The parameters after the question mark; of one that is named twice the last counts.
#[derive(Debug)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<Query<_>, _> = Query::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|_| ApiError::invalid("query", "cannot be read"))
    }
}

impl Parameters {
    /// The SKU, when one is named.
    pub(crate) fn sku(&self, faults: &mut Faults) -> Option<Sku> {
        self.0.get("sku").and_then(|sku| faults.note("sku", Sku::new(sku)))
    }

    /// The SKU, which must be named.
    pub(crate) fn required_sku(&self, faults: &mut Faults) -> Option<Sku> {
        if !self.0.contains_key("sku") {
            faults.add("sku", "is missing");
        }
        self.sku(faults)
    }

    /// What a parameter says, when it is there.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A whole number between `min` and `max`.
    pub(crate) fn number(&self, name: &str, default: u32, (min, max): (u32, u32), faults: &mut Faults) -> u32 {
        let Some(text) = self.0.get(name) else { return default };
        match text.parse() {
            Ok(number) if (min..=max).contains(&number) => number,
            _ => {
                faults.add(name, format!("must be a whole number from {min} to {max}"));
                default
            }
        }
    }
}
