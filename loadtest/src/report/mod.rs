//! What a run found: on a terminal, for a program, and as a page.
#![deny(clippy::unwrap_used, clippy::expect_used)]

mod headline;
mod html;
mod json;
mod plot;
mod series;
mod text;
pub mod threshold;
mod wording;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

pub use threshold::{Limit, Percentile, Threshold};

use crate::{
    recorder::{Outcome, Recording, Route, Tally},
    timeline::{Interval, Timeline},
    verdict::{State, Verdict},
};

/// Steps of a distribution in which the share of what took longer falls to a tenth.
const STEPS_PER_DECADE: i32 = 10;
/// The share of the longest that a distribution ends with: p99.99.
const RAREST: f64 = 0.000_1;

/// What was run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Name of the scenario.
    pub scenario: String,
    /// The scenario in a sentence.
    pub description: String,
    /// The servers.
    pub url: String,
    /// What chance was drawn from.
    pub seed: u64,
    /// When it began, as people write it.
    pub started_at: String,
}

/// What a run found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// The scenario in a sentence.
    pub description: String,
    /// The servers.
    pub url: String,
    /// What chance was drawn from.
    pub seed: u64,
    /// When it began, as people write it.
    pub started_at: String,
    /// How long it took, the last answers included.
    pub seconds: f64,
    /// Of the tool.
    pub version: String,
    /// The routes that were asked, purchases first.
    pub routes: Vec<RouteReport>,
    /// What broke, in words, and how often.
    pub failures: BTreeMap<String, u64>,
    /// Requests that were due and never sent: the tool was behind.
    pub unsent: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Processor time of the tool.
    pub client_cpu_seconds: f64,
    /// What listeners of the live stream saw.
    pub listeners: Option<ListenersReport>,
    /// Whether the stores and the answers agree; none when nobody asked.
    pub verdict: Option<Verdict>,
    /// The limits, and what was measured.
    pub thresholds: Vec<Threshold>,
}

/// What was seen of one route.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteReport {
    /// Which.
    pub route: Route,
    /// Requests.
    pub sent: u64,
    /// Those with an answer, whatever it said.
    pub answered: u64,
    /// Answers a second over the whole run.
    pub per_second: f64,
    /// Requests by what came of them.
    pub outcomes: BTreeMap<String, u64>,
    /// From when a request was due to its answer; refusals for overload aside.
    pub since_due: Percentiles,
    /// The same from when it was written: what a client that waits for its turn would have measured.
    pub since_sent: Percentiles,
    /// Refusals for overload, from when they were due; none when there were none.
    pub refused: Option<Percentiles>,
    /// Both latencies from p50 to p99.99, as far as there are answers enough to tell.
    pub distribution: Vec<Quantile>,
    /// From the start to the last answer: second by second, in a long run by more seconds at a time.
    pub over_time: Vec<Moment>,
}

/// How latencies are distributed, in milliseconds; all 0 when there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Percentiles {
    /// Half took this long or less.
    pub p50_ms: f64,
    /// Nine of ten did.
    pub p90_ms: f64,
    /// Nineteen of twenty did.
    pub p95_ms: f64,
    /// Ninety-nine of a hundred did.
    pub p99_ms: f64,
    /// All but one of a thousand did.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Their mean.
    pub mean_ms: f64,
}

/// A point of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantile {
    /// The share, 0 to 1, that took no longer.
    pub quantile: f64,
    /// Milliseconds from when a request was due.
    pub since_due_ms: f64,
    /// Milliseconds from when it was written.
    pub since_sent_ms: f64,
}

/// Some seconds of a route.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// The first of them, since the start.
    pub second: u64,
    /// How many.
    pub seconds: u64,
    /// Answers in it.
    pub answered: u64,
    /// What came in it, by what it was.
    pub outcomes: BTreeMap<String, u64>,
    /// Half of its answers took this many milliseconds or less from when they were due; 0 when there were none.
    pub p50_ms: f64,
    /// Ninety-nine of a hundred did; 0 when there were none.
    pub p99_ms: f64,
}

/// What listeners of the live stream saw.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenersReport {
    /// Listeners.
    pub count: usize,
    /// Those that had a stream.
    pub opened: usize,
    /// Those that were told of the end of the sale.
    pub saw_the_end: usize,
    /// How often one was told that it had missed something.
    pub resets: usize,
    /// How often the stock of a sale rose (I11): never, in a sale as it should be.
    pub rises: usize,
    /// From a change to the news of it.
    pub lag: Option<Percentiles>,
}

impl Report {
    /// Makes a report of what was recorded. `limits` are for purchases, or for the status of the sale when none was
    /// tried, and count from when a request was due.
    pub fn of(
        recording: &Recording,
        run: Run,
        listeners: Option<ListenersReport>,
        verdict: Option<Verdict>,
        limits: &[Limit],
    ) -> Self {
        let seconds = recording.took.as_secs_f64();
        let tallies = recording.routes.iter().filter(|(_, tally)| tally.total() > 0);
        let routes: Vec<RouteReport> = tallies
            .map(|(route, tally)| {
                let over_time = recording.over_time.get(route).map(|timeline| moments(timeline, seconds));
                RouteReport::of(*route, tally, over_time.unwrap_or_default(), seconds)
            })
            .collect();
        let judged = main_route(&routes).map(|route| &route.since_due);
        let thresholds = limits.iter().map(|limit| Threshold::of(limit, judged)).collect();
        Self {
            scenario: run.scenario,
            description: run.description,
            url: run.url,
            seed: run.seed,
            started_at: run.started_at,
            seconds,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            routes,
            failures: recording.failures.clone(),
            unsent: recording.unsent,
            connections: recording.connected,
            client_cpu_seconds: recording.client_cpu.as_secs_f64(),
            listeners,
            verdict,
            thresholds,
        }
    }

    /// The report in lines for a terminal, with colours if asked for.
    pub fn text(&self, colours: bool) -> String {
        text::text(self, colours)
    }

    /// The report as JSON over several lines.
    ///
    /// # Errors
    ///
    /// A report that cannot be written as JSON; none that [`Report::of`] makes.
    pub fn json(&self) -> anyhow::Result<String> {
        json::json(self)
    }

    /// The report as an HTML file that needs nothing else.
    pub fn html(&self) -> String {
        html::html(self)
    }

    /// Whether everything that was checked is as it should be: the verdict, the limits, what listeners saw, and that
    /// every request was sent and answered as the contract says. What could not be checked is no failure.
    pub fn passed(&self) -> bool {
        self.wrong() == 0
            && self.verdict.as_ref().is_none_or(|verdict| verdict.broken().is_empty())
            && self.thresholds.iter().all(|threshold| threshold.holds)
            && self
                .listeners
                .as_ref()
                .is_none_or(|listeners| listeners.rises == 0 && listeners.opened == listeners.count)
    }

    /// Requests that were not sent, not answered, or answered against the contract.
    pub fn wrong(&self) -> u64 {
        let is_wrong = |name: &str| name == Outcome::Broken.name() || name.starts_with("unexpected-");
        let outcomes = self.routes.iter().flat_map(|route| &route.outcomes);
        self.unsent + outcomes.filter(|(name, _)| is_wrong(name)).map(|(_, count)| count).sum::<u64>()
    }

    /// The route that the run is about.
    fn main_route(&self) -> Option<&RouteReport> {
        main_route(&self.routes)
    }
}

/// Purchases, or the status of the sale when none was tried.
fn main_route(routes: &[RouteReport]) -> Option<&RouteReport> {
    let find = |wanted: Route| routes.iter().find(|route| route.route == wanted);
    find(Route::Purchase).or_else(|| find(Route::Status))
}

impl RouteReport {
    fn of(route: Route, tally: &Tally, over_time: Vec<Moment>, took_seconds: f64) -> Self {
        let answered = answered(&tally.counts);
        Self {
            route,
            sent: tally.total(),
            answered,
            per_second: if took_seconds > 0.0 { answered as f64 / took_seconds } else { 0.0 },
            outcomes: named(&tally.counts),
            since_due: Percentiles::of(&tally.since_due),
            since_sent: Percentiles::of(&tally.since_sent),
            refused: (!tally.refused.is_empty()).then(|| Percentiles::of(&tally.refused)),
            distribution: distribution(tally),
            over_time,
        }
    }
}

impl Percentiles {
    /// Of microseconds.
    pub fn of(micros: &Histogram<u64>) -> Self {
        if micros.is_empty() {
            return Self::default();
        }
        let at = |quantile| millis(micros.value_at_quantile(quantile));
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(micros.max()),
            mean_ms: micros.mean() / 1_000.0,
        }
    }
}

impl Moment {
    fn of(second: u64, seconds: u64, interval: &Interval) -> Self {
        let latency = Percentiles::of(&interval.latency);
        Self {
            second,
            seconds,
            answered: answered(&interval.counts),
            outcomes: named(&interval.counts),
            p50_ms: latency.p50_ms,
            p99_ms: latency.p99_ms,
        }
    }
}

/// A route over a run that took so long; the last interval goes no further than it did.
fn moments(timeline: &Timeline, took_seconds: f64) -> Vec<Moment> {
    let (width, end) = (timeline.width(), took_seconds.ceil() as u64);
    let starts = (0_u64..).map(|number| number * width);
    let moments = starts.zip(timeline.intervals()).map(|(second, interval)| {
        let seconds = end.saturating_sub(second).clamp(1, width);
        Moment::of(second, seconds, interval)
    });
    moments.collect()
}

/// Points at equal distances on the scale of the share that took longer. It ends where less than one answer is left.
fn distribution(tally: &Tally) -> Vec<Quantile> {
    let answers = tally.since_due.len() as f64;
    let longer = (0..).map(|step: i32| 0.5 * 10_f64.powf(-f64::from(step) / f64::from(STEPS_PER_DECADE)));
    let told = longer.take_while(|longer| *longer >= RAREST && longer * answers >= 1.0);
    let mut points: Vec<f64> = told.collect();
    // The ends of the scale are among them, whatever the steps are.
    if answers > 0.0 {
        points.push((1.0 / answers).clamp(RAREST, 0.5));
    }
    let point = |longer: f64| Quantile {
        quantile: 1.0 - longer,
        since_due_ms: millis(tally.since_due.value_at_quantile(1.0 - longer)),
        since_sent_ms: millis(tally.since_sent.value_at_quantile(1.0 - longer)),
    };
    points.into_iter().map(point).collect()
}

fn answered(counts: &BTreeMap<Outcome, u64>) -> u64 {
    counts.iter().filter(|(outcome, _)| **outcome != Outcome::Broken).map(|(_, count)| count).sum()
}

fn named(counts: &BTreeMap<Outcome, u64>) -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    for (outcome, count) in counts.iter().filter(|(_, count)| **count > 0) {
        *named.entry(outcome.name()).or_default() += *count;
    }
    named
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}
