//! The report of one sale.

use flashsale_core::{EndReason, Micros, SaleId, SaleState, Sku};
use flashsale_schemas::events::ChangeKind;
use serde::Serialize;

use crate::{
    builder::Facts,
    demand::{self, ROWS_MAX, Second, Totals},
    fairness::Fairness,
    latency::Latency,
    retries::Retries,
    shoppers::shoppers,
    units::Units,
};

/// Changes that are listed: the first ones. A sale that nobody plays with has five or so.
const CHANGES_MAX: usize = 100;

/// What happened in one sale, as far as its log tells. Its size is bounded, whatever the size of the sale.
///
/// As JSON it has all that `GET /api/v1/ops/sales/{sku}/report` has, under the same names.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What is sold.
    pub sku: Sku,
    /// The sale.
    pub sale_id: SaleId,
    /// Its name for people.
    pub product_name: String,
    /// Where it stands after everything that was read.
    pub state: SaleState,
    /// Why it ended, once it did.
    pub end_reason: Option<EndReason>,
    /// Whether an operator has stopped it for now.
    pub paused: bool,
    /// Whether it was removed.
    pub removed: bool,
    /// Units for sale in all.
    pub initial_stock: u64,
    /// Units whose sale is in the log.
    pub sold: u64,
    /// First instant of the sale.
    #[serde(serialize_with = "iso::one")]
    pub start_time: Micros,
    /// First instant after the sale.
    #[serde(serialize_with = "iso::one")]
    pub end_time: Micros,
    /// When the first attempt was decided.
    #[serde(serialize_with = "iso::maybe")]
    pub first_at: Option<Micros>,
    /// When the last attempt was decided.
    #[serde(serialize_with = "iso::maybe")]
    pub last_at: Option<Micros>,
    /// From the start of the sale, or from its creation when that came later, to the last unit; pauses count. Not from
    /// the first unit: a sale that sells nothing in its first minutes because nobody gets through was not quick.
    /// None unless it sold out.
    pub time_to_sell_out_ms: Option<u64>,
    /// Attempts by what they were told.
    pub totals: Totals,
    /// How many seconds one row of `per_second` covers: 1, unless there were attempts in more seconds than a day has.
    pub bucket_seconds: u32,
    /// The demand curve, by the time of the decision. Times without attempts have no row.
    pub per_second: Vec<Second>,
    /// How long answers and records took.
    pub latency: Latency,
    /// How often shoppers tried.
    pub retries: Retries,
    /// Whether who came first was served first.
    pub fairness: Fairness,
    /// Where the units went.
    pub units: Units,
    /// What was done to the sale, at most a hundred changes.
    pub changes: Vec<Change>,
    /// Records that said again what another one had said.
    pub repeats: u64,
    /// Records that are newer than this build, or damaged. Nothing else in the report counts them.
    pub not_understood: u64,
}

/// A change of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Its number within the sale.
    pub number: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// When.
    #[serde(serialize_with = "iso::one")]
    pub at: Micros,
    /// Units sold by then.
    pub sold: u64,
}

impl Report {
    /// The report of what `facts` tell; none without a change, because then not even the stock is known.
    pub(crate) fn of(facts: &Facts) -> Option<Self> {
        let (_, (last_change, newest)) = facts.changes.last_key_value()?;
        let config = &newest.config;
        // The last unit ends the sale, whether the log has the change by now or not.
        let sold_out = facts.known_sequence > 0 && facts.known_sequence >= config.initial_stock;
        let (state, end_reason) = match newest.state {
            SaleState::Upcoming | SaleState::Active if sold_out => (SaleState::Ended, Some(EndReason::SoldOut)),
            state => (state, newest.end_reason),
        };
        let start = effective_start(facts, config.start);
        let shoppers = shoppers(facts, start);
        let decided = || facts.attempts.iter().map(|attempt| attempt.decided_at);
        let (bucket_seconds, per_second) = demand::curve(&facts.attempts, ROWS_MAX);
        let changes = facts.changes.iter().take(CHANGES_MAX).map(|(number, (kind, after))| Change {
            number: *number,
            kind: *kind,
            at: after.as_of,
            sold: after.as_of_sequence,
        });
        Some(Self {
            sku: config.sku.clone(),
            sale_id: config.sale_id.clone(),
            product_name: config.product_name.clone(),
            state,
            end_reason,
            paused: newest.paused,
            removed: *last_change == ChangeKind::Deleted,
            initial_stock: config.initial_stock,
            sold: facts.units.len() as u64,
            start_time: config.start,
            end_time: config.end,
            first_at: decided().min(),
            last_at: decided().max(),
            time_to_sell_out_ms: sold_out_at(facts, config.initial_stock)
                .map(|at| u64::try_from((at - start) / 1_000).unwrap_or(0)),
            totals: Totals::of(&facts.attempts),
            bucket_seconds,
            per_second,
            latency: Latency::of(&facts.attempts),
            retries: Retries::of(facts, &shoppers),
            fairness: Fairness::of(facts, &shoppers, start),
            units: Units::of(facts, config.initial_stock, start),
            changes: changes.collect(),
            repeats: facts.repeats,
            not_understood: facts.not_understood,
        })
    }
}

/// A sale that is set up after its start begins then.
fn effective_start(facts: &Facts, configured: Micros) -> Micros {
    match facts.changes.values().next() {
        Some((ChangeKind::Created, after)) => configured.max(after.as_of),
        _ => configured,
    }
}

/// When the last unit was sold; when the log lacks it, when the sale ended for that reason.
fn sold_out_at(facts: &Facts, initial_stock: u64) -> Option<Micros> {
    let last_unit = facts.units.get(&initial_stock).map(|index| facts.attempts[*index].decided_at);
    last_unit.or_else(|| {
        let ended = |(kind, _): &&(ChangeKind, _)| *kind == ChangeKind::Ended;
        let (_, after) = facts.changes.values().find(ended)?;
        (after.end_reason == Some(EndReason::SoldOut)).then_some(after.as_of)
    })
}

/// Times as ISO 8601 in UTC with milliseconds.
pub(crate) mod iso {
    use flashsale_core::Micros;
    use serde::Serializer;

    pub(crate) fn one<S: Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(crate) fn maybe<S: Serializer>(at: &Option<Micros>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => serializer.collect_str(at),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
