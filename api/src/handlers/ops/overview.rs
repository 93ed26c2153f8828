//! `/api/v1/ops/overview` and `/api/v1/ops/acts`: how everything is at a glance, and who did what.

use std::{
    future::Future,
    time::{Duration, SystemTime},
};

use axum::{extract::State, http::StatusCode, response::Response};
use flashsale_core::{Micros, SaleState, SaleStatus};
use flashsale_operations::{Act, Second};
use flashsale_platform::success;
use serde::Serialize;
use utoipa::ToSchema;

use super::reconciliations::ReconciliationView;
use crate::{
    Service,
    auth::Viewer,
    error::Error,
    openapi::{AdminFailures, EndReasonName, Failure, StateName, Success},
    request::{Faults, Parameters},
};

/// Sales that are shown; the ones that matter most.
const SALES_MAX: usize = 100;
/// Seconds of decisions that are shown.
const SECONDS_MAX: usize = 300;
/// How long one store may hold up the answer.
const STORE_MAX: Duration = Duration::from_secs(2);
const ACTS_DEFAULT: u32 = 100;
const ACTS_MAX: u32 = 500;

/// A sale at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SaleGlance {
    #[schema(example = "DEMO")]
    sku: String,
    sale_id: String,
    product_name: String,
    #[schema(value_type = StateName)]
    state: SaleState,
    #[schema(required = true, value_type = Option<EndReasonName>)]
    end_reason: Option<&'static str>,
    paused: bool,
    initial_stock: u64,
    sold: u64,
    stock: u64,
    #[schema(format = DateTime)]
    start_time: String,
    #[schema(format = DateTime)]
    end_time: String,
    /// Entries that the log has not acknowledged yet; `null` when not known.
    #[schema(required = true)]
    outbox: Option<u64>,
    /// Units sold a second, over the last five.
    sold_per_second: f64,
}

/// Decisions by second.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DecisionSeconds {
    /// One after the other, the oldest first.
    seconds: Vec<Second>,
}

/// Open dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenLetters {
    /// How many; `null` when not known.
    #[schema(required = true)]
    open: Option<u64>,
}

/// The outboxes of all sales.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutboxDepth {
    /// Entries in all; `null` when not known.
    #[schema(required = true)]
    entries: Option<u64>,
}

/// How everything is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overview {
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// The sales, the active ones first.
    sales: Vec<SaleGlance>,
    /// Decisions since this process was started, at most of five minutes.
    decisions: DecisionSeconds,
    outbox: OutboxDepth,
    dead_letters: OpenLetters,
    /// The newest comparison of the stores; `null` when there was none or it is not known.
    #[schema(required = true)]
    last_reconciliation: Option<ReconciliationView>,
}

/// How everything is, at a glance. What cannot be known within two seconds is `null`.
#[utoipa::path(
    get, path = "/api/v1/ops/overview", operation_id = "readOverview", tag = "ops", security(("adminKey" = ["viewer"])),
    responses((status = 200, description = "How everything is", body = Success<Overview>), AdminFailures)
)]
pub(crate) async fn read(State(service): State<Service>, _: Viewer) -> Result<Response, Error> {
    let tools = service.tools();
    let mut sales = service.view().all();
    sales.sort_by_key(|sale| rank(sale));
    sales.truncate(SALES_MAX);
    let outboxes = within(outboxes(&service, &sales));
    let letters = within(tools.letters_open());
    let last = within(async { service.store().reconciliations(None, 1).await });
    let (outboxes, open, last) = tokio::join!(outboxes, letters, last);
    let depth_of = |place: usize| outboxes.as_ref().and_then(|depths| depths.get(place)).copied();
    let glances = sales.iter().enumerate().map(|(place, sale)| SaleGlance {
        sku: sale.config.sku.to_string(),
        sale_id: sale.config.sale_id.to_string(),
        product_name: sale.config.product_name.clone(),
        state: sale.state,
        end_reason: sale.end_reason.map(|reason| reason.as_str()),
        paused: sale.paused,
        initial_stock: sale.config.initial_stock,
        sold: sale.as_of_sequence,
        stock: sale.stock(),
        start_time: sale.config.start.to_string(),
        end_time: sale.config.end.to_string(),
        outbox: depth_of(place),
        sold_per_second: tools.pulse.sold_per_second(sale.config.sku.as_str()),
    });
    let overview = Overview {
        at: Micros::from_utc(SystemTime::now().into()).to_string(),
        sales: glances.collect(),
        decisions: DecisionSeconds { seconds: tools.pulse.seconds(SECONDS_MAX) },
        outbox: OutboxDepth { entries: outboxes.as_ref().map(|depths| depths.iter().sum()) },
        dead_letters: OpenLetters { open },
        last_reconciliation: last.and_then(|rows| rows.into_iter().next()).map(ReconciliationView::from),
    };
    Ok(success(StatusCode::OK, overview))
}

/// The active ones first, then those to come, then the last ones.
fn rank(sale: &SaleStatus) -> (u8, i64) {
    match sale.state {
        SaleState::Active => (0, -sale.config.start.0),
        SaleState::Upcoming => (1, sale.config.start.0),
        SaleState::Ended => (2, -sale.config.end.0),
    }
}

async fn outboxes(service: &Service, sales: &[std::sync::Arc<SaleStatus>]) -> Result<Vec<u64>, flashsale_lua::Error> {
    let mut depths = Vec::with_capacity(sales.len());
    for sale in sales {
        depths.push(service.hot().outbox_len(&sale.config.sku).await?);
    }
    Ok(depths)
}

/// What a store says, unless it fails or takes too long.
async fn within<T, E: std::fmt::Display>(asked: impl Future<Output = Result<T, E>>) -> Option<T> {
    match tokio::time::timeout(STORE_MAX, asked).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(%error, "not known for the overview");
            None
        }
        Err(_) => None,
    }
}

/// What operators did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Acts {
    /// The newest first.
    acts: Vec<Act>,
}

/// What operators did: who, what, when.
#[utoipa::path(
    get, path = "/api/v1/ops/acts", operation_id = "listActs", tag = "ops", security(("adminKey" = ["viewer"])),
    params(("limit" = Option<u32>, Query, description = "At most this many, 1 to 500", minimum = 1, maximum = 500, example = 100)),
    responses(
        (status = 200, description = "The newest acts", body = Success<Acts>),
        (status = 400, description = "Not a whole number in its range", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn acts(State(service): State<Service>, _: Viewer, parameters: Parameters) -> Result<Response, Error> {
    let mut faults = Faults::default();
    let limit = parameters.number("limit", ACTS_DEFAULT, (1, ACTS_MAX), &mut faults);
    faults.check()?;
    let acts = service.tools().operations.acts(limit as usize).await?;
    Ok(success(StatusCode::OK, Acts { acts }))
}
