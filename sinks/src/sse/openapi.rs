//! This part of the OpenAPI document.

use utoipa::{OpenApi, ToSchema};

/// The envelope of a stream that is refused.
#[derive(ToSchema)]
#[allow(dead_code, reason = "documents the envelope")]
struct StreamFailure {
    success: bool,
    error: StreamError,
}

/// Why there is no stream.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "documents the envelope")]
struct StreamError {
    /// `VALIDATION_ERROR`, `NOT_FOUND`, `RATE_LIMITED` or `SERVICE_UNAVAILABLE`.
    code: String,
    /// A sentence for a person.
    message: String,
    /// With `VALIDATION_ERROR`: what is wrong with each parameter.
    #[schema(nullable = false)]
    fields: Option<std::collections::BTreeMap<String, String>>,
    /// With `RATE_LIMITED`: seconds to wait.
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

/// The live stream of a sale, as server-sent events.
///
/// `initial` comes first and holds what `GET /api/v1/sales` does; again when anything but stock and state changes.
/// `stock-update` is `{sku, stock}`, at most ten a second. `state-change` is `{sku, state, reason?}`. `reset` is `{sku}`:
/// what lies between the last event and now is missing, or it is another sale of the SKU; `initial` follows. Each event
/// has an id; a stream that is opened with the last one goes on from there, on any instance, and says nothing when there is
/// nothing new. A comment comes after 15 s of silence. The server ends a stream after an hour, and when it stops.
#[utoipa::path(
    get, path = "/api/v1/sales/events", operation_id = "streamSale", tag = "shopper",
    params(
        ("sku" = String, Query, example = "DEMO", description = "Which sale",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$"),
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "The id of the last event that was seen"),
        ("lastEventId" = Option<String>, Query, description = "As the header, which wins"),
    ),
    responses(
        (status = 200, description = "Events until either side closes", content_type = "text/event-stream", body = String),
        (status = 400, description = "The SKU is missing, or is not one", body = StreamFailure),
        (status = 404, description = "There is no such sale", body = StreamFailure),
        (status = 429, description = "This address has five streams already; see Retry-After", body = StreamFailure,
            headers(("Retry-After" = u64, description = "Seconds to wait"))),
        (status = 503, description = "No room here, or not now; see Retry-After", body = StreamFailure,
            headers(("Retry-After" = u64, description = "Seconds to wait"))),
    )
)]
#[allow(dead_code, reason = "documents router::events")]
fn events() {}

#[derive(OpenApi)]
#[openapi(paths(events))]
struct Document;

/// This part of the OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
