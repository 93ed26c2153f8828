//! `/api/v1/ops/consumers`: seen, held, let go on, put elsewhere.

use std::collections::BTreeSet;

use axum::{extract::State, http::StatusCode, response::Response};
use flashsale_operations::{Consumer, Order as Standing, Reset, ResetPlan, Target};
use flashsale_platform::{ApiError, success};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Named, Order, to_the_end};
use crate::{
    Service,
    auth::{Operates, Viewer},
    error::Error,
    form::instant_millis,
    openapi::{AdminFailures, BodyFailures, Failure, Success},
};

/// Every consumer group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Consumers)]
pub(crate) struct ConsumerList {
    /// When they were looked at last; `null` before the first look.
    #[schema(required = true, format = DateTime)]
    at: Option<String>,
    /// By how much of the past they are judged, in seconds.
    #[schema(example = 30)]
    window_seconds: u64,
    /// Why there was no newer look; `null` when there was one.
    #[schema(required = true)]
    problem: Option<String>,
    /// The groups, ours first.
    consumers: Vec<Consumer>,
}

/// Which partitions an order is about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartitionsBody {
    /// Their numbers; all when left out or empty.
    #[serde(default)]
    #[schema(value_type = Vec<i32>)]
    partitions: BTreeSet<i32>,
}

/// What a consumer was told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Steered {
    /// The group.
    consumer: String,
    /// The order that stands now.
    order: Standing,
}

/// Where a consumer is to go on.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ResetTo {
    /// At the first record that there still is.
    Earliest,
    /// At the next record that comes.
    Latest,
    /// At `offset` of each partition.
    Offset,
    /// At the first record of `time` or later.
    Time,
    /// Where `group` is.
    Group,
}

/// A reset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResetBody {
    /// Where to go on.
    to: ResetTo,
    /// With `offset`.
    offset: Option<i64>,
    /// With `time`: ISO 8601 with an offset.
    #[schema(format = DateTime)]
    time: Option<String>,
    /// With `group`.
    #[schema(min_length = 1, max_length = 249)]
    group: Option<String>,
    /// Only this topic.
    #[schema(min_length = 1, max_length = 249)]
    topic: Option<String>,
    /// Only these partitions; all when left out or empty.
    #[serde(default)]
    #[schema(value_type = Vec<i32>)]
    partitions: BTreeSet<i32>,
    /// Only say what would change.
    #[serde(default = "yes")]
    #[schema(default = true)]
    dry_run: bool,
}

pub(crate) fn yes() -> bool {
    true
}

impl ResetBody {
    fn target(&self) -> Result<Target, ApiError> {
        let missing = |field: &'static str| ApiError::invalid(field, "is missing");
        match self.to {
            ResetTo::Earliest => Ok(Target::Earliest),
            ResetTo::Latest => Ok(Target::Latest),
            ResetTo::Offset => self.offset.map(Target::Offset).ok_or_else(|| missing("offset")),
            ResetTo::Group => self.group.clone().map(Target::Group).ok_or_else(|| missing("group")),
            ResetTo::Time => {
                let time = self.time.as_deref().ok_or_else(|| missing("time"))?;
                instant_millis(time).map(Target::Time).map_err(|why| ApiError::invalid("time", why))
            }
        }
    }
}

/// Every consumer group: members, positions, lag in records and seconds, and whether that keeps up.
///
/// The verdict is judged by what happened during a window, not by a threshold. What is not known is `null`.
#[utoipa::path(
    get, path = "/api/v1/ops/consumers", operation_id = "listConsumers", tag = "ops", security(("adminKey" = ["viewer"])),
    responses((status = 200, description = "The groups", body = Success<ConsumerList>), AdminFailures)
)]
pub(crate) async fn list(State(service): State<Service>, _: Viewer) -> Result<Response, Error> {
    let tools = service.tools();
    let seen = tools.consumers.borrow().clone();
    Ok(success(
        StatusCode::OK,
        ConsumerList {
            at: seen.at.map(|at| at.to_string()),
            window_seconds: tools.window.as_secs(),
            problem: seen.problem.as_ref().map(|_| "the brokers could not be asked".to_owned()),
            consumers: seen.consumers.clone(),
        },
    ))
}

/// Has a consumer hold its partitions, in every instance and also after restarts.
#[utoipa::path(
    post, path = "/api/v1/ops/consumers/{name}/pause", operation_id = "pauseConsumer", tag = "ops",
    security(("adminKey" = ["operator"])),
    params(
        ("name" = String, Path, description = "The group", example = "flashsale-sink-postgres"),
        ("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself"),
    ),
    request_body = PartitionsBody,
    responses(
        (status = 200, description = "The order stands", body = Success<Steered>),
        (status = 404, description = "It is no consumer that takes orders", body = Failure),
        (status = 409, description = "It reads no such partition", body = Failure),
        BodyFailures, AdminFailures,
    )
)]
pub(crate) async fn pause(
    State(service): State<Service>,
    Operates(actor): Operates,
    Named(name): Named,
    Order(body): Order<PartitionsBody>,
) -> Result<Response, Error> {
    let (consumer, operations) = (name.clone(), service.tools().operations.clone());
    let pausing = async move { Ok(operations.pause(&name, &body.partitions, &actor).await?) };
    Ok(success(StatusCode::OK, Steered { consumer, order: to_the_end(pausing).await? }))
}

/// Lets a consumer go on.
#[utoipa::path(
    post, path = "/api/v1/ops/consumers/{name}/resume", operation_id = "resumeConsumer", tag = "ops",
    security(("adminKey" = ["operator"])),
    params(
        ("name" = String, Path, description = "The group", example = "flashsale-sink-postgres"),
        ("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself"),
    ),
    request_body = PartitionsBody,
    responses(
        (status = 200, description = "The order stands", body = Success<Steered>),
        (status = 404, description = "It is no consumer that takes orders", body = Failure),
        (status = 409, description = "It reads no such partition", body = Failure),
        BodyFailures, AdminFailures,
    )
)]
pub(crate) async fn resume(
    State(service): State<Service>,
    Operates(actor): Operates,
    Named(name): Named,
    Order(body): Order<PartitionsBody>,
) -> Result<Response, Error> {
    let (consumer, operations) = (name.clone(), service.tools().operations.clone());
    let resuming = async move { Ok(operations.resume(&name, &body.partitions, &actor).await?) };
    Ok(success(StatusCode::OK, Steered { consumer, order: to_the_end(resuming).await? }))
}

/// Puts a consumer elsewhere; first says what that skips and repeats.
#[utoipa::path(
    post, path = "/api/v1/ops/consumers/{name}/reset", operation_id = "resetConsumer", tag = "ops",
    security(("adminKey" = ["operator"])),
    params(
        ("name" = String, Path, description = "The group", example = "flashsale-sink-postgres"),
        ("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself"),
    ),
    request_body = ResetBody,
    responses(
        (status = 200, description = "What would change, or has", body = Success<ResetPlan>),
        (status = 404, description = "There is no such group or topic", body = Failure),
        (status = 409, description = "The group has members (`CONSUMER_RUNNING`), or it cannot be done", body = Failure),
        BodyFailures, AdminFailures,
    )
)]
pub(crate) async fn reset(
    State(service): State<Service>,
    Operates(actor): Operates,
    Named(consumer): Named,
    Order(body): Order<ResetBody>,
) -> Result<Response, Error> {
    let reset = Reset { consumer, to: body.target()?, topic: body.topic.clone(), partitions: body.partitions.clone() };
    let operations = service.tools().operations.clone();
    let plan = to_the_end(async move { Ok(operations.reset(&reset, &actor, body.dry_run).await?) }).await?;
    Ok(success(StatusCode::OK, plan))
}
