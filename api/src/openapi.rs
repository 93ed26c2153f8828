//! The OpenAPI document, and a page to read it that loads nothing from outside.

use std::collections::BTreeMap;

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
};
use flashsale_platform::ApiError;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        OpenApi as Document, RefOr, Required,
        path::Operation,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::router::documented_routes;

/// The envelope of a success.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents flashsale_platform::success")]
pub(crate) struct Success<T> {
    /// `true`.
    #[schema(example = true)]
    success: bool,
    data: T,
}

/// The envelope of everything else.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents flashsale_platform::ApiError")]
pub(crate) struct Failure {
    /// `false`.
    #[schema(example = false)]
    success: bool,
    error: FailureDetails,
}

/// What went wrong.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "documents flashsale_platform::ApiError")]
pub(crate) struct FailureDetails {
    /// For programs.
    #[schema(example = "VALIDATION_ERROR")]
    code: String,
    /// For people.
    #[schema(example = "The request is not valid.")]
    message: String,
    /// With `VALIDATION_ERROR`: what is wrong with each field.
    #[schema(nullable = false)]
    fields: Option<BTreeMap<String, String>>,
    /// With `RATE_LIMITED`: seconds to wait.
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

/// Where a sale stands.
#[derive(ToSchema)]
#[schema(as = SaleState, rename_all = "SCREAMING_SNAKE_CASE", example = "ACTIVE")]
#[allow(dead_code, reason = "documents flashsale_core::SaleState")]
pub(crate) enum StateName {
    Upcoming,
    Active,
    Ended,
}

/// Why a sale ended.
#[derive(ToSchema)]
#[schema(as = EndReason, rename_all = "SCREAMING_SNAKE_CASE", example = "SOLD_OUT")]
#[allow(dead_code, reason = "documents flashsale_core::EndReason")]
pub(crate) enum EndReasonName {
    SoldOut,
    TimeExpired,
}

/// What a purchase must bring along: nothing, the solution of a puzzle, or a CAPTCHA provider's token.
#[derive(ToSchema)]
#[schema(as = ChallengeKind, rename_all = "SCREAMING_SNAKE_CASE", example = "NONE")]
#[allow(dead_code, reason = "documents flashsale_core::Challenge")]
pub(crate) enum ChallengeName {
    None,
    ProofOfWork,
    Captcha,
}

/// A product to be.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewProduct)]
#[allow(dead_code, reason = "documents what form.rs reads field by field")]
pub(crate) struct NewProductBody {
    #[schema(example = "DEMO", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$")]
    sku: String,
    /// Not blank.
    #[schema(example = "A phone", min_length = 1, max_length = 255, pattern = r"\S")]
    product_name: String,
    #[schema(example = 100, minimum = 1, maximum = 1_000_000_000)]
    initial_stock: u64,
    /// ISO 8601 with an offset; cut off to a millisecond.
    #[schema(format = DateTime, example = "2099-11-23T12:00:00.000Z")]
    start_time: String,
    /// As `startTime`; after it, and in the future.
    #[schema(format = DateTime, example = "2099-11-23T13:00:00.000Z")]
    end_time: String,
    /// `NONE` when it is left out. `CAPTCHA` needs a configured provider.
    #[schema(nullable = false)]
    challenge: Option<ChallengeName>,
}

/// What shall be different: one field or more.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ProductPatch, min_properties = 1)]
#[allow(dead_code, reason = "documents what form.rs reads field by field")]
pub(crate) struct ProductPatchBody {
    #[schema(example = "A phone", min_length = 1, max_length = 255, pattern = r"\S", nullable = false)]
    product_name: Option<String>,
    #[schema(example = 100, minimum = 1, maximum = 1_000_000_000, nullable = false)]
    initial_stock: Option<u64>,
    #[schema(format = DateTime, example = "2099-11-23T12:00:00.000Z", nullable = false)]
    start_time: Option<String>,
    #[schema(format = DateTime, example = "2099-11-23T13:00:00.000Z", nullable = false)]
    end_time: Option<String>,
    /// `CAPTCHA` needs a configured provider.
    #[schema(nullable = false)]
    challenge: Option<ChallengeName>,
}

/// What everything that asks a store may answer.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "documents error.rs")]
pub(crate) enum Unavailable {
    /// Too many requests from this address; come back after `Retry-After` seconds.
    #[response(status = 429, headers(("Retry-After" = u64, description = "Seconds to wait")),
        example = json!({"success": false, "error":
            {"code": "RATE_LIMITED", "message": "Too many attempts. Please wait.", "retryAfter": 1}}))]
    TooMany(Failure),
    /// It cannot be told now; come back after `Retry-After` seconds.
    #[response(status = 503, headers(("Retry-After" = u64, description = "Seconds to wait")),
        example = json!({"success": false, "error": {"code": "SERVICE_UNAVAILABLE",
            "message": "The service cannot take the request now. Please try again shortly."}}))]
    Unavailable(Failure),
}

/// What everything for administrators may answer.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "documents auth.rs and error.rs")]
pub(crate) enum AdminFailures {
    /// `X-Admin-Key` is missing or wrong.
    #[response(status = 401,
        example = json!({"success": false, "error":
            {"code": "UNAUTHORIZED", "message": "This needs a valid X-Admin-Key."}}))]
    Unauthorized(Failure),
    /// The key's role does not allow it.
    #[response(status = 403,
        example = json!({"success": false, "error":
            {"code": "FORBIDDEN", "message": "This needs a key with the role admin; the role of yours is operator."}}))]
    Forbidden(Failure),
    /// Too many requests from this address; come back after `Retry-After` seconds.
    #[response(status = 429, headers(("Retry-After" = u64, description = "Seconds to wait")),
        example = json!({"success": false, "error":
            {"code": "RATE_LIMITED", "message": "Too many attempts. Please wait.", "retryAfter": 1}}))]
    TooMany(Failure),
    /// It cannot be done now; come back after `Retry-After` seconds.
    #[response(status = 503, headers(("Retry-After" = u64, description = "Seconds to wait")),
        example = json!({"success": false, "error": {"code": "SERVICE_UNAVAILABLE",
            "message": "The service cannot take the request now. Please try again shortly."}}))]
    Unavailable(Failure),
}

/// What everything with a body may answer.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "documents request.rs")]
pub(crate) enum BodyFailures {
    /// Not valid; everything that is wrong is named at once.
    #[response(status = 400,
        example = json!({"success": false, "error": {"code": "VALIDATION_ERROR",
            "message": "The request is not valid.", "fields": {"endTime": "must be after startTime"}}}))]
    Invalid(Failure),
    /// The body did not come in time.
    #[response(status = 408,
        example = json!({"success": false, "error":
            {"code": "REQUEST_TIMEOUT", "message": "The body did not arrive in time."}}))]
    TooSlow(Failure),
    /// The body is larger than 16 KiB, or for operators than 256 KiB.
    #[response(status = 413,
        example = json!({"success": false, "error":
            {"code": "PAYLOAD_TOO_LARGE", "message": "The body is larger than 16 KiB."}}))]
    TooLarge(Failure),
    /// The body is not declared as JSON.
    #[response(status = 415,
        example = json!({"success": false, "error":
            {"code": "UNSUPPORTED_MEDIA_TYPE", "message": "Send the body as application/json."}}))]
    UnsupportedMediaType(Failure),
}

/// How this process and what it needs are.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents flashsale_platform::health")]
struct HealthReport {
    /// `healthy` or `degraded`.
    #[schema(example = "healthy")]
    status: String,
    /// Seconds since the start.
    #[schema(example = 3600)]
    uptime: u64,
    /// By name: `redis`, `postgresql`, `log`.
    checks: BTreeMap<String, HealthCheck>,
}

/// Whether this process should get traffic.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents flashsale_platform::health")]
struct Readiness {
    /// `ready`, `not ready` or `draining`.
    #[schema(example = "ready")]
    status: String,
    /// Left out while draining.
    #[schema(nullable = false)]
    checks: Option<BTreeMap<String, HealthCheck>>,
}

/// That the process runs.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents flashsale_platform::health")]
struct Liveness {
    /// `live`.
    #[schema(example = "live")]
    status: String,
}

/// One check.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "documents flashsale_platform::health")]
struct HealthCheck {
    /// `up` or `down`.
    #[schema(example = "up")]
    status: String,
    /// How long it took.
    #[schema(example = 0.42)]
    latency_ms: f64,
}

/// How this process and what it needs are.
#[utoipa::path(get, path = "/health", operation_id = "readHealth", tag = "infrastructure", responses(
    (status = 200, description = "Everything answers", body = HealthReport),
    (status = 503, description = "Something does not", body = HealthReport),
))]
#[allow(dead_code, reason = "documents flashsale_platform::health")]
fn health() {}

/// Whether the process runs at all.
#[utoipa::path(get, path = "/health/live", operation_id = "readLiveness", tag = "infrastructure", responses(
    (status = 200, description = "It does", body = Liveness),
))]
#[allow(dead_code, reason = "documents flashsale_platform::health")]
fn live() {}

/// Whether the process should get traffic.
#[utoipa::path(get, path = "/health/ready", operation_id = "readReadiness", tag = "infrastructure", responses(
    (status = 200, description = "It should", body = Readiness),
    (status = 503, description = "It should not, or not any more", body = Readiness),
))]
#[allow(dead_code, reason = "documents flashsale_platform::health")]
fn ready() {}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "readMetrics", tag = "infrastructure", responses(
    (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
))]
#[allow(dead_code, reason = "documents flashsale_platform::health")]
fn metrics() {}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", operation_id = "readOpenApi", tag = "infrastructure", responses(
    (status = 200, description = "OpenAPI 3.1", body = serde_json::Value),
))]
#[allow(dead_code, reason = "documents docs_routes")]
fn document() {}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Flashsale",
        description = "Sells N units to a stampede.\n\n\
            Every answer is in the envelope `{success, data}` or `{success, error}` and carries `X-Correlation-Id`, \
            echoed when the caller sent one. A rejection by the rules of a sale is a 200 with `success: false`. \
            Times are ISO 8601 in UTC with milliseconds.",
    ),
    paths(health, live, ready, metrics, document),
    components(schemas(Failure)),
    modifiers(&Schemes),
    tags(
        (name = "shopper", description = "For everybody"),
        (name = "admin", description = "With `X-Admin-Key`"),
        (name = "ops", description = "For operators and analysts, with `X-Admin-Key`"),
        (name = "infrastructure", description = "For those who run it"),
    )
)]
struct Frame;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
        let roles = "A key with the role that is named, or one above it: viewer, operator, admin";
        let key = ApiKeyValue::with_description("X-Admin-Key", roles);
        let whose = "A shopper's token, where the installation wants one; everywhere else X-User-Id says who it is";
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(whose));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("adminKey", SecurityScheme::ApiKey(ApiKey::Header(key)));
        components.add_security_scheme("shopperToken", SecurityScheme::Http(token.build()));
    }
}

/// Orders that may come without a body, which is as an empty object then.
const WITHOUT_BODY: [&str; 3] = ["pauseConsumer", "resumeConsumer", "reconcile"];

/// This crate's routes and those that every process has.
pub fn openapi() -> Document {
    let mut document = Frame::openapi();
    document.merge(documented_routes().into_openapi());
    for path in document.paths.paths.values_mut() {
        // `request_body = Option<…>` would say that `null` will do.
        if let Some(Operation { operation_id: Some(id), request_body: Some(RefOr::T(body)), .. }) = &mut path.post
            && WITHOUT_BODY.contains(&id.as_str())
        {
            body.required = Some(Required::False);
        }
    }
    document
}

/// What a browser may do on the documentation page: nothing that leaves this origin. Swagger UI sets styles
/// from its script and has pictures within its style sheet.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// `GET /api/openapi.json` with `document`, and Swagger UI for it at `/api/docs/`, all from this binary.
pub fn docs_routes(document: Document) -> Router {
    // Else Swagger UI shows the document to a validator on the internet.
    let config = Config::default().validator_url("none");
    let page = SwaggerUi::new("/api/docs").url("/api/openapi.json", document).config(config);
    Router::from(page).route_layer(map_response(guard))
}

async fn guard(response: Response) -> Response {
    if response.status() == StatusCode::NOT_FOUND {
        return ApiError::not_found("The documentation has no such file.").into_response();
    }
    let mut response = response;
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}
