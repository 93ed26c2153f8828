//! The breaker of a consumer: closed while all is well, open after a failure, half-open for one try.
//!
//! Open means: nothing is read and nothing is thrown away. After a wait that doubles, with jitter, the very batch
//! that failed is tried once. If it works the line goes on, else the wait begins again.

use std::time::Duration;

use rand::Rng;

use crate::metrics;

/// Between a half and the whole of `wait`: those that failed together must not come back together.
pub fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Where a breaker stands; the numbers are those of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// All is well.
    #[default]
    Closed = 0,
    /// Waiting after a failure.
    Open = 1,
    /// One try is under way.
    HalfOpen = 2,
}

/// The breaker of one consumer.
#[derive(Debug)]
pub(crate) struct Breaker {
    consumer: String,
    wait_min: Duration,
    wait_max: Duration,
    state: State,
    failures: u32,
}

impl Breaker {
    /// A closed breaker whose waits double from `wait_min` to `wait_max`.
    pub(crate) fn new(consumer: &str, wait_min: Duration, wait_max: Duration) -> Self {
        metrics::breaker(consumer, State::Closed);
        Self { consumer: consumer.to_owned(), wait_min, wait_max, state: State::Closed, failures: 0 }
    }

    fn turn(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            metrics::breaker(&self.consumer, state);
        }
    }

    /// A try failed; returns how long to wait before the next.
    pub(crate) fn failed(&mut self) -> Duration {
        self.turn(State::Open);
        let full = self.wait_min.saturating_mul(1 << self.failures.min(16)).min(self.wait_max);
        self.failures = self.failures.saturating_add(1);
        jittered(full)
    }

    /// The wait is over: one try.
    pub(crate) fn probe(&mut self) {
        self.turn(State::HalfOpen);
    }

    /// A try worked.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.turn(State::Closed);
    }

    /// Failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_18_waits_double_up_to_a_bound_and_one_success_closes() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(2));
        let mut breaker = Breaker::new("test", min, max);
        for failure in 0..40 {
            let full = (min * (1 << failure.min(10))).min(max);
            let wait = breaker.failed();
            assert!(wait >= full / 2 && wait <= full, "{failure}: {wait:?}");
            assert_eq!(breaker.state, State::Open);
            breaker.probe();
            assert_eq!(breaker.state, State::HalfOpen);
        }
        breaker.succeeded();
        assert_eq!((breaker.state, breaker.failures()), (State::Closed, 0));
        assert!(breaker.failed() <= min);
    }
}
