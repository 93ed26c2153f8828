//! `GET /api/v1/sales`: what every open page asks, over and over.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use axum::{
    body::Bytes,
    extract::{FromRequestParts, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use flashsale_core::{Listing, Micros, SaleConfig, SaleState, SaleStatus, Sku};
use flashsale_ledger::SaleView;
use flashsale_platform::{ApiError, success, success_body};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    Service,
    error::Error,
    openapi::{ChallengeName, EndReasonName, Failure, StateName, Success, Unavailable},
    request::{Faults, Parameters},
};

/// A sale as shoppers see it.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "documents flashsale_core::Listing")]
pub(crate) struct Sale {
    /// What is sold.
    #[schema(example = "DEMO")]
    sku: String,
    /// Where the sale stands.
    state: StateName,
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
    #[schema(nullable = false)]
    end_reason: Option<EndReasonName>,
    /// `true` while an operator has stopped the sale, else left out.
    #[schema(nullable = false)]
    paused: Option<bool>,
    /// What a purchase must bring along, see `GET /api/v1/purchases/challenge`; left out when it is nothing.
    #[schema(nullable = false)]
    challenge: Option<ChallengeName>,
    /// The time of this server when it answered. A page revalidated by a 304 keeps the one that came with
    /// its body.
    #[schema(format = DateTime, example = "2026-11-23T12:10:00.000Z")]
    server_time: String,
}

/// All sales.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "documents flashsale_core::Listing in a list")]
pub(crate) struct Catalogue {
    /// The active ones, of which those that end first come first; then the next by their start; then the last to end.
    #[schema(max_items = 100)]
    sales: Vec<Sale>,
    /// The time of this server when it answered.
    #[schema(format = DateTime, example = "2026-11-23T12:10:00.000Z")]
    server_time: String,
}

/// Sales in one catalogue; a shop that has more needs a search, not a longer list.
const CATALOGUE_SALES_MAX: usize = 100;

/// Sales whose answers are kept for the rest of their millisecond.
const TOLD_MAX: usize = 256;

/// The status of a sale.
///
/// Answered from memory, which follows the log: neither Redis nor Postgres is asked.
#[utoipa::path(
    get, path = "/api/v1/sales", operation_id = "readSale", tag = "shopper",
    params(
        ("sku" = Option<String>, Query, example = "DEMO", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$",
            description = "Which sale; without it the one that matters now: the active one, else the next, else the last"),
        ("If-None-Match" = Option<String>, Header, nullable = false, description = "The ETag of what the caller has"),
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
    offered: Offered,
) -> Result<Response, Error> {
    let mut faults = Faults::default();
    let sku = parameters.sku(&mut faults);
    faults.check()?;
    if !service.view().is_caught_up() {
        return Err(Error::NotReady);
    }
    let answer = service.told().answer(service.view(), sku, now())?;
    let mut response = if offered.has(answer.tag.to_str().unwrap_or_default()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        (json, answer.body).into_response()
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
    response.headers_mut().insert(header::ETAG, answer.tag);
    Ok(response)
}

/// All sales, for a page that lists them.
#[utoipa::path(
    get, path = "/api/v1/catalogue", operation_id = "readCatalogue", tag = "shopper",
    responses(
        (status = 200, description = "At most 100 sales; none is an empty list", body = Success<Catalogue>, headers(
            ("Cache-Control" = String, description = "`public, max-age=1`"),
        )),
        Unavailable,
    )
)]
pub(crate) async fn list(State(service): State<Service>) -> Result<Response, Error> {
    if !service.view().is_caught_up() {
        return Err(Error::NotReady);
    }
    let mut sales = service.view().all();
    sales.sort_by(|one, other| place(one).cmp(&place(other)));
    sales.truncate(CATALOGUE_SALES_MAX);
    let now = now();
    let sales: Vec<Listing<'_>> = sales.iter().map(|status| Listing::of(status, now)).collect();
    let mut response = success(StatusCode::OK, json!({ "sales": sales, "serverTime": now.to_string() }));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
    Ok(response)
}

/// What was told in this millisecond. Every open page asks for the same, so one answer serves thousands.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<HashMap<Option<Sku>, Answer>>);

#[derive(Debug, Clone)]
struct Answer {
    /// Of the table that it was made from.
    version: u64,
    /// What it says of the time.
    millis: i64,
    tag: HeaderValue,
    body: Bytes,
}

impl Told {
    /// The answer about the sale of `sku`, or about the one that matters now.
    fn answer(&self, view: &SaleView, sku: Option<Sku>, now: Micros) -> Result<Answer, ApiError> {
        // Asked for before the table is: an answer is never kept for newer than it is.
        let (version, millis) = (view.version(), now.as_millis());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = lock().get(&sku).filter(|told| (told.version, told.millis) == (version, millis)) {
            return Ok(answer.clone());
        }
        let status = match &sku {
            Some(sku) => view.get(sku).ok_or_else(|| ApiError::not_found(format!("There is no sale of {sku}."))),
            None => view.current().ok_or_else(|| ApiError::not_found("There is no sale.")),
        }?;
        let body = success_body(Listing::of(&status, now)).map_err(|_| ApiError::internal())?.into();
        let tag = HeaderValue::from_str(&entity_tag(&status)).map_err(|_| ApiError::internal())?;
        let answer = Answer { version, millis, tag, body };
        let mut told = lock();
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        told.insert(sku, answer.clone());
        Ok(answer)
    }
}

/// Where a sale comes in the catalogue.
fn place(status: &SaleStatus) -> (u8, i64, &Sku) {
    let SaleConfig { sku, start, end, .. } = &status.config;
    match status.state {
        SaleState::Active => (0, end.0, sku),
        SaleState::Upcoming => (1, start.0, sku),
        SaleState::Ended => (2, status.as_of.0.min(end.0).saturating_neg(), sku),
    }
}

fn now() -> Micros {
    Micros::from_utc(OffsetDateTime::now_utc())
}

/// Names what a status says: it is a function of how far its sale's history was read. Weak, because the
/// body also tells the time.
fn entity_tag(status: &SaleStatus) -> String {
    format!("W/\"{}-{}-{}\"", status.config.sale_id, status.as_of_sequence, status.as_of_event)
}

/// What `If-None-Match` offers. Not a copy of all headers: this is what every open page asks.
pub(crate) struct Offered(Vec<HeaderValue>);

impl<S: Send + Sync> FromRequestParts<S> for Offered {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect()))
    }
}

impl Offered {
    /// Weak comparison with any tag: RFC 9110, 13.1.2.
    fn has(&self, tag: &str) -> bool {
        let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        let offered = self.0.iter().filter_map(|value| value.to_str().ok());
        offered.flat_map(|tags| tags.split(',')).map(str::trim).any(|one| one == "*" || opaque(one) == opaque(tag))
    }
}
