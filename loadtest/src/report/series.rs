//! A route over time in as many points as a chart has room for, and what came of its requests in a fixed order.

use std::collections::BTreeMap;

use super::{Moment, Outcome, RouteReport};

/// Outcomes in the order in which they are shown, with their classes in the style sheet.
const ORDER: [(Outcome, &str); 10] = [
    (Outcome::Purchased, "o-purchased"),
    (Outcome::Found, "o-found"),
    (Outcome::Pending, "o-pending"),
    (Outcome::AlreadyPurchased, "o-already"),
    (Outcome::SoldOut, "o-sold-out"),
    (Outcome::NotActive, "o-not-active"),
    (Outcome::NotFound, "o-not-found"),
    (Outcome::RateLimited, "o-limited"),
    (Outcome::Unavailable, "o-unavailable"),
    (Outcome::Broken, "o-broken"),
];
/// Class of what has no business to be there.
const UNEXPECTED: &str = "o-unexpected";

/// The names of outcomes in the order in which they are shown, with their classes.
pub(super) fn ordered(outcomes: &BTreeMap<String, u64>) -> Vec<(&str, &'static str)> {
    let mut places: Vec<(usize, &str, &'static str)> = outcomes
        .keys()
        .map(|name| {
            let place = ORDER.iter().position(|(outcome, _)| outcome.name() == *name);
            let class = place.map_or(UNEXPECTED, |place| ORDER[place].1);
            (place.unwrap_or(ORDER.len()), name.as_str(), class)
        })
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(_, name, class)| (name, class)).collect()
}

/// A route over time.
#[derive(Debug)]
pub(super) struct Series<'a> {
    /// Names and classes of what came, in the order of the counts of each point.
    pub(super) outcomes: Vec<(&'a str, &'static str)>,
    /// Intervals of the recording that a point covers; the last one may cover less.
    pub(super) step: usize,
    /// Seconds of such an interval.
    pub(super) width: u64,
    /// From the start to the end.
    pub(super) points: Vec<Point>,
}

/// Some seconds of a route.
#[derive(Debug, PartialEq)]
pub(super) struct Point {
    /// The second it begins with.
    pub(super) second: u64,
    /// Seconds it covers.
    pub(super) seconds: u64,
    /// What came in it, by outcome.
    pub(super) counts: Vec<u64>,
    /// The longest half-time of its intervals, in milliseconds; 0 for none.
    pub(super) p50_ms: f64,
    /// The longest 99th percentile of its intervals, in milliseconds; 0 for none.
    pub(super) p99_ms: f64,
}

impl<'a> Series<'a> {
    /// The route in at most `points_max` points.
    pub(super) fn of(route: &'a RouteReport, points_max: usize) -> Self {
        let outcomes = ordered(&route.outcomes);
        let step = route.over_time.len().div_ceil(points_max.max(1)).max(1);
        let width = route.over_time.first().map_or(1, |first| first.seconds);
        let points = route.over_time.chunks(step).map(|moments| Point::of(moments, &outcomes)).collect();
        Self { outcomes, step, width, points }
    }

    /// Seconds from the start to the end, at least one.
    pub(super) fn seconds(&self) -> u64 {
        self.points.last().map_or(1, |last| last.second + last.seconds).max(1)
    }
}

impl Point {
    fn of(moments: &[Moment], outcomes: &[(&str, &'static str)]) -> Self {
        let of_all = |name: &str| moments.iter().filter_map(|moment| moment.outcomes.get(name)).sum::<u64>();
        Self {
            second: moments.first().map_or(0, |first| first.second),
            seconds: moments.iter().map(|moment| moment.seconds).sum(),
            counts: outcomes.iter().map(|&(name, _)| of_all(name)).collect(),
            p50_ms: moments.iter().map(|moment| moment.p50_ms).fold(0.0, f64::max),
            p99_ms: moments.iter().map(|moment| moment.p99_ms).fold(0.0, f64::max),
        }
    }

    /// How many came a second.
    pub(super) fn per_second(&self) -> f64 {
        self.counts.iter().sum::<u64>() as f64 / self.seconds.max(1) as f64
    }
}
