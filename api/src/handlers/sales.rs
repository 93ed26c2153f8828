//! `GET /api/v1/sales`: what every open page asks, over and over.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flashsale_core::{EndReason, Micros, SaleState, SaleStatus};
use flashsale_platform::{ApiError, success};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    Service,
    error::Error,
    openapi::{EndReasonName, Failure, StateName, Success, Unavailable},
    request::{Faults, Parameters},
};

/// A sale as shoppers see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sale {
    /// What is sold.
    #[schema(example = "DEMO")]
    sku: String,
    /// Where the sale stands.
    #[schema(value_type = StateName)]
    state: SaleState,
    /// Units left.
    #[schema(example = 42)]
    stock: u64,
    /// Units for sale in all.
    #[schema(example = 100)]
    initial_stock: u64,
    /// Its name for people.
    #[schema(example = "A phone")]
    product_name: String,
    /// First instant of the sale.
    #[schema(format = DateTime, example = "2026-11-23T12:00:00.000Z")]
    start_time: String,
    /// First instant after the sale.
    #[schema(format = DateTime, example = "2026-11-23T13:00:00.000Z")]
    end_time: String,
    /// Why it ended, once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EndReasonName>, nullable = false)]
    end_reason: Option<EndReason>,
    /// `true` while an operator has stopped the sale, else left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    /// The time of this server when it answered. A page revalidated by a 304 keeps the one that came with
    /// its body.
    #[schema(format = DateTime, example = "2026-11-23T12:10:00.000Z")]
    server_time: String,
}

impl Sale {
    fn of(status: &SaleStatus) -> Self {
        let config = &status.config;
        Self {
            sku: config.sku.to_string(),
            state: status.state,
            stock: status.stock(),
            initial_stock: config.initial_stock,
            product_name: config.product_name.clone(),
            start_time: config.start.to_string(),
            end_time: config.end.to_string(),
            end_reason: status.end_reason,
            paused: status.paused,
            server_time: Micros::from_utc(OffsetDateTime::now_utc()).to_string(),
        }
    }
}

/// The status of a sale.
///
/// Answered from memory, which follows the log: neither Redis nor Postgres is asked.
#[utoipa::path(
    get, path = "/api/v1/sales", operation_id = "readSale", tag = "shopper",
    params(
        ("sku" = Option<String>, Query, example = "DEMO",
            description = "Which sale; without it the one that matters now: the active one, else the next, else the last"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what the caller has"),
    ),
    responses(
        (status = 200, description = "The sale", body = Success<Sale>, headers(
            ("ETag" = String, description = "Changes with everything but `serverTime`"),
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        (status = 304, description = "It is as the caller has it", headers(
            ("ETag" = String, description = "As sent"),
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        (status = 400, description = "The SKU is not one", body = Failure),
        (status = 404, description = "There is no such sale, or none at all", body = Failure),
        Unavailable,
    )
)]
pub(crate) async fn read(
    State(service): State<Service>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut faults = Faults::default();
    let sku = parameters.sku(&mut faults);
    faults.check()?;
    if !service.view().is_caught_up() {
        return Err(Error::NotReady);
    }
    let status = match &sku {
        Some(sku) => service.view().get(sku).ok_or_else(|| ApiError::not_found(format!("There is no sale of {sku}."))),
        None => service.view().current().ok_or_else(|| ApiError::not_found("There is no sale.")),
    }?;
    let tag = entity_tag(&status);
    let mut response = if is_known(&headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        success(StatusCode::OK, Sale::of(&status))
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Names what a status says: it is a function of how far its sale's history was read. Weak, because the
/// body also tells the time.
fn entity_tag(status: &SaleStatus) -> String {
    format!("W/\"{}-{}-{}\"", status.config.sale_id, status.as_of_sequence, status.as_of_event)
}

/// Weak comparison with any tag of `If-None-Match`: RFC 9110, 13.1.2.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let offered = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|tags| tags.split(',')).map(str::trim).any(|one| one == "*" || opaque(one) == opaque(tag))
}
