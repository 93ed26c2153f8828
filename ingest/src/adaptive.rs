//! How many requests may be under way at once: as many as are decided in time.

/// Decisions in a hundred that may be late.
const LATE_PERCENT_MAX: u64 = 10;
/// A rush of so many at once is let in even where they are decided late, for a while (NF-1): a machine may be slow
/// without being overrun.
const CROWD: usize = 1_000;
/// Late windows for which such a rush is borne, unless a greater one was cut down to it; as many again once nobody asks.
const PATIENCE: u32 = 20;
/// Steps in which a limit that is at its least grows to its most.
const STEPS: usize = 100;
/// Seconds after which a refused client is asked back: at least this many different ones, at most that many.
const WAIT_CHOICES_MIN: u64 = 2;
const WAIT_MAX: u64 = 5;

/// What was seen since the last look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    /// Decisions of attempts that were admitted under the present limit.
    pub(crate) decided: u64,
    /// Those of them that took too long.
    pub(crate) late: u64,
    /// Most requests that were under way at once.
    pub(crate) in_flight: usize,
}

/// A limit that follows what it sees: halved when decisions are late, raised by a step when they are not, and to its most
/// when nobody asks.
///
/// It is never below `min` and never above `max`, whatever it sees.
#[derive(Debug)]
pub(crate) struct Limit {
    min: usize,
    max: usize,
    now: usize,
    patience: u32,
}

impl Limit {
    /// Begins at the most: the first stampede must not be refused for what nobody has measured.
    pub(crate) fn new(min: usize, max: usize) -> Self {
        Self { min: min.min(max), max, now: max, patience: PATIENCE }
    }

    pub(crate) fn now(&self) -> usize {
        self.now
    }

    /// Takes a window into account; true when the limit was cut. What was admitted before a cut is late because of the
    /// limit before, and must not be in a window again.
    pub(crate) fn follow(&mut self, seen: Window) -> bool {
        if seen.late.saturating_mul(100) > seen.decided.saturating_mul(LATE_PERCENT_MAX) {
            if self.now == self.max && seen.in_flight <= CROWD && self.patience > 0 {
                self.patience -= 1;
                return false;
            }
            // Of what was there, not of what might have been: a limit that nobody reached must bite too.
            self.now = (self.now.min(seen.in_flight) / 2).clamp(self.min, self.max);
            return true;
        }
        if seen.in_flight == 0 {
            // Nobody asks: what the last rush took says nothing of the next.
            self.now = self.max;
            self.patience = PATIENCE;
        } else if seen.decided > 0 {
            // Requests that wait while nothing is decided say nothing yet.
            let step = (self.max - self.min).div_ceil(STEPS);
            self.now = (self.now + step).min(self.max);
        }
        false
    }
}

/// Into how many different seconds refused clients are spread, so that in each as many come back as are served now.
pub(crate) fn wait_choices(refused: u64, answered: u64) -> u64 {
    refused.div_ceil(answered.max(1)).saturating_add(1).clamp(WAIT_CHOICES_MIN, WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: usize = 64;
    const MAX: usize = 10_000;

    fn window(decided: u64, late: u64, in_flight: usize) -> Window {
        Window { decided, late, in_flight }
    }

    #[test]
    fn nf_5_it_stays_between_its_bounds_whatever_it_sees() {
        let mut random = 1_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for (min, max) in [(MIN, MAX), (1, 1), (5, 3), (1, 2), (100, usize::MAX / 2)] {
            let mut limit = Limit::new(min, max);
            for _ in 0..10_000 {
                let decided = next(3) * next(1_000);
                limit.follow(window(decided, next(decided + 2), next(20_000) as usize));
                assert!((min.min(max)..=max).contains(&limit.now()), "{limit:?}");
            }
        }
    }

    #[test]
    fn nf_5_late_decisions_halve_what_is_under_way() {
        let mut limit = Limit::new(MIN, MAX);
        assert!(!limit.follow(window(1_000, 100, MAX)), "a tenth may be late");
        assert_eq!(limit.now(), MAX);
        assert!(limit.follow(window(1_000, 101, MAX)));
        assert_eq!(limit.now(), MAX / 2);
        assert!(limit.follow(window(10, 10, 2_000)), "nobody had reached it");
        assert_eq!(limit.now(), 1_000);
        for _ in 0..PATIENCE + 20 {
            limit.follow(window(1, 1, 500));
        }
        assert_eq!(limit.now(), MIN, "some are always let in: else nobody would ever see that it is better");
    }

    #[test]
    fn nf_1_a_thousand_at_once_are_borne_for_a_while_where_they_are_decided_late() {
        let mut limit = Limit::new(MIN, MAX);
        for _ in 0..PATIENCE {
            assert!(!limit.follow(window(50, 50, 1_000)));
            assert_eq!(limit.now(), MAX);
        }
        assert!(limit.follow(window(50, 50, 1_000)), "not for ever");
        limit.follow(window(0, 0, 0));
        assert!(!limit.follow(window(50, 50, 1_000)), "the next rush again");
        assert!(limit.follow(window(50, 50, 1_001)), "and no more than that");
        let mut limit = Limit::new(MIN, MAX);
        for under_way in [MAX, 5_000, 2_500, 1_250, 625, 312] {
            assert!(limit.follow(window(1_000, 1_000, under_way)), "a flood is cut down without a break");
        }
    }

    #[test]
    fn nf_5_it_recovers_when_decisions_are_in_time_or_nobody_asks() {
        let mut limit = Limit { min: MIN, max: MAX, now: MIN, patience: 0 };
        limit.follow(window(50, 0, 60));
        assert_eq!(limit.now(), MIN + MAX / STEPS, "step by step");
        for _ in 1..STEPS {
            limit.follow(window(50, 0, 60));
        }
        assert_eq!(limit.now(), MAX);
        let mut limit = Limit { min: MIN, max: MAX, now: MIN, patience: 0 };
        limit.follow(window(0, 0, 0));
        assert_eq!(limit.now(), MAX, "NF-1: the next thousand in one moment are let in");
        let mut limit = Limit { min: MIN, max: MAX, now: MIN, patience: 0 };
        limit.follow(window(0, 0, 60));
        assert_eq!(limit.now(), MIN, "what waits for a server that hangs is no good sign");
    }

    /// A server that decides so many in each window, and clients that bring five times as many.
    #[test]
    fn nf_5_under_five_times_the_capacity_decisions_stay_near_the_target() {
        const CAPACITY: usize = 400;
        const TARGET: usize = 5;
        let mut limit = Limit::new(MIN, MAX);
        // When each request under way was admitted, the oldest first.
        let mut queue = std::collections::VecDeque::new();
        let (mut cut_at, mut worst) = (0, 0);
        for now in 0..2_000_usize {
            let mut seen = Window::default();
            for _ in 0..5 * CAPACITY {
                if queue.len() < limit.now() {
                    queue.push_back(now);
                }
            }
            seen.in_flight = queue.len();
            let served = queue.len().min(CAPACITY);
            for admitted in queue.drain(..served) {
                let took = now - admitted;
                if now > 100 {
                    worst = worst.max(took);
                }
                if admitted >= cut_at {
                    seen.decided += 1;
                    seen.late += u64::from(took > TARGET);
                }
            }
            if now > 100 {
                assert_eq!(served, CAPACITY, "the server is never without work");
            }
            if limit.follow(seen) {
                cut_at = now + 1;
            }
        }
        assert!((TARGET..=2 * TARGET).contains(&worst), "{worst} windows");
    }

    #[test]
    fn refused_clients_come_back_spread_over_as_many_seconds_as_it_takes() {
        for (refused, answered, expected) in
            [(1, 1_000, 2), (1_000, 1_000, 2), (2_000, 1_000, 3), (4_000, 1_000, 5), (1_000_000, 0, 5), (0, 0, 2)]
        {
            assert_eq!(wait_choices(refused, answered), expected, "{refused} of {answered}");
        }
    }
}
