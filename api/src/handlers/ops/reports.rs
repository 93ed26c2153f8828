//! `/api/v1/ops/sales/{sku}/report`: what a sale answered, second by second, as Postgres counted it.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use flashsale_core::{EndReason, Micros, SaleState};
use flashsale_platform::success;
use flashsale_sql::{Answer, Count};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Service,
    auth::Viewer,
    error::Error,
    lifecycle,
    openapi::{AdminFailures, EndReasonName, Failure, StateName, Success},
    request::SkuInPath,
};

/// Attempts by outcome.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportTotals {
    attempts: u64,
    accepted: u64,
    already_purchased: u64,
    sold_out: u64,
    /// By reason, such as `NOT_STARTED`.
    not_active: BTreeMap<String, u64>,
}

/// Attempts of one second.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportSecond {
    #[schema(format = DateTime)]
    at: String,
    attempts: u64,
    accepted: u64,
    already_purchased: u64,
    sold_out: u64,
    not_active: u64,
}

/// What a sale answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SaleReport {
    #[schema(example = "DEMO")]
    sku: String,
    sale_id: String,
    product_name: String,
    /// `null` when the log knows no such sale.
    #[schema(required = true, value_type = Option<StateName>)]
    state: Option<SaleState>,
    #[schema(required = true, value_type = Option<EndReasonName>)]
    end_reason: Option<&'static str>,
    initial_stock: u64,
    sold: u64,
    #[schema(format = DateTime)]
    start_time: String,
    #[schema(format = DateTime)]
    end_time: String,
    /// The second of the first attempt; `null` when there was none.
    #[schema(required = true, format = DateTime)]
    first_at: Option<String>,
    /// The second of the last attempt.
    #[schema(required = true, format = DateTime)]
    last_at: Option<String>,
    /// From when the sale could be bought in to its last unit; `null` unless it sold out.
    #[schema(required = true)]
    time_to_sell_out_ms: Option<i64>,
    totals: ReportTotals,
    /// Seconds with attempts, in order.
    per_second: Vec<ReportSecond>,
}

/// What a sale answered: by outcome and reason, second by second.
///
/// These are the counts in Postgres, which follow the log by a moment. `flashsale report` reads the log itself and
/// tells more: latency, retries, fairness.
#[utoipa::path(
    get, path = "/api/v1/ops/sales/{sku}/report", operation_id = "readReport", tag = "ops",
    security(("adminKey" = ["viewer"])),
    params(("sku" = String, Path, description = "Which", example = "DEMO",
            min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9-]+$")),
    responses(
        (status = 200, description = "What it answered", body = Success<SaleReport>),
        (status = 400, description = "The SKU is not one", body = Failure),
        (status = 404, description = "There is no such product", body = Failure),
        AdminFailures,
    )
)]
pub(crate) async fn read(
    State(service): State<Service>,
    _: Viewer,
    SkuInPath(sku): SkuInPath,
) -> Result<Response, Error> {
    let product = service.store().product(&sku).await?.ok_or_else(|| lifecycle::unknown(&sku))?;
    let config = &product.config;
    let counts = service.store().counts(&config.sale_id).await?;
    let last_sold = service.store().last_sold(&config.sale_id).await?;
    let told = service.view().get(&sku).filter(|told| told.config.sale_id == config.sale_id);
    let end_reason = told.as_ref().and_then(|told| told.end_reason);
    let begin = config.start.max(product.created_at);
    let sold_out = end_reason == Some(EndReason::SoldOut);
    let (totals, per_second) = summed(&counts);
    Ok(success(
        StatusCode::OK,
        SaleReport {
            sku: sku.to_string(),
            sale_id: config.sale_id.to_string(),
            product_name: config.product_name.clone(),
            state: told.as_ref().map(|told| told.state),
            end_reason: end_reason.map(|reason| reason.as_str()),
            initial_stock: config.initial_stock,
            sold: totals.accepted,
            start_time: config.start.to_string(),
            end_time: config.end.to_string(),
            first_at: per_second.first().map(|second| second.at.clone()),
            last_at: per_second.last().map(|second| second.at.clone()),
            time_to_sell_out_ms: last_sold
                .filter(|_| sold_out)
                .map(|last| i64::try_from(last.since(begin).as_millis()).unwrap_or(i64::MAX)),
            totals,
            per_second,
        },
    ))
}

fn summed(counts: &[Count]) -> (ReportTotals, Vec<ReportSecond>) {
    let mut totals = ReportTotals::default();
    let mut seconds: BTreeMap<Micros, ReportSecond> = BTreeMap::new();
    for Count { second, answer, count } in counts {
        let one = seconds
            .entry(*second)
            .or_insert_with(|| ReportSecond { at: second.to_string(), ..ReportSecond::default() });
        let (total, of_second) = match answer {
            Answer::Accepted => (&mut totals.accepted, &mut one.accepted),
            Answer::AlreadyPurchased => (&mut totals.already_purchased, &mut one.already_purchased),
            Answer::SoldOut => (&mut totals.sold_out, &mut one.sold_out),
            Answer::NotActive(reason) => {
                (totals.not_active.entry(reason.as_str().to_owned()).or_default(), &mut one.not_active)
            }
        };
        *total += count;
        *of_second += count;
        totals.attempts += count;
        one.attempts += count;
    }
    (totals, seconds.into_values().collect())
}

#[cfg(test)]
mod tests {
    use flashsale_core::NotActive;

    use super::*;

    #[test]
    fn counts_add_up_by_outcome_and_second() {
        let count = |second: i64, answer, count| Count { second: Micros(second * 1_000_000), answer, count };
        let (totals, seconds) = summed(&[
            count(2, Answer::SoldOut, 5),
            count(1, Answer::Accepted, 3),
            count(1, Answer::NotActive(NotActive::NotStarted), 2),
            count(2, Answer::NotActive(NotActive::Paused), 1),
            count(2, Answer::AlreadyPurchased, 4),
        ]);
        assert_eq!((totals.attempts, totals.accepted, totals.sold_out, totals.already_purchased), (15, 3, 5, 4));
        assert_eq!(
            totals.not_active.into_iter().collect::<Vec<_>>(),
            [("NOT_STARTED".into(), 2), ("PAUSED".into(), 1)]
        );
        let shown: Vec<_> = seconds.iter().map(|one| (one.at.as_str(), one.attempts, one.not_active)).collect();
        assert_eq!(shown, [("1970-01-01T00:00:01.000Z", 5, 2), ("1970-01-01T00:00:02.000Z", 10, 1)]);
    }
}
