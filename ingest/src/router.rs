//! HTTP: `POST /api/v1/purchases`, and what belongs to it.

use std::sync::OnceLock;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request as HttpRequest, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use flashsale_core::{NotActive, Outcome, Receipt};
use flashsale_platform::{ApiError, success};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde_json::json;

use crate::{
    Service, challenge,
    purchase::{Answer, refusal},
    request,
    trace::Request,
};

impl Service {
    /// The routes of the edge.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/api/v1/purchases", post(purchase))
            .route("/api/v1/purchases/challenge", get(challenge::read))
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

async fn purchase(State(service): State<Service>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let mut trace = Request::begin(&service.shared().tracer, &parts.headers);
    let answered = answer(&service, &parts.headers, body, &mut trace).await;
    let outcome = answered.as_ref().map_or("refused", Answer::outcome);
    let response = respond(answered);
    trace.answered(outcome, response.status());
    response
}

fn respond(answered: Result<Answer, ApiError>) -> Response {
    let mut response = match answered {
        Ok(answer) => answer.into_response(),
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What `POST /api/v1/purchases` answers to an attempt of which Redis and the log have `outcome`, before anything that
/// stands around all routes.
pub fn answer_to(outcome: Outcome) -> Response {
    respond(Ok(refusal(outcome)))
}

/// A body that is short enough, whole.
async fn read(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, request::BODY_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = "The body is larger than 4 KiB.";
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message))
        }
        Err(_) => Err(ApiError::invalid("body", "could not be read")),
    }
}

async fn answer(service: &Service, headers: &HeaderMap, body: Body, trace: &mut Request) -> Result<Answer, ApiError> {
    let body = read(body).await?;
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
            Self::SoldOut => {
                static BODY: OnceLock<Bytes> = OnceLock::new();
                rejection(&BODY, || ApiError::rejected("SOLD_OUT", "Every unit is sold."))
            }
            Self::NotActive(reason) => {
                static BODIES: [OnceLock<Bytes>; 4] = [const { OnceLock::new() }; 4];
                let (body, message) = match reason {
                    NotActive::NotStarted => (&BODIES[0], "The sale has not started yet."),
                    NotActive::TimeExpired => (&BODIES[1], "The sale has ended."),
                    NotActive::Paused => (&BODIES[2], "The sale is paused. Please try again later."),
                    NotActive::SaleReplaced => (&BODIES[3], "This sale is no longer offered. Please reload."),
                };
                rejection(body, || {
                    ApiError::rejected("SALE_NOT_ACTIVE", message).with("reason", reason.as_str().into())
                })
            }
        }
    }
}

/// A rejection that is the same for everybody: most answers of a stampede are, so its body is made once.
fn rejection(body: &'static OnceLock<Bytes>, error: impl FnOnce() -> ApiError) -> Response {
    let body = body.get_or_init(|| error().into_body().into()).clone();
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
