//! A run of hours in pieces of a minute, so that it needs no more memory than its counts.
//!
//! Histograms of every second and attempts are what grows: of the first the figures stay, the others go to the file of
//! `--record`. Between two pieces the answers under way are awaited, so each piece begins on connections of its own.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use flashsale_loadtest::{
    engine::{self, Live, Target},
    recorder::{Attempt, Recording, Route},
    report::{Moment, Report, RouteReport, Run},
    scenario::Plan,
};

use crate::record::Record;

const PIECE: Duration = Duration::from_secs(60);

/// Second by second, by route.
#[derive(Debug, Default)]
pub(crate) struct Moments(BTreeMap<Route, Vec<Moment>>);

/// Runs `plan` piece by piece; blocks.
pub(crate) fn run(
    target: &Target,
    plan: &Plan,
    seed: u64,
    live: &Live,
    mut record: Option<&mut Record>,
) -> Result<(Recording, Moments)> {
    let (mut whole, mut moments) = (Recording::default(), Moments::default());
    // Numbers of requests go on, and with them the shoppers.
    let next = AtomicU64::new(0);
    let began = Instant::now();
    for piece in 0.. {
        let left = plan.lasts.saturating_sub(began.elapsed());
        if left.is_zero() || live.stop.load(Ordering::Relaxed) {
            break;
        }
        let (first, offset) = (next.load(Ordering::Relaxed), began.elapsed());
        let request = |n: u64| {
            next.fetch_max(first + n + 1, Ordering::Relaxed);
            plan.request(first + n)
        };
        let seed = seed.wrapping_add(piece);
        let mut part = engine::run(target, &plan.options, plan.arrivals, left.min(PIECE), seed, &request, live)?;
        for attempt in &mut part.attempts {
            later(attempt, offset);
        }
        if let Some(record) = record.as_deref_mut() {
            record.append(&part.attempts)?;
            part.attempts = Vec::new();
        }
        moments.append(Report::of(&part, nameless(), None, None, &[]).routes);
        part.seconds.clear();
        whole.merge(part);
    }
    whole.took = began.elapsed();
    Ok((whole, moments))
}

/// Moves an attempt to where its piece began.
fn later(attempt: &mut Attempt, offset: Duration) {
    let offset = u64::try_from(offset.as_micros()).unwrap_or(u64::MAX);
    for time in [&mut attempt.due_us, &mut attempt.sent_us, &mut attempt.answered_us] {
        *time = time.saturating_add(offset);
    }
}

/// A report is made of each piece for its seconds alone.
fn nameless() -> Run {
    let nothing = String::new;
    Run { scenario: nothing(), description: nothing(), url: nothing(), seed: 0, started_at: nothing() }
}

impl Moments {
    /// Puts the seconds of one more piece behind what is there.
    fn append(&mut self, routes: Vec<RouteReport>) {
        let seconds = self.0.values().map(Vec::len).max().unwrap_or(0);
        for route in routes {
            let ours = self.0.entry(route.route).or_default();
            ours.extend((ours.len()..seconds).map(silent));
            let later = |moment: Moment| Moment { second: moment.second + seconds as u64, ..moment };
            ours.extend(route.over_time.into_iter().map(later));
        }
    }

    /// Puts all of it into the report of the whole.
    pub(crate) fn fill(mut self, report: &mut Report) {
        for route in &mut report.routes {
            route.over_time = self.0.remove(&route.route).unwrap_or_default();
        }
    }
}

/// A second in which nothing was answered.
fn silent(second: usize) -> Moment {
    Moment { second: second as u64, answered: 0, outcomes: BTreeMap::new(), p50_ms: 0.0, p99_ms: 0.0 }
}

#[cfg(test)]
mod tests {
    use flashsale_loadtest::recorder::{Outcome, Times};

    use super::*;

    fn piece(routes: &[(Route, u64)]) -> Vec<RouteReport> {
        let mut recording = Recording::default();
        for (route, second) in routes {
            let at = second * 1_000_000_000 + 1;
            recording.note(*route, Times { due: at, sent: at, answered: at }, Outcome::Found);
        }
        Report::of(&recording, nameless(), None, None, &[]).routes
    }

    #[test]
    fn seconds_of_pieces_stand_behind_each_other() {
        let mut moments = Moments::default();
        moments.append(piece(&[(Route::Status, 1)]));
        moments.append(piece(&[(Route::Status, 0), (Route::Receipt, 2)]));
        let answered = |route: Route| moments.0[&route].iter().map(|moment| (moment.second, moment.answered)).collect();
        let (status, receipts): (Vec<_>, Vec<_>) = (answered(Route::Status), answered(Route::Receipt));
        assert_eq!(status, [(0, 0), (1, 1), (2, 1)]);
        assert_eq!(receipts, [(0, 0), (1, 0), (2, 0), (3, 0), (4, 1)]);
    }

    #[test]
    fn attempts_are_moved_as_a_whole() {
        let mut attempt = Attempt {
            shopper: 1,
            key: 1,
            due_us: 1,
            sent_us: 2,
            answered_us: 3,
            outcome: Outcome::SoldOut,
            polite: true,
            receipt: None,
        };
        later(&mut attempt, Duration::from_millis(60_001));
        assert_eq!((attempt.due_us, attempt.sent_us, attempt.answered_us), (60_001_001, 60_001_002, 60_001_003));
    }
}
