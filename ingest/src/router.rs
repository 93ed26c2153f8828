//! HTTP: `POST /api/v1/purchases`, and what belongs to it.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use flashsale_core::{NotActive, Receipt};
use flashsale_platform::{ApiError, success};
use serde::Serialize;
use serde_json::json;

use crate::{Service, challenge, purchase::Answer, request, trace::Request};

impl Service {
    /// The routes of the edge.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/api/v1/purchases", post(purchase))
            .route("/api/v1/purchases/challenge", get(challenge::read))
            .layer(DefaultBodyLimit::max(request::BODY_BYTES_MAX))
            .with_state(self.clone())
    }
}

/// What a shopper holds.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PurchaseBody {
    /// The receipt number.
    #[schema(example = "PUR-20261123-06C5HN3T8Q2Z-000042")]
    purchase_no: String,
    /// When Redis decided, UTC.
    #[schema(example = "2026-11-23T12:00:00.123Z")]
    purchased_at: String,
    /// `PENDING` in a 202: the unit is sold, the log will have it soon.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<&'static str>,
}

impl PurchaseBody {
    fn of(receipt: &Receipt) -> Self {
        Self { purchase_no: receipt.number(), purchased_at: receipt.decided_at.to_string(), status: None }
    }
}

async fn purchase(State(service): State<Service>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let mut trace = Request::begin(&service.shared().tracer, &headers);
    let answered = answer(&service, &headers, body, &mut trace).await;
    let outcome = answered.as_ref().map_or("refused", Answer::outcome);
    let mut response = match answered {
        Ok(answer) => answer.into_response(),
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    trace.answered(outcome, response.status());
    response
}

async fn answer(
    service: &Service,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    trace: &mut Request,
) -> Result<Answer, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "The body is larger than 4 KiB.";
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
        }
        _ => ApiError::invalid("body", "could not be read"),
    })?;
    let request = request::parse(&service.shared().shoppers, headers, &body)?;
    trace.about(&request.sku);
    service.purchase(request, trace.context()).await
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Purchased { receipt, .. } => success(StatusCode::OK, PurchaseBody::of(&receipt)),
            Self::Pending(receipt) => {
                let body = PurchaseBody { status: Some("PENDING"), ..PurchaseBody::of(&receipt) };
                success(StatusCode::ACCEPTED, body)
            }
            Self::AlreadyPurchased(receipt) => {
                ApiError::rejected("ALREADY_PURCHASED", "You already hold a unit of this sale.")
                    .with("purchase", json!(PurchaseBody::of(&receipt)))
                    .into_response()
            }
            Self::SoldOut => ApiError::rejected("SOLD_OUT", "Every unit is sold.").into_response(),
            Self::NotActive(reason) => {
                let message = match reason {
                    NotActive::NotStarted => "The sale has not started yet.",
                    NotActive::TimeExpired => "The sale has ended.",
                    NotActive::Paused => "The sale is paused. Please try again later.",
                    NotActive::SaleReplaced => "This sale is no longer offered. Please reload.",
                };
                let error = ApiError::rejected("SALE_NOT_ACTIVE", message);
                error.with("reason", reason.as_str().into()).into_response()
            }
        }
    }
}
