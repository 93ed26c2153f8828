//! What a run measured: counts, latencies and, if asked for, every attempt to buy.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::timeline::Timeline;

/// Latencies are kept up to here, in microseconds; longer ones count as this long.
pub const LATENCY_MAX_US: u64 = 120_000_000;
/// Different failures that are told apart; the rest is one.
const FAILURES_MAX: usize = 20;
const OTHER_FAILURES: &str = "something else";
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// `POST /api/v1/purchases`: an attempt to buy.
    Purchase,
    /// `GET /api/v1/sales?sku`: how a sale stands.
    Status,
    /// `GET /api/v1/purchases?sku`: the receipt of a shopper.
    Receipt,
}

/// What an answer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// 200: a unit is the shopper's.
    Purchased,
    /// 202: the same, while the log is late.
    Pending,
    /// The shopper has a unit already.
    AlreadyPurchased,
    /// Nothing is left.
    SoldOut,
    /// The sale does not run.
    NotActive,
    /// 200 of a GET.
    Found,
    /// 404 of a receipt.
    NotFound,
    /// 429.
    RateLimited,
    /// 503.
    Unavailable,
    /// Any other answer, by its status.
    Unexpected(u16),
    /// No answer: no connection, none in time, or none that can be read.
    Broken,
}

impl Outcome {
    /// The name in reports; of what is unexpected with its status.
    pub fn name(self) -> String {
        let name = match self {
            Self::Purchased => "purchased",
            Self::Pending => "pending",
            Self::AlreadyPurchased => "already-purchased",
            Self::SoldOut => "sold-out",
            Self::NotActive => "not-active",
            Self::Found => "found",
            Self::NotFound => "not-found",
            Self::RateLimited => "rate-limited",
            Self::Unavailable => "unavailable",
            Self::Unexpected(status) => return format!("unexpected-{status}"),
            Self::Broken => "broken",
        };
        name.to_owned()
    }

    /// Whether it is a decision about an attempt to buy.
    pub fn is_decided(self) -> bool {
        matches!(self, Self::Purchased | Self::Pending | Self::AlreadyPurchased | Self::SoldOut | Self::NotActive)
    }

    /// Whether the server had no room for it, and said so.
    pub fn is_refused(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable)
    }

    /// Whether the server did what it was asked to do.
    fn is_answered(self) -> bool {
        self.is_decided() || matches!(self, Self::Found | Self::NotFound)
    }
}

/// Memory that an attempt takes with its receipt, or a look at one, in bytes and roughly.
pub const ATTEMPT_BYTES: u64 = 200;

/// One attempt to buy, as its client saw it. Times are microseconds since the start of the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// The number of the shopper, whose name is `<prefix>-<number>`.
    pub shopper: u64,
    /// The number of the idempotency key; equal numbers are equal keys. 0: none was sent.
    pub key: u64,
    /// When it should have been sent.
    pub due_us: u64,
    /// When it was written; never later than the server had it.
    pub sent_us: u64,
    /// When the answer was there, or was given up; never earlier than the server wrote it.
    pub answered_us: u64,
    /// What the answer said.
    pub outcome: Outcome,
    /// Whether a 429 or a 503 said when to come back; of anything else `true`.
    pub polite: bool,
    /// The receipt that the answer shows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<ToldReceipt>,
}

/// A receipt as a shopper was told it, also by an `ALREADY_PURCHASED`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ToldReceipt {
    /// `purchaseNo`.
    pub number: Box<str>,
    /// `purchasedAt`.
    pub at: Box<str>,
}

/// One look at a receipt, as its client saw it. Times are microseconds since the start of the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lookup {
    /// The number of the shopper who asked.
    pub shopper: u64,
    /// When it was written; never later than the server had it.
    pub sent_us: u64,
    /// When the answer was there, or was given up; never earlier than the server wrote it.
    pub answered_us: u64,
    /// What the answer said.
    pub outcome: Outcome,
    /// The receipt that the answer shows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<ToldReceipt>,
}

/// One route over the whole run. Latencies are microseconds.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Answers by what they said.
    pub counts: BTreeMap<Outcome, u64>,
    /// From when it should have been sent to the answer, of what was answered and not refused.
    pub since_due: Histogram<u64>,
    /// The same from the moment it was written.
    pub since_sent: Histogram<u64>,
    /// From when it should have been sent to the refusal, of 429 and 503.
    pub refused: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: BTreeMap::new(), since_due: latencies(), since_sent: latencies(), refused: latencies() }
    }
}

impl Tally {
    /// Attempts that were answered or given up.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    fn merge(&mut self, other: &Self) {
        add(&mut self.counts, &other.counts);
        self.since_due += &other.since_due;
        self.since_sent += &other.since_sent;
        self.refused += &other.refused;
    }
}

fn latencies() -> Histogram<u64> {
    // Fails for bounds that are no range, and for more than 5 digits.
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).expect("the bounds are a range, and three digits few enough")
}

/// Adds one count to the other, by what was counted.
pub(crate) fn add<K: Ord + Clone>(counts: &mut BTreeMap<K, u64>, others: &BTreeMap<K, u64>) {
    for (what, count) in others {
        *counts.entry(what.clone()).or_default() += count;
    }
}

/// When one request was due, sent and answered, in nanoseconds since the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it should have been sent.
    pub due: u64,
    /// When it was written.
    pub sent: u64,
    /// When its answer was there, or was given up.
    pub answered: u64,
}

impl Times {
    fn since_due_us(&self) -> u64 {
        self.answered.saturating_sub(self.due) / 1_000
    }

    fn since_sent_us(&self) -> u64 {
        self.answered.saturating_sub(self.sent) / 1_000
    }

    /// As an attempt says them: what is between is never shortened.
    pub fn due_sent_answered_us(&self) -> (u64, u64, u64) {
        (self.due / 1_000, self.sent / 1_000, self.answered.div_ceil(1_000))
    }
}

/// Everything that a run measured.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// By route, over the whole run.
    pub routes: BTreeMap<Route, Tally>,
    /// By route, when the answers came.
    pub over_time: BTreeMap<Route, Timeline>,
    /// Every attempt to buy, if they were to be kept; in no order.
    pub attempts: Vec<Attempt>,
    /// Every look at a receipt, kept where attempts are; in no order.
    pub lookups: Vec<Lookup>,
    /// What broke, in words, and how often; at most 20 different ones.
    pub failures: BTreeMap<String, u64>,
    /// Requests that were due and never sent: the backlog was full, or the run ended before their turn.
    pub unsent: u64,
    /// Connections that were opened.
    pub connected: u64,
    /// From the start to the last answer.
    pub took: Duration,
    /// CPU time of this process over the run.
    pub client_cpu: Duration,
}

impl Recording {
    /// Adds what another thread measured in the same run, or what another run did at the same time.
    pub fn merge(&mut self, other: Self) {
        for (route, tally) in &other.routes {
            self.routes.entry(*route).or_default().merge(tally);
        }
        for (route, timeline) in &other.over_time {
            self.over_time.entry(*route).or_default().merge(timeline);
        }
        self.attempts.extend(other.attempts);
        self.lookups.extend(other.lookups);
        for (what, count) in other.failures {
            self.fail(&what, count);
        }
        self.unsent += other.unsent;
        self.connected += other.connected;
        self.took = self.took.max(other.took);
        self.client_cpu += other.client_cpu;
    }

    /// What was measured of `route`, if anything was.
    pub fn tally(&self, route: Route) -> Option<&Tally> {
        self.routes.get(&route)
    }

    /// Notes one request that came to its end.
    pub fn note(&mut self, route: Route, times: Times, outcome: Outcome) {
        let tally = self.routes.entry(route).or_default();
        *tally.counts.entry(outcome).or_default() += 1;
        if outcome.is_answered() {
            tally.since_due.saturating_record(times.since_due_us());
            tally.since_sent.saturating_record(times.since_sent_us());
        } else if outcome.is_refused() {
            tally.refused.saturating_record(times.since_due_us());
        }
        let interval = self.over_time.entry(route).or_default().at(times.answered / NANOS_PER_SECOND);
        *interval.counts.entry(outcome).or_default() += 1;
        if outcome.is_answered() {
            // It would not grow for a record that saturates.
            interval.latency += times.since_due_us().min(LATENCY_MAX_US);
        }
    }

    /// Counts what broke.
    pub fn fail(&mut self, what: &str, count: u64) {
        if let Some(known) = self.failures.get_mut(what) {
            *known += count;
        } else {
            // One place is for the rest.
            let what = if self.failures.len() < FAILURES_MAX - 1 { what } else { OTHER_FAILURES };
            *self.failures.entry(what.to_owned()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(due_ms: u64, sent_ms: u64, answered_ms: u64) -> Times {
        Times { due: due_ms * 1_000_000, sent: sent_ms * 1_000_000, answered: answered_ms * 1_000_000 }
    }

    #[test]
    fn latency_is_of_answers_and_of_refusals_apart() {
        let mut recording = Recording::default();
        recording.note(Route::Purchase, times(0, 100, 300), Outcome::Purchased);
        recording.note(Route::Purchase, times(0, 0, 10), Outcome::Unavailable);
        recording.note(Route::Purchase, times(0, 0, 5_000), Outcome::Broken);
        recording.note(Route::Status, times(1_500, 1_500, 1_501), Outcome::Found);
        let tally = recording.tally(Route::Purchase).unwrap();
        assert_eq!((tally.total(), tally.since_due.len(), tally.refused.len()), (3, 1, 1));
        assert!(tally.since_due.max().abs_diff(300_000) < 300, "{}", tally.since_due.max());
        assert!(tally.since_sent.max().abs_diff(200_000) < 200, "{}", tally.since_sent.max());
        assert!(tally.refused.max().abs_diff(10_000) < 10, "{}", tally.refused.max());
        assert_eq!(recording.over_time[&Route::Purchase].intervals().len(), 6);
        let second = &recording.over_time[&Route::Status].intervals()[1];
        assert_eq!((second.counts[&Outcome::Found], second.latency.len()), (1, 1));
        assert!(recording.tally(Route::Receipt).is_none());
    }

    #[test]
    fn merging_is_as_if_one_had_noted_all() {
        let (mut one, mut two, mut all) = (Recording::default(), Recording::default(), Recording::default());
        for n in 0..1_000_u64 {
            let noted = times(n, n + n % 7, n + n % 7 + 1 + n * n % 900);
            let outcome = if n % 5 == 0 { Outcome::SoldOut } else { Outcome::Purchased };
            all.note(Route::Purchase, noted, outcome);
            let half = if n % 3 == 0 { &mut one } else { &mut two };
            half.note(Route::Purchase, noted, outcome);
        }
        one.took = Duration::from_secs(2);
        two.took = Duration::from_secs(1);
        one.merge(two);
        assert_eq!(one.took, Duration::from_secs(2));
        let (merged, whole) = (one.tally(Route::Purchase).unwrap(), all.tally(Route::Purchase).unwrap());
        assert_eq!(merged.counts, whole.counts);
        assert_eq!(merged.since_due, whole.since_due);
        assert_eq!(merged.since_sent, whole.since_sent);
        let (merged, whole) = (&one.over_time[&Route::Purchase], &all.over_time[&Route::Purchase]);
        assert_eq!(merged.intervals().len(), whole.intervals().len());
        for (merged, whole) in merged.intervals().iter().zip(whole.intervals()) {
            assert_eq!(merged.counts, whole.counts);
            assert_eq!(merged.latency.len(), whole.latency.len());
        }
    }

    #[test]
    fn failures_stay_few() {
        let mut recording = Recording::default();
        for n in 0..100 {
            recording.fail(&format!("failure {n}"), 1);
        }
        assert_eq!(recording.failures.len(), FAILURES_MAX);
        assert_eq!(recording.failures.values().sum::<u64>(), 100);
        let mut other = Recording::default();
        other.fail("another one", 3);
        recording.merge(other);
        assert_eq!(recording.failures.len(), FAILURES_MAX);
        assert_eq!(recording.failures[OTHER_FAILURES], 84);
    }

    #[test]
    fn an_attempt_is_written_and_read() {
        let receipt = Some(ToldReceipt { number: "PUR-1".into(), at: "2026-11-23T12:00:00.123Z".into() });
        let told = Attempt {
            shopper: 1,
            key: 0,
            due_us: 2,
            sent_us: 3,
            answered_us: 4,
            outcome: Outcome::Unexpected(418),
            polite: true,
            receipt,
        };
        let line = serde_json::to_string(&told).unwrap();
        let read: Attempt = serde_json::from_str(&line).unwrap();
        assert_eq!((read.outcome, read.receipt), (told.outcome, told.receipt), "{line}");
        let bare = r#"{"shopper":1,"key":2,"due_us":0,"sent_us":0,"answered_us":1,"outcome":"sold-out","polite":true}"#;
        assert_eq!(serde_json::from_str::<Attempt>(bare).unwrap().outcome, Outcome::SoldOut);
    }

    #[test]
    fn what_is_between_is_never_shortened() {
        let times = Times { due: 1_999, sent: 2_999, answered: 3_001 };
        assert_eq!(times.due_sent_answered_us(), (1, 2, 4));
    }
}
