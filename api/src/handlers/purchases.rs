//! `GET /api/v1/purchases`: a shopper's own receipt.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use flashsale_core::{Receipt, Sku, UserId};
use flashsale_identity::Unidentified;
use flashsale_platform::{ApiError, success};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Service,
    error::{Error, chain},
    openapi::{Failure, Success, Unavailable},
    request::{Faults, Parameters},
};

/// What a shopper holds.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Purchase {
    /// The receipt number.
    #[schema(example = "PUR-20261123-06C5HN3T8Q2Z-000042")]
    purchase_no: String,
    /// When it was decided.
    #[schema(format = DateTime, example = "2026-11-23T12:00:00.123Z")]
    purchased_at: String,
}

/// The caller's receipt.
///
/// A winner sees it at once and always the same: Redis is asked first, Postgres when Redis does not know.
#[utoipa::path(
    get, path = "/api/v1/purchases", operation_id = "readPurchase", tag = "shopper",
    params(
        ("sku" = String, Query, description = "Of which sale", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$"),
        ("X-User-Id" = String, Header, description = "Who asks, 1 to 255 characters after trimming; ignored where shoppers have tokens",
            example = "alice", min_length = 1, pattern = r"\S"),
    ),
    security((), ("shopperToken" = [])),
    responses(
        (status = 200, description = "The receipt", body = Success<Purchase>,
            headers(("Cache-Control" = String, description = "`no-store`"))),
        (status = 400, description = "The SKU or the user is not one", body = Failure),
        (status = 401, description = "This installation wants a token, and there is none that is good", body = Failure,
            headers(("WWW-Authenticate" = String, description = "`Bearer`"))),
        (status = 404, description = "The caller holds no unit", body = Failure),
        Unavailable,
    )
)]
pub(crate) async fn read(
    State(service): State<Service>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut faults = Faults::default();
    let user = match service.shoppers().identify(&headers) {
        Ok(user) => Some(user),
        Err(Unidentified::Invalid(why)) => faults.note("userId", Err(why)),
        Err(Unidentified::Unauthorized) => return Err(ApiError::token_required().into()),
    };
    let sku = parameters.required_sku(&mut faults);
    let (Some(sku), Some(user)) = (sku, user) else { return Err(faults.error().into()) };
    let receipt = find(&service, &sku, &user).await?;
    let receipt = receipt.ok_or_else(|| ApiError::not_found(format!("You hold no unit of {sku}.")))?;
    let purchase = Purchase { purchase_no: receipt.number(), purchased_at: receipt.decided_at.to_string() };
    let mut response = success(StatusCode::OK, purchase);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// "You hold none" is said only when it is known: not while Redis is down, nor while it lacks a sale that
/// the log has, because then Postgres may be behind.
async fn find(service: &Service, sku: &Sku, user: &UserId) -> Result<Option<Receipt>, Error> {
    let hot = service.hot().receipt(sku, user).await;
    if let Ok(Some(receipt)) = hot {
        return Ok(Some(receipt));
    }
    let stored = match service.store().receipt(sku, user).await {
        Ok(stored) => stored,
        // Redis decides: what it holds of a sale is enough to say no.
        Err(_) if hot.is_ok() && service.hot().snapshot(sku).await?.is_some() => return Ok(None),
        Err(error) => {
            if let Err(hot) = hot {
                tracing::error!(error = chain(&hot), "neither redis nor postgres could be asked for a receipt");
            }
            return Err(error.into());
        }
    };
    if stored.is_some() {
        return Ok(stored);
    }
    hot?;
    if service.view().get(sku).is_some() && service.hot().snapshot(sku).await?.is_none() {
        return Err(Error::HalfDone("redis lacks a sale that the log has"));
    }
    Ok(None)
}
