//! The demand curve in as many points as a chart has room for.

use crate::{
    Report,
    demand::{Second, second_of},
};

/// Of so many attempts one may fall off at each end of a curve that is too long to be drawn whole.
const DRAWN_OF: u64 = 200;

/// Attempts by outcome (accepted, already purchased, sold out, not active) at equal distances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series {
    /// The second in which the first point begins.
    pub(crate) from: i64,
    /// Seconds that a point covers.
    pub(crate) step: i64,
    pub(crate) points: Vec<[u64; 4]>,
    /// Attempts before the first point and after the last one.
    pub(crate) not_drawn: u64,
}

impl Series {
    /// The curve of `report`. When it is longer than `points_max`, the few attempts far from all others fall off, so
    /// that a rush of seconds does not shrink to one point of a day.
    pub(crate) fn of(report: &Report, points_max: usize) -> Self {
        let (width, room) = (i64::from(report.bucket_seconds), points_max.max(1) as u64);
        let mut rows = report.per_second.as_slice();
        let mut not_drawn = 0;
        if columns(rows, width) > room {
            let may_fall_off = report.totals.attempts / DRAWN_OF;
            let mut left = may_fall_off;
            while let [first, rest @ ..] = rows
                && first.attempts <= left
                && !rest.is_empty()
            {
                (left, not_drawn, rows) = (left - first.attempts, not_drawn + first.attempts, rest);
            }
            let mut left = may_fall_off;
            while let [rest @ .., last] = rows
                && last.attempts <= left
                && !rest.is_empty()
            {
                (left, not_drawn, rows) = (left - last.attempts, not_drawn + last.attempts, rest);
            }
        }
        let columns = columns(rows, width);
        let per_point = columns.div_ceil(room).max(1);
        let (from, step) = (rows.first().map_or(0, |row| second_of(row.at)), width.saturating_mul(per_point as i64));
        let mut points = vec![[0; 4]; columns.div_ceil(per_point) as usize];
        for row in rows {
            let point = &mut points[((second_of(row.at) - from) / step) as usize];
            for (sum, part) in point.iter_mut().zip(row.parts()) {
                *sum += part;
            }
        }
        Self { from, step, points, not_drawn }
    }

    /// The second in which point `index` begins.
    pub(crate) fn begin(&self, index: usize) -> i64 {
        self.from + self.step * index as i64
    }

    /// The second after the last point.
    pub(crate) fn end(&self) -> i64 {
        self.begin(self.points.len())
    }

    /// Most attempts of one point.
    pub(crate) fn highest(&self) -> u64 {
        self.points.iter().map(|point| point.iter().sum::<u64>()).max().unwrap_or(0)
    }

    /// Whether the curve is longer than a day, so that times of day do not tell its points apart.
    pub(crate) fn is_long(&self) -> bool {
        self.end() - self.from > 86_400
    }
}

/// Rows there are between the first and the last, with those that have no attempts.
fn columns(rows: &[Second], width: i64) -> u64 {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return 0 };
    u64::try_from((second_of(last.at) - second_of(first.at)) / width).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use flashsale_schemas::events::Outcome;

    use super::*;
    use crate::sample::{SECOND, START, log_of, refusal};

    /// So many attempts in these seconds after the start.
    fn report(seconds: &[(i64, u64)]) -> Report {
        let mut log = Vec::new();
        for (second, attempts) in seconds {
            for _ in 0..*attempts {
                let number = log.len() as u64;
                log.push(refusal(number, &format!("u{number}"), Outcome::SoldOut, None, START + second * SECOND));
            }
        }
        log_of(&log)
    }

    fn heights(series: &Series) -> Vec<u64> {
        series.points.iter().map(|point| point.iter().sum()).collect()
    }

    #[test]
    fn a_point_for_each_second_also_where_nothing_happened() {
        let series = Series::of(&report(&[(0, 3), (2, 1)]), 10);
        assert_eq!((series.from, series.step, series.not_drawn), (START / SECOND, 1, 0));
        assert_eq!(heights(&series), [3, 0, 1]);
        assert_eq!((series.highest(), series.end()), (3, START / SECOND + 3));
    }

    #[test]
    fn points_cover_more_when_there_is_no_room() {
        let series = Series::of(&report(&[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]), 2);
        assert_eq!((series.step, heights(&series)), (3, vec![6, 9]));
    }

    #[test]
    fn few_that_are_far_away_fall_off() {
        let series = Series::of(&report(&[(-3_000, 1), (0, 300), (1, 100), (7_000, 1), (9_000, 1)]), 60);
        // 403 attempts: two may fall off at each end.
        assert_eq!((series.from, series.step, series.not_drawn), (START / SECOND, 1, 3));
        assert_eq!(heights(&series), [300, 100]);
    }

    #[test]
    fn no_attempts_no_points() {
        let series = Series::of(&report(&[]), 10);
        assert_eq!((series.points.len(), series.highest(), series.end()), (0, 0, 0));
        assert!(!series.is_long());
    }
}
