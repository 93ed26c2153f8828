//! `/api/v1/ops`: what operators and analysts see and do. The work is that of `flashsale-operations`, which the
//! command line uses too.

pub(crate) mod consumers;
pub(crate) mod dead_letters;
pub(crate) mod overview;
pub(crate) mod reconciliations;
pub(crate) mod reports;
pub(crate) mod topics;

use std::future::Future;

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request, rejection::PathRejection},
    http::{StatusCode, header, request::Parts},
};
use flashsale_platform::ApiError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;

/// Longest body, in bytes: room for the ids of as many letters as one call settles.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// A body in JSON; none at all is an empty object.
#[derive(Debug)]
pub(crate) struct Order<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Order<T> {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, ApiError> {
        DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
        let media_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = Bytes::from_request(request, state).await.map_err(|_| {
            let message = "The body is larger than 256 KiB.";
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
        })?;
        if body.is_empty() {
            return parse(b"{}");
        }
        let is_json =
            media_type.is_some_and(|given| given.to_str().is_ok_and(|given| given.starts_with("application/json")));
        if !is_json {
            let message = "Send the body as application/json.";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
        }
        parse(&body)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Order<T>, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|_| ApiError::invalid("body", "is not valid JSON"))?;
    // An array would do for a struct as well.
    if !value.is_object() {
        return Err(ApiError::invalid("body", "must be a JSON object"));
    }
    let order = serde_json::from_value(value);
    order.map(Order).map_err(|error| ApiError::invalid("body", error.to_string()))
}

/// Does what was ordered to its end, also when who ordered it hangs up: half of it would be in no list of acts.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::Order(error.into())),
    }
}

/// What the path names.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|_| ApiError::invalid("path", "is not UTF-8"))
    }
}
