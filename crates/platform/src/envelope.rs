//! The envelope of every HTTP answer: `{"success": true, "data": …}` or
//! `{"success": false, "error": {"code", "message", …}}`.

use std::{collections::BTreeMap, fmt};

use axum::{
    Json,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::unique_id;

/// Name of the header that ties an answer to the caller's request and to our logs.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const CORRELATION_ID_BYTES_MAX: usize = 128;

/// The id of a request, in its extensions. It is visible ASCII.
#[derive(Debug, Clone)]
pub struct CorrelationId(Id);

#[derive(Debug, Clone)]
enum Id {
    Sent(HeaderValue),
    /// Nearly all are, and nearly none is looked at: so it is no text until it leaves with the answer.
    Made(Uuid),
}

impl CorrelationId {
    /// For a request that brings none.
    pub(crate) fn new() -> Self {
        Self(Id::Made(unique_id()))
    }

    /// As the answer says it.
    pub(crate) fn into_header(self) -> HeaderValue {
        match self.0 {
            Id::Sent(id) => id,
            Id::Made(id) => {
                let mut text = Uuid::encode_buffer();
                let text = id.hyphenated().encode_lower(&mut text);
                HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none"))
            }
        }
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::Sent(id) => f.write_str(id.to_str().unwrap_or_default()),
            Id::Made(id) => id.fmt(f),
        }
    }
}

#[derive(Serialize)]
struct Success<T> {
    success: bool,
    data: T,
}

/// A successful answer with `data`.
pub fn success(status: StatusCode, data: impl Serialize) -> Response {
    (status, Json(Success { success: true, data })).into_response()
}

/// The body of a successful answer, for one that is given more than once.
///
/// # Errors
/// When `data` has no JSON.
pub fn success_body(data: impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Success { success: true, data })
}

/// An unsuccessful answer. Business rejections are these too, with status 200.
#[derive(Debug, Clone)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
    /// Whether a bearer token would help.
    wants_token: bool,
    more: Map<String, Value>,
}

impl ApiError {
    /// An error with a code in `UPPER_SNAKE` and a sentence for a person.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, wants_token: false, more: Map::new() }
    }

    /// A rejection by the rules of the business: 200 with `success: false`.
    pub fn rejected(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, code, message)
    }

    /// 400, with what is wrong with each field.
    pub fn validation(fields: &BTreeMap<&str, String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", "The request is not valid.");
        error.with("fields", json!(fields))
    }

    /// 400 for one field.
    pub fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::validation(&BTreeMap::from([(field, why.into())]))
    }

    /// 401 for want of a valid bearer token.
    pub fn token_required() -> Self {
        let message = "This needs a valid token: Authorization: Bearer ….";
        Self { wants_token: true, ..Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message) }
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// 429; come back after `seconds`.
    pub fn rate_limited(seconds: u64) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", "Too many attempts. Please wait.");
        error.retry_after(seconds).with("retryAfter", json!(seconds))
    }

    /// 503; come back after `seconds`. Says nothing about the inside.
    pub fn unavailable(seconds: u64) -> Self {
        let message = "The service cannot take the request now. Please try again shortly.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message).retry_after(seconds)
    }

    /// 408: what was announced did not come.
    pub fn request_timeout() -> Self {
        let message = "The body did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", message)
    }

    /// 500. Says nothing about the inside.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Something went wrong.")
    }

    /// Adds a member to the error object.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl ApiError {
    /// The body of its answer. Of an error that is the same for everybody it need be made only once.
    pub fn into_body(self) -> Vec<u8> {
        let mut error = self.more;
        error.insert("code".into(), self.code.into());
        error.insert("message".into(), self.message.into());
        json!({ "success": false, "error": error }).to_string().into_bytes()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, retry_after, wants_token) = (self.status, self.retry_after, self.wants_token);
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let mut response = (status, json, self.into_body()).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if wants_token {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn is_sane(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    !id.is_empty()
        && id.len() <= CORRELATION_ID_BYTES_MAX
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
}

/// Takes the client's correlation id when it is sane, else makes one; the answer is to say it too.
pub(crate) fn correlate(request: &mut Request) -> CorrelationId {
    let sent = request.headers().get(CORRELATION_ID).filter(|id| is_sane(id)).cloned();
    let id = sent.map_or_else(CorrelationId::new, |id| CorrelationId(Id::Sent(id)));
    request.extensions_mut().insert(id.clone());
    id
}
