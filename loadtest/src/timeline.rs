//! How a route went over time, in so few intervals that a run of a week needs no more memory than one of minutes.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::recorder::{Outcome, add};

/// Most intervals: five minutes in seconds. No chart has room for more.
pub const INTERVALS_MAX: u64 = 300;

/// The answers of some seconds.
#[derive(Debug, Clone)]
pub struct Interval {
    /// Answers by what they said.
    pub counts: BTreeMap<Outcome, u64>,
    /// Microseconds from due to the answer, of what was answered and not refused. It grows with what it is given: most
    /// intervals are quick.
    pub latency: Histogram<u64>,
}

impl Default for Interval {
    fn default() -> Self {
        // Fails for more than 5 digits only.
        let latency = Histogram::new(2).expect("two digits are few enough");
        Self { counts: BTreeMap::new(), latency }
    }
}

impl Interval {
    fn merge(&mut self, other: &Self) {
        add(&mut self.counts, &other.counts);
        self.latency += &other.latency;
    }
}

/// Intervals of equal width from the start of a run: seconds at first. Whenever there would be more than
/// [`INTERVALS_MAX`], each two neighbours become one.
#[derive(Debug, Clone)]
pub struct Timeline {
    width: u64,
    intervals: Vec<Interval>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { width: 1, intervals: Vec::new() }
    }
}

impl Timeline {
    /// Seconds that an interval covers: a power of two.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// The intervals from the start on, without a gap.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// The interval that this second since the start is in.
    pub fn at(&mut self, second: u64) -> &mut Interval {
        while second / self.width >= INTERVALS_MAX {
            self.widen();
        }
        // Below INTERVALS_MAX, so nothing is cut off.
        let index = (second / self.width) as usize;
        if self.intervals.len() <= index {
            self.intervals.resize_with(index + 1, Interval::default);
        }
        &mut self.intervals[index]
    }

    /// Adds what another thread saw over the same time.
    pub fn merge(&mut self, other: &Self) {
        while self.width < other.width {
            self.widen();
        }
        for (number, interval) in (0_u64..).zip(&other.intervals) {
            self.at(number * other.width).merge(interval);
        }
    }

    fn widen(&mut self) {
        self.width *= 2;
        let mut narrow = std::mem::take(&mut self.intervals).into_iter();
        while let Some(mut interval) = narrow.next() {
            if let Some(next) = narrow.next() {
                interval.merge(&next);
            }
            self.intervals.push(interval);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer in each of these seconds, which took as many microseconds as its second says.
    fn timeline(seconds: impl IntoIterator<Item = u64>) -> Timeline {
        let mut timeline = Timeline::default();
        for second in seconds {
            let interval = timeline.at(second);
            *interval.counts.entry(Outcome::Found).or_default() += 1;
            interval.latency += second;
        }
        timeline
    }

    fn counts(timeline: &Timeline) -> Vec<u64> {
        let count = |interval: &Interval| interval.counts.get(&Outcome::Found).copied().unwrap_or(0);
        timeline.intervals().iter().map(count).collect()
    }

    #[test]
    fn it_is_in_seconds_until_there_are_too_many() {
        let short = timeline(0..INTERVALS_MAX);
        assert_eq!((short.width(), counts(&short)), (1, vec![1; 300]));
        let longer = timeline(0..=INTERVALS_MAX);
        assert_eq!(longer.width(), 2);
        assert_eq!(counts(&longer), [vec![2; 150], vec![1]].concat());
        let last = &longer.intervals()[149].latency;
        assert_eq!((last.len(), last.min().abs_diff(298) < 3, last.max().abs_diff(299) < 3), (2, true, true));
    }

    #[test]
    fn a_week_needs_no_more_than_minutes() {
        let week = timeline((0..604_800).step_by(100));
        assert!(week.intervals().len() as u64 <= INTERVALS_MAX, "{}", week.intervals().len());
        assert_eq!((week.width(), counts(&week).iter().sum::<u64>()), (2_048, 6_048));
        // The first answer after a long silence.
        let silent = timeline([604_799]);
        assert_eq!((silent.width(), silent.intervals().len()), (2_048, 296));
    }

    #[test]
    fn widths_that_differ_are_merged_as_if_one_had_seen_all() {
        let all = timeline(0..1_000);
        let (early, late) = (timeline(0..200), timeline(200..1_000));
        for (mut one, other) in [(early.clone(), &late), (late.clone(), &early)] {
            one.merge(other);
            assert_eq!((one.width(), counts(&one)), (all.width(), counts(&all)));
            for (merged, whole) in one.intervals().iter().zip(all.intervals()) {
                assert_eq!((merged.latency.len(), merged.latency.max()), (whole.latency.len(), whole.latency.max()));
            }
        }
    }
}
