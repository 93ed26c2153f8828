//! `/api/v1/ops/reconciliations`: what comparisons of the stores found, and one on demand.

use std::collections::BTreeSet;

use axum::{extract::State, http::StatusCode, response::Response};
use flashsale_core::Sku;
use flashsale_platform::{ApiError, success};
use flashsale_schemas::events::OperatorAction;
use flashsale_sql::Reconciliation;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Order, to_the_end};
use crate::{
    Service,
    auth::{Operates, Viewer},
    error::Error,
    openapi::{AdminFailures, BodyFailures, Failure, Success},
    request::{Faults, Parameters},
};

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 500;

/// A difference between the stores.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Discrepancy {
    /// What kind of difference.
    #[schema(example = "MISSING_IN_POSTGRES")]
    class: String,
    /// About what.
    subject: String,
    /// What each store says.
    detail: String,
    /// Whether it was put right.
    repaired: bool,
}

/// A comparison of Redis, the log and Postgres for one sale.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reconciliation)]
pub(crate) struct ReconciliationView {
    /// The run, which may have compared several sales.
    run_id: String,
    sale_id: String,
    sku: String,
    #[schema(format = DateTime)]
    finished_at: String,
    /// `DRY_RUN` or `REPAIR`.
    mode: String,
    /// `SCHEDULE`, `STARTUP`, `SALE_ENDED` or `DEMAND`.
    trigger: String,
    /// Units compared.
    compared: u64,
    /// Differences found.
    found: u64,
    /// Of these, repaired.
    repaired: u64,
    /// The differences; of very many, the first.
    discrepancies: Vec<Discrepancy>,
}

impl From<Reconciliation> for ReconciliationView {
    fn from(row: Reconciliation) -> Self {
        Self {
            run_id: row.run_id,
            sale_id: row.sale_id,
            sku: row.sku,
            finished_at: row.finished_at.to_string(),
            mode: row.mode,
            trigger: row.trigger,
            compared: row.compared,
            found: row.found,
            repaired: row.repaired,
            discrepancies: serde_json::from_str(&row.discrepancies).unwrap_or_default(),
        }
    }
}

/// Comparisons.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reconciliations)]
pub(crate) struct ReconciliationList {
    /// The newest first.
    reconciliations: Vec<ReconciliationView>,
}

/// What a comparison may do.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Mode {
    /// Only look.
    #[default]
    DryRun,
    /// Put right what can be. A repair of Redis stops selling for some seconds.
    Repair,
}

/// A comparison on demand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReconcileBody {
    /// Which sale; every one when left out.
    #[schema(example = "DEMO", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$")]
    sku: Option<String>,
    /// What it may do.
    #[serde(default)]
    mode: Mode,
}

/// What comparisons of Redis, the log and Postgres found.
#[utoipa::path(
    get, path = "/api/v1/ops/reconciliations", operation_id = "listReconciliations", tag = "ops",
    security(("adminKey" = ["viewer"])),
    params(
        ("sku" = Option<String>, Query, description = "Only this SKU", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$"),
        ("limit" = Option<u32>, Query, description = "At most this many, 1 to 500", minimum = 1, maximum = 500, example = 50),
    ),
    responses(
        (status = 200, description = "The newest comparisons", body = Success<ReconciliationList>),
        (status = 400, description = "A parameter is not valid", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn list(State(service): State<Service>, _: Viewer, parameters: Parameters) -> Result<Response, Error> {
    let mut faults = Faults::default();
    let sku = parameters.sku(&mut faults);
    let limit = parameters.number("limit", LIMIT_DEFAULT, (1, LIMIT_MAX), &mut faults);
    faults.check()?;
    let rows = service.store().reconciliations(sku.as_ref(), limit).await?;
    let reconciliations = rows.into_iter().map(ReconciliationView::from).collect();
    Ok(success(StatusCode::OK, ReconciliationList { reconciliations }))
}

/// Compares Redis, the log and Postgres now, by content; repairs when asked to. May take half a minute.
#[utoipa::path(
    post, path = "/api/v1/ops/reconciliations", operation_id = "reconcile", tag = "ops",
    security(("adminKey" = ["operator"])),
    params(("X-Operator" = Option<String>, Header, nullable = false, min_length = 1, max_length = 64, pattern = r"\S",
            description = "Who acts, for the list of acts; a key with a name says it by itself")),
    request_body = ReconcileBody,
    responses(
        (status = 200, description = "What was found, and done", body = Success<ReconciliationList>),
        (status = 404, description = "There is no such sale", body = Failure),
        (status = 409, description = "Another comparison on demand is under way", body = Failure),
        BodyFailures, AdminFailures,
    )
)]
pub(crate) async fn run(
    State(service): State<Service>,
    Operates(actor): Operates,
    Order(body): Order<ReconcileBody>,
) -> Result<Response, Error> {
    let known: BTreeSet<Sku> = service.view().all().iter().map(|sale| sale.config.sku.clone()).collect();
    let skus = match &body.sku {
        None => known,
        Some(sku) => {
            let sku = Sku::new(sku).map_err(|error| ApiError::invalid("sku", error.to_string()))?;
            if !known.contains(&sku) {
                return Err(ApiError::not_found(format!("There is no sale {sku}.")).into());
            }
            BTreeSet::from([sku])
        }
    };
    let tools = service.tools().clone();
    let Ok(turn) = tools.reconciling.clone().try_lock_owned() else {
        let message = "Another comparison on demand is under way; wait for it.";
        return Err(ApiError::new(StatusCode::CONFLICT, "REFUSED", message).into());
    };
    let repair = body.mode == Mode::Repair;
    let target = body.sku.clone().unwrap_or_else(|| "all sales".to_owned());
    let reconciliations = to_the_end(async move {
        let _turn = turn;
        let run = (tools.reconcile)(skus, repair).await;
        let found = match &run {
            Ok(Some(run)) => {
                let rows = service.store().reconciliations(None, LIMIT_MAX).await?;
                rows.into_iter().filter(|row| row.run_id == *run).map(ReconciliationView::from).collect()
            }
            _ => Vec::<ReconciliationView>::new(),
        };
        if repair {
            // Also of one that failed half-way.
            let sum = |value: fn(&ReconciliationView) -> u64| found.iter().map(value).sum::<u64>();
            let detail =
                json!({ "found": sum(|one| one.found), "repaired": sum(|one| one.repaired), "done": run.is_ok() });
            tools.operations.record(OperatorAction::Reconcile, &target, &actor, Some(detail)).await?;
        }
        run.map_err(Error::Order)?;
        Ok(found)
    })
    .await?;
    Ok(success(StatusCode::OK, ReconciliationList { reconciliations }))
}
