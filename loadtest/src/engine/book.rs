//! Where a thread writes down what came of its requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{HandOver, Live, answer::Answer, connection::UnderWay};
use crate::recorder::{Attempt, Lookup, Outcome, Recording, Route, Times, ToldReceipt};

/// How slowly the mean of the live display follows: by one part in so many at each look.
const MEAN_INERTIA: u64 = 4;

/// The recording of a thread, and what it has not told the live display yet.
pub(super) struct Book<'a> {
    pub(super) recording: Recording,
    live: &'a Live,
    keeps_attempts: bool,
    hand_over: Option<HandOver<'a>>,
    sent: u64,
    answered: u64,
    purchased: u64,
    refused: u64,
    broken: u64,
    latency_sum_us: u64,
}

impl<'a> Book<'a> {
    pub(super) fn new(live: &'a Live, keeps_attempts: bool, hand_over: Option<HandOver<'a>>) -> Self {
        Self {
            recording: Recording::default(),
            live,
            keeps_attempts,
            hand_over,
            sent: 0,
            answered: 0,
            purchased: 0,
            refused: 0,
            broken: 0,
            latency_sum_us: 0,
        }
    }

    /// A request was written.
    pub(super) fn sent(&mut self) {
        self.sent += 1;
    }

    /// The answer to `asked` came at `now`.
    pub(super) fn answered(&mut self, asked: &UnderWay, answer: &Answer<'_>, now: u64) {
        let outcome = answer.outcome(asked.request.route);
        let is_held = match asked.request.route {
            Route::Purchase => matches!(outcome, Outcome::Purchased | Outcome::Pending | Outcome::AlreadyPurchased),
            Route::Receipt => outcome == Outcome::Found,
            Route::Status => false,
        };
        let receipt = if self.keeps_attempts && is_held { answer.receipt() } else { None };
        self.answered += 1;
        self.purchased += u64::from(matches!(outcome, Outcome::Purchased | Outcome::Pending));
        self.refused += u64::from(outcome.is_refused());
        self.latency_sum_us += now.saturating_sub(asked.due) / 1_000;
        self.note(asked, now, outcome, !outcome.is_refused() || answer.says_when, receipt);
    }

    /// There will be no answer to `asked`, for the reason `why`.
    pub(super) fn broken(&mut self, asked: &UnderWay, now: u64, why: &str) {
        self.broken += 1;
        self.recording.fail(why, 1);
        self.note(asked, now, Outcome::Broken, true, None);
    }

    fn note(&mut self, asked: &UnderWay, now: u64, outcome: Outcome, polite: bool, receipt: Option<ToldReceipt>) {
        let times = Times { due: asked.due, sent: asked.sent, answered: now };
        self.recording.note(asked.request.route, times, outcome);
        if !self.keeps_attempts {
            return;
        }
        let (due_us, sent_us, answered_us) = times.due_sent_answered_us();
        let (shopper, key) = (asked.request.shopper, asked.request.key);
        match asked.request.route {
            Route::Purchase => {
                let attempt = Attempt { shopper, key, due_us, sent_us, answered_us, outcome, polite, receipt };
                self.recording.attempts.push(attempt);
            }
            Route::Receipt => {
                self.recording.lookups.push(Lookup { shopper, sent_us, answered_us, outcome, receipt });
            }
            Route::Status => {}
        }
    }

    /// Tells the live display what happened since it was told last, and hands over what is not to be kept. Not after
    /// each answer: the threads would fight for its counters.
    pub(super) fn tell(&mut self) {
        if let Some(hand_over) = self.hand_over {
            let kept = &mut self.recording;
            let (attempts, lookups) = (std::mem::take(&mut kept.attempts), std::mem::take(&mut kept.lookups));
            if !attempts.is_empty() || !lookups.is_empty() {
                hand_over(attempts, lookups);
            }
        }
        if let Some(mean) = self.latency_sum_us.checked_div(self.answered) {
            let before = self.live.latency_us.load(Relaxed);
            let after = if before == 0 { mean } else { (before * (MEAN_INERTIA - 1) + mean) / MEAN_INERTIA };
            self.live.latency_us.store(after, Relaxed);
            self.latency_sum_us = 0;
        }
        let tell = |counter: &AtomicU64, count: &mut u64| {
            counter.fetch_add(std::mem::take(count), Relaxed);
        };
        tell(&self.live.sent, &mut self.sent);
        tell(&self.live.answered, &mut self.answered);
        tell(&self.live.purchased, &mut self.purchased);
        tell(&self.live.refused, &mut self.refused);
        tell(&self.live.broken, &mut self.broken);
    }
}
