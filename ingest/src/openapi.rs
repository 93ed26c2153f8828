//! The edge's part of the OpenAPI document.

use utoipa::OpenApi;

use crate::router::PurchaseBody;

/// Body of a purchase attempt.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "documents what request.rs reads by hand")]
struct PurchaseAttempt {
    /// What to buy.
    #[schema(example = "DEMO", max_length = 64, pattern = "^[A-Za-z0-9-]+$")]
    sku: String,
    /// How many: only 1.
    #[schema(minimum = 1, maximum = 1, nullable = false)]
    qty: Option<u64>,
}

/// A purchase.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "documents the envelope")]
struct PurchaseSuccess {
    success: bool,
    data: PurchaseBody,
}

/// A refusal or an error; `code` says which.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "documents the envelope")]
struct PurchaseFailure {
    success: bool,
    error: PurchaseError,
}

/// What was wrong.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "documents the envelope")]
struct PurchaseError {
    /// `SALE_NOT_ACTIVE`, `SOLD_OUT`, `ALREADY_PURCHASED`, `VALIDATION_ERROR`, `NOT_FOUND`, `RATE_LIMITED`, …
    code: String,
    /// A sentence for a person.
    message: String,
    /// With `SALE_NOT_ACTIVE`: `NOT_STARTED`, `TIME_EXPIRED`, `PAUSED` or `SALE_REPLACED`.
    #[schema(nullable = false)]
    reason: Option<String>,
    /// With `ALREADY_PURCHASED`: what the shopper holds.
    #[schema(nullable = false)]
    purchase: Option<PurchaseBody>,
    /// With `VALIDATION_ERROR`: what is wrong with each field.
    #[schema(nullable = false)]
    fields: Option<std::collections::BTreeMap<String, String>>,
    /// With `RATE_LIMITED`: seconds to wait.
    #[schema(rename = "retryAfter", nullable = false)]
    retry_after: Option<u64>,
}

/// Either answer of a decided attempt.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "documents the envelope")]
#[serde(untagged)]
enum PurchaseAnswer {
    /// Sold.
    Success(PurchaseSuccess),
    /// Refused by the rules of the sale.
    Failure(PurchaseFailure),
}

/// Buys one unit.
///
/// A rejection by the rules of the sale is a 200 with `success: false`. After a timeout, send the same
/// Idempotency-Key again: the answer is the same, and nothing is bought twice.
#[utoipa::path(
    post, path = "/api/v1/purchases", operation_id = "purchase", tag = "shopper",
    params(
        ("X-User-Id" = String, Header, description = "Who buys, 1 to 255 characters after trimming"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the attempt, 1 to 255 visible ASCII characters"),
    ),
    request_body = PurchaseAttempt,
    responses(
        (status = 200, description = "Sold, or refused by the rules of the sale", body = PurchaseAnswer),
        (status = 202, description = "Sold; the log will have it soon", body = PurchaseSuccess),
        (status = 400, description = "Not valid", body = PurchaseFailure),
        (status = 404, description = "No such sale", body = PurchaseFailure),
        (status = 409, description = "The Idempotency-Key was used with another body", body = PurchaseFailure),
        (status = 413, description = "Body above 4 KiB", body = PurchaseFailure),
        (status = 415, description = "Body is not JSON", body = PurchaseFailure),
        (status = 429, description = "Too many attempts of this user; see Retry-After", body = PurchaseFailure),
        (status = 503, description = "Cannot decide now; see Retry-After", body = PurchaseFailure),
    )
)]
#[allow(dead_code, reason = "documents router::purchase, which reads its request by hand")]
fn purchase() {}

#[derive(OpenApi)]
#[openapi(paths(purchase), components(schemas(PurchaseAnswer)))]
struct Document;

/// The edge's part of the OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
