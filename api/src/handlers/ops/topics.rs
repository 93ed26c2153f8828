//! `/api/v1/ops/topics`: what topics there are, and what is in them.

use axum::{extract::State, http::StatusCode, response::Response};
use flashsale_operations::{Browse, Filter, Messages, Start, TopicView};
use flashsale_platform::success;
use serde::Serialize;
use utoipa::ToSchema;

use super::Named;
use crate::{
    Service,
    auth::Viewer,
    error::Error,
    form::instant_millis,
    openapi::{AdminFailures, Failure, Success},
    request::{Faults, Parameters},
};

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 500;

/// Every topic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Topics)]
pub(crate) struct TopicList {
    /// The topics, ours first.
    topics: Vec<TopicView>,
}

/// The topics with their settings, and what of them is not as their papers say.
#[utoipa::path(
    get, path = "/api/v1/ops/topics", operation_id = "listTopics", tag = "ops", security(("adminKey" = ["viewer"])),
    responses((status = 200, description = "The topics", body = Success<TopicList>), AdminFailures)
)]
pub(crate) async fn list(State(service): State<Service>, _: Viewer) -> Result<Response, Error> {
    let topics = service.tools().operations.topics(None).await?;
    Ok(success(StatusCode::OK, TopicList { topics }))
}

/// What is in a topic, decoded, without any effect on those who read it.
///
/// Without `offset` and `time` the newest records come first; with one of them, records in the order of the log, and
/// `next` says where to look on.
#[utoipa::path(
    get, path = "/api/v1/ops/topics/{topic}/messages", operation_id = "readMessages", tag = "ops",
    security(("adminKey" = ["viewer"])),
    params(
        ("topic" = String, Path, description = "Which", example = "flashsale.purchase-decisions.v1"),
        ("partition" = Option<i32>, Query, description = "Only this partition", minimum = 0),
        ("offset" = Option<i64>, Query, description = "From this offset on", minimum = 0),
        ("time" = Option<String>, Query, format = DateTime,
            description = "From this time on, ISO 8601 with an offset; not beside `offset`"),
        ("limit" = Option<u32>, Query, description = "At most this many, 1 to 500", minimum = 1, maximum = 500, example = 50),
        ("key" = Option<String>, Query, description = "Only keys that contain this"),
        ("sku" = Option<String>, Query, description = "Only those of this SKU"),
        ("user" = Option<String>, Query, description = "Only those of this shopper"),
        ("outcome" = Option<String>, Query, description = "Only those with this outcome, such as ACCEPTED"),
        ("header" = Option<String>, Query, pattern = "=", description = "Only those with this header, as name=value"),
    ),
    responses(
        (status = 200, description = "What was found", body = Success<Messages>),
        (status = 400, description = "A parameter is not valid", body = Failure),
        (status = 404, description = "There is no such topic or partition", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn messages(
    State(service): State<Service>,
    _: Viewer,
    Named(topic): Named,
    parameters: Parameters,
) -> Result<Response, Error> {
    let mut faults = Faults::default();
    let whole = |name: &str, faults: &mut Faults| {
        let number = parameters.text(name).map(|text| text.parse::<i64>().ok().filter(|number| *number >= 0));
        number.and_then(|number| faults.note(name, number.ok_or("must be a whole number from 0")))
    };
    let partition = whole("partition", &mut faults);
    let partition =
        partition.and_then(|number| faults.note("partition", i32::try_from(number).map_err(|_| "is too large")));
    let offset = whole("offset", &mut faults);
    let time = parameters.text("time").and_then(|time| faults.note("time", instant_millis(time)));
    if offset.is_some() && time.is_some() {
        faults.add("time", "cannot stand beside offset");
    }
    let header = parameters.text("header").and_then(|header| {
        let pair = header.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        faults.note("header", pair.ok_or("must be name=value"))
    });
    let limit = parameters.number("limit", LIMIT_DEFAULT, (1, LIMIT_MAX), &mut faults);
    faults.check()?;
    let text = |name: &str| parameters.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let start = match (offset, time) {
        (Some(offset), _) => Start::Offset(offset),
        (_, Some(millis)) => Start::Time(millis),
        _ => Start::Newest,
    };
    let filter = Filter { key: text("key"), sku: text("sku"), user: text("user"), outcome: text("outcome"), header };
    let browse = Browse { topic, partition, start, limit: limit as usize, filter };
    Ok(success(StatusCode::OK, service.tools().operations.messages(&browse).await?))
}
