//! The edge's part of the OpenAPI document.

use utoipa::OpenApi;

use crate::router::PurchaseBody;

/// Body of a purchase attempt.
#[derive(utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "documents what request.rs reads by hand")]
struct PurchaseAttempt {
    /// What to buy.
    #[schema(example = "DEMO", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$")]
    sku: String,
    /// How many: only 1.
    #[schema(minimum = 1, maximum = 1)]
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
    /// `SALE_NOT_ACTIVE`, `SOLD_OUT`, `ALREADY_PURCHASED`, `CHALLENGE_REQUIRED`, `CHALLENGE_FAILED`,
    /// `VALIDATION_ERROR`, `NOT_FOUND`, `RATE_LIMITED`, …
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
    /// With `CHALLENGE_REQUIRED` and `CHALLENGE_FAILED`: what to do before the next try.
    #[schema(nullable = false)]
    challenge: Option<ChallengeTask>,
}

/// What a shopper has to do before a try.
#[derive(utoipa::ToSchema)]
#[schema(as = Challenge)]
#[serde(tag = "kind", rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(dead_code, reason = "documents flashsale_challenge::Task")]
enum ChallengeTask {
    /// Nothing.
    None,
    /// Find a number such that SHA-256 of `<challenge>:<number>` begins with at least `difficultyBits` zero bits;
    /// that text is the response.
    #[serde(rename_all = "camelCase")]
    ProofOfWork {
        /// The puzzle, for this shopper and this sale.
        #[schema(example = "MS4xOC4xNzk1NDM1MjYwMTIz.c2lnbmF0dXJl")]
        challenge: String,
        /// Each doubles the work.
        #[schema(example = 18, minimum = 1, maximum = 30)]
        difficulty_bits: u32,
        /// Until when a response to it is taken.
        #[schema(format = DateTime, example = "2026-11-23T12:02:00.000Z")]
        expires_at: String,
    },
    /// Have the CAPTCHA provider's widget make a token; that is the response.
    #[serde(rename_all = "camelCase")]
    Captcha {
        /// The provider's public name of this site.
        site_key: String,
        /// The provider: the host that is asked about tokens.
        #[schema(example = "api.hcaptcha.com")]
        verifier: String,
    },
}

/// A challenge.
#[derive(utoipa::ToSchema)]
#[allow(dead_code, reason = "documents the envelope")]
struct ChallengeSuccess {
    success: bool,
    data: ChallengeTask,
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
        ("X-User-Id" = String, Header, description = "Who buys, 1 to 255 characters after trimming; ignored where shoppers have tokens",
            example = "alice", min_length = 1, pattern = r"\S"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names the attempt, 1 to 255 visible ASCII characters",
            nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$"),
        ("X-Challenge-Response" = Option<String>, Header, nullable = false, min_length = 1, max_length = 2048,
            pattern = "^[!-~]+$",
            description = "What the challenge of the sale asks for, 1 to 2048 visible ASCII characters"),
    ),
    security((), ("shopperToken" = [])),
    request_body = PurchaseAttempt,
    responses(
        (status = 200, description = "Sold, or refused by the rules of the sale", body = PurchaseAnswer),
        (status = 202, description = "Sold; the log will have it soon", body = PurchaseSuccess),
        (status = 400, description = "Not valid", body = PurchaseFailure),
        (status = 401, description = "This installation wants a token, and there is none that is good",
            body = PurchaseFailure, headers(("WWW-Authenticate" = String, description = "`Bearer`"))),
        (status = 403, description = "The sale has a challenge, and the response to it is missing or not good", body = PurchaseFailure),
        (status = 404, description = "No such sale", body = PurchaseFailure),
        (status = 409, description = "The Idempotency-Key was used with another body", body = PurchaseFailure),
        (status = 408, description = "The body did not arrive in time", body = PurchaseFailure),
        (status = 413, description = "Body above 4 KiB", body = PurchaseFailure),
        (status = 415, description = "Body is not JSON", body = PurchaseFailure),
        (status = 429, description = "Too many attempts of this user, or from this address; see Retry-After",
            body = PurchaseFailure, headers(("Retry-After" = u64, description = "Seconds to wait"))),
        (status = 503, description = "Cannot decide now; see Retry-After", body = PurchaseFailure,
            headers(("Retry-After" = u64, description = "Seconds to wait"))),
    )
)]
#[allow(dead_code, reason = "documents router::purchase, which reads its request by hand")]
fn purchase() {}

/// What a shopper has to do before a try.
///
/// Most sales ask for nothing. One that does may be asked ahead of its start; a puzzle expires.
#[utoipa::path(
    get, path = "/api/v1/purchases/challenge", operation_id = "readChallenge", tag = "shopper",
    params(
        ("sku" = String, Query, description = "What is to be bought", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$"),
        ("X-User-Id" = String, Header, description = "Who buys, 1 to 255 characters after trimming; ignored where shoppers have tokens",
            example = "alice", min_length = 1, pattern = r"\S"),
    ),
    security((), ("shopperToken" = [])),
    responses(
        (status = 200, description = "What to do, or nothing", body = ChallengeSuccess),
        (status = 400, description = "Not valid", body = PurchaseFailure),
        (status = 401, description = "This installation wants a token, and there is none that is good",
            body = PurchaseFailure, headers(("WWW-Authenticate" = String, description = "`Bearer`"))),
        (status = 404, description = "No such sale", body = PurchaseFailure),
        (status = 429, description = "Too many requests from this address; see Retry-After", body = PurchaseFailure,
            headers(("Retry-After" = u64, description = "Seconds to wait"))),
        (status = 503, description = "Cannot tell now; see Retry-After", body = PurchaseFailure,
            headers(("Retry-After" = u64, description = "Seconds to wait"))),
    )
)]
#[allow(dead_code, reason = "documents challenge::read")]
fn challenge() {}

#[derive(OpenApi)]
#[openapi(paths(purchase, challenge), components(schemas(PurchaseAnswer)))]
struct Document;

/// The edge's part of the OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
