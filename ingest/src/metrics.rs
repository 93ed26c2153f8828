//! Names of the metrics of this crate.

use flashsale_challenge::Refusal;
use flashsale_core::Challenge;
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::purchase::Answer;

const ANSWERS: &str = "flashsale_ingest_answers_total";
const EDGE_REFUSALS: &str = "flashsale_ingest_edge_refusals_total";
const REFUSED: &str = "flashsale_ingest_refused_total";
const PURCHASE: &str = "flashsale_ingest_purchase_seconds";
const DECIDE: &str = "flashsale_ingest_decide_seconds";
const BATCH: &str = "flashsale_ingest_batch_attempts";
const IN_FLIGHT: &str = "flashsale_ingest_in_flight";
const IN_FLIGHT_LIMIT: &str = "flashsale_ingest_in_flight_limit";
const LOG_QUEUE: &str = "flashsale_ingest_log_queue_records";
const SETTLE_FAILED: &str = "flashsale_ingest_settle_failed_total";
const CHALLENGES_ISSUED: &str = "flashsale_ingest_challenges_issued_total";
const CHALLENGES_PASSED: &str = "flashsale_ingest_challenges_passed_total";
const CHALLENGES_FAILED: &str = "flashsale_ingest_challenges_failed_total";

/// Why attempts are refused before any decision.
const REASONS: [&str; 7] =
    ["rate_limited", "in_flight", "log_queue_full", "catalogue", "batcher", "undecided", "stood_still"];
const FENCE: &str = "flashsale_fence_open";

/// Why a try did not pass its challenge, besides what a verifier says.
const NO_RESPONSE: [&str; 2] = ["missing", "not_configured"];

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_counter!(ANSWERS, "Answers to purchase attempts by outcome");
    describe_counter!(EDGE_REFUSALS, "Refusals of shoppers known to hold no unit of an ended sale, without Redis");
    describe_counter!(REFUSED, "Attempts refused before any decision, by reason");
    describe_histogram!(PURCHASE, "Seconds from request to answer of decided attempts");
    describe_histogram!(DECIDE, "Seconds of one decide.lua call, as the caller sees it");
    describe_histogram!(BATCH, "Attempts of one decide.lua call");
    describe_gauge!(IN_FLIGHT, "Requests between admission and answer");
    describe_gauge!(IN_FLIGHT_LIMIT, "Requests that may be between admission and answer just now");
    describe_gauge!(LOG_QUEUE, "Records that no broker has acknowledged");
    describe_gauge!(FENCE, "1 while this process may decide: Redis is verified against the log");
    describe_counter!(SETTLE_FAILED, "Batches whose outbox entries are left to the relay");
    describe_counter!(CHALLENGES_ISSUED, "Challenges that shoppers were told, by kind");
    describe_counter!(CHALLENGES_PASSED, "Attempts that passed the challenge of their sale, by kind");
    describe_counter!(CHALLENGES_FAILED, "Attempts that did not pass the challenge of their sale, by reason");
}

/// Handles that are looked up once, for the hot path.
pub(crate) struct Metrics {
    accepted: Counter,
    pending: Counter,
    repeated: Counter,
    already: Counter,
    sold_out: Counter,
    not_active: Counter,
    at_the_edge: Counter,
    pub(crate) purchase: Histogram,
    pub(crate) decide: Histogram,
    pub(crate) batch: Histogram,
    pub(crate) settle_failed: Counter,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // An alert looks for what has not happened yet.
        REASONS.iter().for_each(|reason| counter!(REFUSED, "reason" => *reason).increment(0));
        let reasons = Refusal::ALL.map(Refusal::as_str).into_iter().chain(NO_RESPONSE);
        reasons.for_each(|reason| counter!(CHALLENGES_FAILED, "reason" => reason).increment(0));
        let answers = |outcome: &'static str| counter!(ANSWERS, "outcome" => outcome);
        Self {
            accepted: answers("accepted"),
            pending: answers("pending"),
            repeated: answers("repeated"),
            already: answers("already_purchased"),
            sold_out: answers("sold_out"),
            not_active: answers("not_active"),
            at_the_edge: counter!(EDGE_REFUSALS),
            purchase: histogram!(PURCHASE),
            decide: histogram!(DECIDE),
            batch: histogram!(BATCH),
            settle_failed: counter!(SETTLE_FAILED),
        }
    }
}

impl Metrics {
    pub(crate) fn answered(&self, answer: &Answer) {
        match answer {
            Answer::Purchased { repeated: false, .. } => self.accepted.increment(1),
            Answer::Purchased { repeated: true, .. } => self.repeated.increment(1),
            Answer::Pending(_) => self.pending.increment(1),
            Answer::AlreadyPurchased(_) => self.already.increment(1),
            Answer::SoldOut => self.sold_out.increment(1),
            Answer::NotActive(_) => self.not_active.increment(1),
        }
    }

    pub(crate) fn refused_at_the_edge(&self) {
        self.at_the_edge.increment(1);
    }
}

pub(crate) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

pub(crate) fn challenge_issued(kind: Challenge) {
    counter!(CHALLENGES_ISSUED, "kind" => kind.as_str()).increment(1);
}

pub(crate) fn challenge_passed(kind: Challenge) {
    counter!(CHALLENGES_PASSED, "kind" => kind.as_str()).increment(1);
}

pub(crate) fn challenge_failed(reason: &'static str) {
    counter!(CHALLENGES_FAILED, "reason" => reason).increment(1);
}

pub(crate) fn fence(open: bool) {
    gauge!(FENCE).set(if open { 1.0 } else { 0.0 });
}

pub(crate) fn load(in_flight: usize, limit: usize, log_queue: u32) {
    gauge!(IN_FLIGHT).set(in_flight as f64);
    gauge!(IN_FLIGHT_LIMIT).set(limit as f64);
    gauge!(LOG_QUEUE).set(f64::from(log_queue));
}
