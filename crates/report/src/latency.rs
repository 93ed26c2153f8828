//! How long answers and records took.

use serde::Serialize;

use crate::builder::Attempt;

/// Times from the arrival of an attempt at the edge.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// To the decision in Redis. Refusals that an ingest instance made by itself are left out: they have one clock.
    pub received_to_decided: Percentiles,
    /// To the record in the log, whose time is in whole milliseconds.
    pub received_to_logged: Percentiles,
}

impl Latency {
    pub(crate) fn of(attempts: &[Attempt]) -> Self {
        let decided = attempts.iter().filter(|attempt| !attempt.at_the_edge);
        let logged = |attempt: &Attempt| {
            // Both in whole milliseconds: otherwise a record of the same millisecond would be older than the arrival.
            Some(attempt.logged_at_ms()?.saturating_sub(attempt.received_at()?.as_millis()).saturating_mul(1_000))
        };
        Self {
            received_to_decided: Percentiles::of(
                decided.filter_map(|attempt| Some(attempt.decided_at - attempt.received_at()?)),
            ),
            received_to_logged: Percentiles::of(attempts.iter().filter_map(logged)),
        }
    }
}

/// How times are distributed; exact, none when there are no times. The clocks of two machines are compared, so small
/// numbers are as good as these agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Percentiles {
    /// Attempts for which both times are known.
    pub count: u64,
    /// Half took this long or less.
    pub p50_ms: Option<f64>,
    /// Nine of ten did.
    pub p90_ms: Option<f64>,
    /// Ninety-nine of a hundred did.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
    /// How many would have ended before they began; they count as 0 ms.
    pub clock_skew: u64,
}

impl Percentiles {
    /// Of microseconds. What is more than an hour counts as some minutes more than an hour.
    fn of(micros: impl Iterator<Item = i64>) -> Self {
        let mut clock_skew = 0;
        let mut times: Vec<u32> = micros
            .map(|time| {
                clock_skew += u64::from(time < 0);
                u32::try_from(time.max(0)).unwrap_or(u32::MAX)
            })
            .collect();
        times.sort_unstable();
        // The nearest rank: the least time that so many per cent do not exceed.
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            times.get(rank.saturating_sub(1)).map(|time| f64::from(*time) / 1_000.0)
        };
        Self { count: times.len() as u64, p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms: at(100), clock_skew }
    }
}

#[cfg(test)]
mod tests {
    use flashsale_core::Micros;
    use flashsale_schemas::events::{DecidedBy, Outcome};

    use super::*;
    use crate::sample::{START, builder, refusal, unit};

    #[test]
    fn percentiles_are_exact_and_skew_is_counted() {
        let hundred = Percentiles::of((1..=100).rev().map(|n| n * 1_000));
        assert_eq!(
            (hundred.p50_ms, hundred.p90_ms, hundred.p99_ms, hundred.max_ms),
            (Some(50.0), Some(90.0), Some(99.0), Some(100.0))
        );
        assert_eq!((hundred.count, hundred.clock_skew), (100, 0));
        let skewed = Percentiles::of([-5_000, 1_500, 0].into_iter());
        assert_eq!((skewed.count, skewed.clock_skew), (3, 1));
        assert_eq!((skewed.p50_ms, skewed.max_ms), (Some(0.0), Some(1.5)));
        let none = Percentiles::of(std::iter::empty());
        assert_eq!((none.count, none.p50_ms, none.max_ms), (0, None, None));
    }

    #[test]
    fn from_the_arrival_to_decision_and_record() {
        let mut builder = builder();
        builder.decision(&unit(1, "ann", START + 2_500, Some(START)), Some(START / 1_000 + 7));
        // The relay knows no arrival, a log without times no record.
        builder.decision(&unit(2, "bob", START + 9_000, None), Some(START / 1_000 + 9));
        builder.decision(&unit(3, "cy", START + 4_000, Some(START)), None);
        let mut edge = refusal(1, "dan", Outcome::SoldOut, None, START + 10_000);
        (edge.decided_by, edge.received_at) = (DecidedBy::Edge, Some(Micros(START + 10_900)));
        // Within the millisecond of the arrival.
        builder.decision(&edge, Some(START / 1_000 + 10));
        let latency = builder.build(None).unwrap().latency;
        let decided = &latency.received_to_decided;
        assert_eq!((decided.count, decided.p50_ms, decided.max_ms), (2, Some(2.5), Some(4.0)));
        let logged = &latency.received_to_logged;
        assert_eq!((logged.count, logged.p50_ms, logged.max_ms, logged.clock_skew), (2, Some(0.0), Some(7.0), 0));
    }
}
