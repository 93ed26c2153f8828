//! When requests are due: by a schedule that does not wait for answers.
//!
//! Real shoppers do not wait for one another. A tool whose next request waits for the last answer sends less exactly
//! when the server is slow, and does not measure what the others would have waited (coordinated omission).

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

const NANOS_PER_SECOND: f64 = 1e9;
/// What a product of two numbers that people write may be off a whole number.
const ROUNDING: f64 = 1e-6;

/// When requests are due. Rates are a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Arrivals {
    /// So many a second, evenly.
    Constant {
        /// Requests a second.
        rate: f64,
    },
    /// So many a second on average, by chance: the gaps are exponential, as of many who do not know of each other.
    Poisson {
        /// Requests a second, on average.
        rate: f64,
    },
    /// From one rate to another, linearly over the whole time.
    Ramp {
        /// Requests a second at the start.
        from: f64,
        /// Requests a second at the end.
        to: f64,
    },
    /// All in the first moment.
    Burst {
        /// Requests.
        count: u64,
    },
    /// The next when an answer is there: as fast as the server can. The latencies hide the waiting, so this is for
    /// capacity only.
    Closed,
}

impl Arrivals {
    /// The due times in nanoseconds since the start, ascending, of what is due before `lasts`; `seed` decides what is
    /// chance. `Closed` yields nothing here.
    pub fn schedule(&self, lasts: Duration, seed: u64) -> Schedule {
        let count = match self {
            Self::Poisson { .. } => u64::MAX,
            _ => self.expected(lasts).unwrap_or(0),
        };
        Schedule { arrivals: *self, lasts, count, next: 0, chance: StdRng::seed_from_u64(seed), at_ns: 0.0 }
    }

    /// Requests in all, of `Poisson` on average; none if `Closed`.
    pub fn expected(&self, lasts: Duration) -> Option<u64> {
        let seconds = lasts.as_secs_f64();
        match *self {
            Self::Constant { rate } => Some(whole(rate * seconds)),
            // A negative number and what is none become 0.
            Self::Poisson { rate } => Some((rate * seconds).round() as u64),
            Self::Ramp { from, to } => Some(whole((from + to) / 2.0 * seconds)),
            Self::Burst { count } => Some(count),
            Self::Closed => None,
        }
    }
}

/// How many of the numbers 0, 1, 2, … are below `limit`.
fn whole(limit: f64) -> u64 {
    let nearest = limit.round();
    let count = if (limit - nearest).abs() < ROUNDING { nearest } else { limit.ceil() };
    // A negative number and what is none become 0.
    count as u64
}

/// Due times, in nanoseconds since the start, computed as they are asked for.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    lasts: Duration,
    count: u64,
    next: u64,
    chance: StdRng,
    /// The last due time that was chance.
    at_ns: f64,
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.next >= self.count {
            return None;
        }
        let number = self.next as f64;
        self.next += 1;
        let seconds = self.lasts.as_secs_f64();
        let due = match self.arrivals {
            Arrivals::Constant { rate } => number / rate,
            Arrivals::Ramp { from, to } => ramp(from, to, seconds, number),
            Arrivals::Poisson { rate } => {
                // Above 0, so that its logarithm is a number.
                let chance = 1.0 - self.chance.random::<f64>();
                self.at_ns += -chance.ln() / rate.max(0.0) * NANOS_PER_SECOND;
                let is_within = self.at_ns < seconds * NANOS_PER_SECOND;
                return is_within.then_some(self.at_ns as u64);
            }
            Arrivals::Burst { .. } => 0.0,
            Arrivals::Closed => return None,
        };
        Some((due * NANOS_PER_SECOND).round() as u64)
    }
}

/// Seconds after which `number` requests were due, when the rate goes from `from` to `to` over `lasts` seconds.
///
/// By then `from * t + (to - from) / (2 * lasts) * t²` were due; this is the solution that does not subtract numbers
/// of nearly the same size.
fn ramp(from: f64, to: f64, lasts: f64, number: f64) -> f64 {
    let slope = (to - from) / (2.0 * lasts);
    let root = (from * from + 4.0 * slope * number).max(0.0).sqrt();
    if from + root > 0.0 { 2.0 * number / (from + root) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn seconds(due: u64) -> f64 {
        due as f64 / NANOS_PER_SECOND
    }

    #[test]
    fn a_constant_rate_is_even() {
        let arrivals = Arrivals::Constant { rate: 100.0 };
        let due: Vec<u64> = arrivals.schedule(Duration::from_secs(2), 1).collect();
        assert_eq!((due.len(), arrivals.expected(Duration::from_secs(2))), (200, Some(200)));
        assert_eq!((due[0], due[1], due[199]), (0, 10_000_000, 1_990_000_000));
        for (rate, lasts, count) in [(1.1, 10, 11), (0.1, 10, 1), (3.0, 1, 3), (0.25, 5, 2), (0.0, 5, 0), (-1.0, 5, 0)]
        {
            let (arrivals, lasts) = (Arrivals::Constant { rate }, Duration::from_secs(lasts));
            assert_eq!(arrivals.expected(lasts), Some(count), "{rate}");
            assert_eq!(arrivals.schedule(lasts, 1).count() as u64, count, "{rate}");
            assert!(arrivals.schedule(lasts, 1).all(|due| u128::from(due) < lasts.as_nanos()), "{rate}");
        }
    }

    #[test]
    fn chance_keeps_the_average_and_is_decided_by_the_seed() {
        let arrivals = Arrivals::Poisson { rate: 1_000.0 };
        let due: Vec<u64> = arrivals.schedule(MINUTE, 7).collect();
        // Four standard deviations of 60,000.
        assert!(due.len().abs_diff(60_000) < 980, "{}", due.len());
        assert_eq!(arrivals.expected(MINUTE), Some(60_000));
        assert!(due.is_sorted() && seconds(due[due.len() - 1]) < 60.0);
        let gaps: Vec<f64> = due.windows(2).map(|two| seconds(two[1]) - seconds(two[0])).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of exponential gaps the deviation is the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{mean} {variance}");
        assert!(arrivals.schedule(MINUTE, 7).eq(due.iter().copied()));
        assert!(!arrivals.schedule(MINUTE, 8).eq(due.iter().copied()));
        assert_eq!(Arrivals::Poisson { rate: 0.0 }.schedule(MINUTE, 7).count(), 0);
    }

    #[test]
    fn a_ramp_is_exact() {
        for (from, to) in [(0.0, 100.0), (100.0, 0.0), (10.0, 50.0), (50.0, 50.0)] {
            let arrivals = Arrivals::Ramp { from, to };
            let due: Vec<u64> = arrivals.schedule(MINUTE, 1).collect();
            assert_eq!(arrivals.expected(MINUTE), Some(due.len() as u64));
            assert_eq!(due.len() as f64, (from + to) / 2.0 * 60.0, "{from} {to}");
            assert!(due.is_sorted(), "{from} {to}");
            assert!(seconds(due[due.len() - 1]) < 60.0, "{from} {to}");
            for (number, due) in due.iter().enumerate() {
                let t = seconds(*due);
                let by_then = from * t + (to - from) / 120.0 * t * t;
                assert!((by_then - number as f64).abs() < 1e-3, "{from} {to}: {by_then} at {number}");
            }
        }
    }

    #[test]
    fn a_burst_is_at_once_and_closed_has_no_schedule() {
        let due: Vec<u64> = Arrivals::Burst { count: 3 }.schedule(MINUTE, 1).collect();
        assert_eq!(due, [0, 0, 0]);
        assert_eq!(Arrivals::Closed.schedule(MINUTE, 1).count(), 0);
        assert_eq!(Arrivals::Closed.expected(MINUTE), None);
    }

    #[test]
    fn arrivals_are_written_and_read() {
        let text = serde_json::to_string(&Arrivals::Ramp { from: 1.0, to: 2.0 }).unwrap();
        assert_eq!(text, r#"{"kind":"ramp","from":1.0,"to":2.0}"#);
        assert_eq!(serde_json::from_str::<Arrivals>(r#"{"kind":"closed"}"#).unwrap(), Arrivals::Closed);
    }
}
