//! `/api/v1/ops/dlq`: dead letters by cause, sent again or given up.

use axum::{extract::State, http::StatusCode, response::Response};
use flashsale_operations::{DiscardPlan, LetterDetails, LetterState, Letters, RedrivePlan, Selection};
use flashsale_platform::{ApiError, success};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Named, Order, consumers::yes, to_the_end};
use crate::{
    Service,
    auth::{Operates, Viewer},
    error::Error,
    openapi::{AdminFailures, BodyFailures, Failure, Success},
    request::{Faults, Parameters},
};

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 500;
/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 500;

/// Which letters are listed.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "documents what list reads by hand")]
enum StateWanted {
    Open,
    Redriven,
    Discarded,
    All,
}

/// Which letters: exactly one of `ids`, `class` and `all`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RedriveBody {
    /// These.
    #[schema(min_items = 1)]
    ids: Option<Vec<String>>,
    /// All open ones of a cause.
    class: Option<String>,
    /// All open ones.
    #[serde(default)]
    all: bool,
    /// Only say what would become of them.
    #[serde(default = "yes")]
    #[schema(default = true)]
    dry_run: bool,
    /// Send also those that would come back.
    #[serde(default)]
    include_failing: bool,
}

/// Which letters, and why they are given up: exactly one of `ids`, `class` and `all`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DiscardBody {
    /// These.
    #[schema(min_items = 1)]
    ids: Option<Vec<String>>,
    /// All open ones of a cause.
    class: Option<String>,
    /// All open ones.
    #[serde(default)]
    all: bool,
    /// Why, in 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500, pattern = r"\S", example = "a load test of the first day")]
    reason: String,
    /// Only say which.
    #[serde(default = "yes")]
    #[schema(default = true)]
    dry_run: bool,
}

fn selection(ids: Option<Vec<String>>, class: Option<String>, all: bool) -> Result<Selection, ApiError> {
    match (ids, class, all) {
        (Some(ids), None, false) if !ids.is_empty() => Ok(Selection::Ids(ids)),
        (None, Some(class), false) => Ok(Selection::Class(class)),
        (None, None, true) => Ok(Selection::All),
        _ => Err(ApiError::invalid("ids", "name exactly one of ids (not empty), class and all")),
    }
}

/// Dead letters: the causes of the open ones, and the newest of those asked for.
#[utoipa::path(
    get, path = "/api/v1/ops/dlq", operation_id = "listDeadLetters", tag = "ops", security(("adminKey" = ["viewer"])),
    params(
        ("state" = inline(Option<StateWanted>), Query, description = "Without it `open`", example = "open"),
        ("class" = Option<String>, Query, description = "Only those of this cause"),
        ("limit" = Option<u32>, Query, description = "At most this many letters, 1 to 500", minimum = 1, maximum = 500, example = 100),
    ),
    responses(
        (status = 200, description = "The letters", body = Success<Letters>),
        (status = 400, description = "A parameter is not valid", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn list(State(service): State<Service>, _: Viewer, parameters: Parameters) -> Result<Response, Error> {
    let mut faults = Faults::default();
    let limit = parameters.number("limit", LIMIT_DEFAULT, (1, LIMIT_MAX), &mut faults);
    let state = match parameters.text("state").unwrap_or("open") {
        "open" => Some(LetterState::Open),
        "redriven" => Some(LetterState::Redriven),
        "discarded" => Some(LetterState::Discarded),
        "all" => None,
        _ => {
            faults.add("state", "must be open, redriven, discarded or all");
            None
        }
    };
    faults.check()?;
    let class = parameters.text("class").filter(|class| !class.is_empty()).map(str::to_owned);
    Ok(success(StatusCode::OK, service.tools().operations.letters(state, class, limit as usize).await?))
}

/// One dead letter and what is in it: decoded, or as hexadecimal digits.
#[utoipa::path(
    get, path = "/api/v1/ops/dlq/{id}", operation_id = "readDeadLetter", tag = "ops", security(("adminKey" = ["viewer"])),
    params(("id" = String, Path, description = "Partition and offset", example = "3-17")),
    responses(
        (status = 200, description = "The letter", body = Success<LetterDetails>),
        (status = 400, description = "The path is not UTF-8", body = Failure),
        (status = 404, description = "There is no such letter", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn read(State(service): State<Service>, _: Viewer, Named(id): Named) -> Result<Response, Error> {
    Ok(success(StatusCode::OK, service.tools().operations.letter(&id).await?))
}

/// Sends letters to the topic they came from; first says what would become of each.
///
/// It may be repeated: what was sent before is not open any more, and what is sent twice counts once.
#[utoipa::path(
    post, path = "/api/v1/ops/dlq/redrive", operation_id = "redriveDeadLetters", tag = "ops",
    security(("adminKey" = ["operator"])),
    params(("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself")),
    request_body = RedriveBody,
    responses(
        (status = 200, description = "What would become of them, or has", body = Success<RedrivePlan>),
        (status = 409, description = "It cannot be tried now", body = Failure),
        BodyFailures, AdminFailures,
    )
)]
pub(crate) async fn redrive(
    State(service): State<Service>,
    Operates(actor): Operates,
    Order(body): Order<RedriveBody>,
) -> Result<Response, Error> {
    let tools = service.tools().clone();
    let selection = selection(body.ids, body.class, body.all)?;
    let how = (body.dry_run, body.include_failing);
    let plan =
        to_the_end(async move { Ok(tools.operations.redrive(&selection, tools.trial.clone(), &actor, how).await?) })
            .await?;
    Ok(success(StatusCode::OK, plan))
}

/// Gives letters up, for a reason.
#[utoipa::path(
    post, path = "/api/v1/ops/dlq/discard", operation_id = "discardDeadLetters", tag = "ops",
    security(("adminKey" = ["operator"])),
    params(("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself")),
    request_body = DiscardBody,
    responses(
        (status = 200, description = "Which would be given up, or are", body = Success<DiscardPlan>),
        BodyFailures, AdminFailures,
    )
)]
pub(crate) async fn discard(
    State(service): State<Service>,
    Operates(actor): Operates,
    Order(body): Order<DiscardBody>,
) -> Result<Response, Error> {
    let reason = body.reason.trim();
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        return Err(ApiError::invalid("reason", "must have 1 to 500 characters").into());
    }
    let selection = selection(body.ids, body.class, body.all)?;
    let plan = service.tools().operations.discard(&selection, reason, &actor, body.dry_run).await?;
    Ok(success(StatusCode::OK, plan))
}
