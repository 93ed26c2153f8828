//! How many wanted a unit, when, and what they were told.

use std::collections::BTreeMap;

use flashsale_core::Micros;
use serde::Serialize;

use crate::{
    builder::{Answer, Attempt},
    report::iso,
};

/// Most rows of the demand curve: the seconds of a day.
pub(crate) const ROWS_MAX: usize = 86_400;
/// A reason newer than this build.
const OTHER_REASON: &str = "UNKNOWN";
const SECOND_US: i64 = 1_000_000;

/// Attempts by what they were told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// All of them; a request that was repeated after its success counts once.
    pub attempts: u64,
    /// Units sold.
    pub accepted: u64,
    /// Refusals of shoppers who held a unit.
    pub already_purchased: u64,
    /// Refusals because no unit was left.
    pub sold_out: u64,
    /// Refusals while the sale took no purchases, by reason.
    pub not_active: BTreeMap<&'static str, u64>,
    /// How many refusals an ingest instance made without asking Redis.
    pub at_the_edge: u64,
}

impl Totals {
    /// Refusals while the sale took no purchases, for whatever reason.
    pub fn not_active_in_all(&self) -> u64 {
        self.not_active.values().sum()
    }

    pub(crate) fn of(attempts: &[Attempt]) -> Self {
        let mut totals = Self { attempts: attempts.len() as u64, ..Self::default() };
        for attempt in attempts {
            totals.at_the_edge += u64::from(attempt.at_the_edge);
            *match attempt.answer {
                Answer::Accepted => &mut totals.accepted,
                Answer::AlreadyPurchased => &mut totals.already_purchased,
                Answer::SoldOut => &mut totals.sold_out,
                Answer::NotActive(reason) => {
                    totals.not_active.entry(reason.map_or(OTHER_REASON, |reason| reason.as_str())).or_default()
                }
            } += 1;
        }
        totals
    }
}

/// The attempts that were decided in one second, or in as many as the report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Second {
    /// When it begins.
    #[serde(serialize_with = "iso::one")]
    pub at: Micros,
    /// All attempts.
    pub attempts: u64,
    /// Units sold.
    pub accepted: u64,
    /// Refusals of shoppers who held a unit.
    pub already_purchased: u64,
    /// Refusals because no unit was left.
    pub sold_out: u64,
    /// Refusals while the sale took no purchases.
    pub not_active: u64,
}

impl Second {
    fn at(second: i64) -> Self {
        let at = Micros(second.saturating_mul(SECOND_US));
        Self { at, attempts: 0, accepted: 0, already_purchased: 0, sold_out: 0, not_active: 0 }
    }

    /// Accepted, already purchased, sold out, not active.
    pub(crate) fn parts(&self) -> [u64; 4] {
        [self.accepted, self.already_purchased, self.sold_out, self.not_active]
    }

    fn count(&mut self, answer: Answer) {
        self.attempts += 1;
        *match answer {
            Answer::Accepted => &mut self.accepted,
            Answer::AlreadyPurchased => &mut self.already_purchased,
            Answer::SoldOut => &mut self.sold_out,
            Answer::NotActive(_) => &mut self.not_active,
        } += 1;
    }

    fn absorb(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.accepted += other.accepted;
        self.already_purchased += other.already_purchased;
        self.sold_out += other.sold_out;
        self.not_active += other.not_active;
    }
}

/// The second of `at`, since 1970.
pub(crate) fn second_of(at: Micros) -> i64 {
    at.0.div_euclid(SECOND_US)
}

/// The demand curve in at most `rows_max` rows, and the seconds that one covers. Times without attempts have no row.
pub(crate) fn curve(attempts: &[Attempt], rows_max: usize) -> (u32, Vec<Second>) {
    let mut rows = BTreeMap::new();
    for attempt in attempts {
        let second = second_of(attempt.decided_at);
        rows.entry(second).or_insert_with(|| Second::at(second)).count(attempt.answer);
    }
    let mut width: u32 = 1;
    while rows.len() > rows_max.max(1) && width < u32::MAX / 2 {
        width *= 2;
        let mut wider = BTreeMap::new();
        for (second, row) in rows {
            let begin = second - second.rem_euclid(i64::from(width));
            wider.entry(begin).or_insert_with(|| Second::at(begin)).absorb(&row);
        }
        rows = wider;
    }
    (width, rows.into_values().collect())
}

#[cfg(test)]
mod tests {
    use flashsale_schemas::events::Outcome;

    use super::*;
    use crate::{
        Report,
        sample::{SECOND, START, log_of, refusal, unit},
    };

    fn report() -> Report {
        log_of(&[
            refusal(1, "early", Outcome::SaleNotActive, Some("NOT_STARTED"), START - 1),
            unit(1, "ann", START, None),
            unit(2, "bob", START + 999_999, None),
            refusal(2, "ann", Outcome::AlreadyPurchased, None, START + SECOND),
            refusal(3, "cy", Outcome::SaleNotActive, Some("PAUSED"), START + SECOND + 5),
            refusal(4, "cy", Outcome::SaleNotActive, Some("MOON_IS_FULL"), START + SECOND + 6),
            unit(3, "cy", START + 3 * SECOND, None),
            refusal(5, "dan", Outcome::SoldOut, None, START + 3 * SECOND),
        ])
    }

    #[test]
    fn totals_by_outcome_and_reason() {
        let totals = report().totals;
        assert_eq!((totals.attempts, totals.accepted, totals.already_purchased, totals.sold_out), (8, 3, 1, 1));
        assert_eq!(totals.not_active, BTreeMap::from([("NOT_STARTED", 1), ("PAUSED", 1), ("UNKNOWN", 1)]));
        assert_eq!(totals.not_active_in_all(), 3);
    }

    #[test]
    fn a_row_for_each_second_with_attempts() {
        let report = report();
        let rows: Vec<_> =
            report.per_second.iter().map(|row| ((row.at.0 - START) / SECOND, row.attempts, row.parts())).collect();
        assert_eq!(
            rows,
            [(-1, 1, [0, 0, 0, 1]), (0, 2, [2, 0, 0, 0]), (1, 3, [0, 1, 0, 2]), (3, 2, [1, 0, 1, 0])],
            "{rows:?}"
        );
        assert_eq!(report.bucket_seconds, 1);
        assert_eq!((report.first_at, report.last_at), (Some(Micros(START - 1)), Some(Micros(START + 3 * SECOND))));
    }

    #[test]
    fn many_seconds_share_rows() {
        let attempt = |second: i64| Attempt::sample(Answer::SoldOut, Micros(START + second * SECOND));
        let attempts: Vec<Attempt> = (0..10).map(attempt).collect();
        // The start is a multiple of four seconds.
        let (width, rows) = curve(&attempts, 3);
        assert_eq!(width, 4);
        let rows: Vec<_> = rows.iter().map(|row| ((row.at.0 - START) / SECOND, row.sold_out)).collect();
        assert_eq!(rows, [(0, 4), (4, 4), (8, 2)]);
        assert_eq!(curve(&[], 3), (1, Vec::new()));
    }
}
