//! How often somebody may try something: GCRA, over a table with a bound.
//!
//! Of each it keeps one moment: when the next try would be due if all had come at an even pace. A try is refused when
//! that moment is further away than the burst allows, and then changes nothing, so that trying does not lengthen the
//! wait. Whoever was not seen for the length of a burst is as good as new, and is forgotten. When more come in that
//! time than there is room for, those that were seen the longest ago are forgotten early: a few may try once more than
//! they should, and nobody is locked out.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::Generations;

/// Parts of the table that are locked by themselves, and what makes a further one worth it.
const SHARDS_MAX: usize = 32;
const SHARD_ENTRIES_MIN: usize = 1_024;
/// No interval and no burst is longer: moments do not overflow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A limit of tries for each of many.
#[derive(Debug)]
pub struct RateLimit {
    /// Keyed at random: nobody can craft names that meet.
    hash: RandomState,
    shards: Box<[Mutex<Generations<u64, Instant>>]>,
    interval: Duration,
    /// How much too early a try may be.
    tolerance: Duration,
}

impl RateLimit {
    /// One try an `interval`, or `burst` at once after a break. Remembers `entries_max` at a time.
    pub fn new(interval: Duration, burst: u32, entries_max: usize) -> Self {
        let interval = interval.min(LONGEST);
        let tolerance = interval.saturating_mul(burst.saturating_sub(1)).min(LONGEST);
        let shards = (entries_max / SHARD_ENTRIES_MIN).clamp(1, SHARDS_MAX);
        let shard = || Mutex::new(Generations::new(entries_max.div_ceil(shards), interval + tolerance));
        Self { hash: RandomState::new(), shards: (0..shards).map(|_| shard()).collect(), interval, tolerance }
    }

    /// Takes a try of `who`, or says in how many seconds the next one is due: 1 or more.
    pub fn check(&self, who: &impl Hash) -> Result<(), u64> {
        let wait = self.take(self.hash.hash_one(who), Instant::now());
        wait.map_err(|wait| u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1))
    }

    fn take(&self, who: u64, now: Instant) -> Result<(), Duration> {
        let shard = &self.shards[(who % self.shards.len() as u64) as usize];
        let mut seen = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let due = seen.get(&who).map_or(now, |due| (*due).max(now));
        let early = due.duration_since(now);
        if early > self.tolerance {
            return Err(early.saturating_sub(self.tolerance));
        }
        seen.insert(who, due + self.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nf_10_a_refused_try_does_not_lengthen_the_wait() {
        let (limit, began) = (RateLimit::new(SECOND, 1, 10), Instant::now());
        assert_eq!(limit.take(7, began), Ok(()));
        for tenths in 1..10 {
            let tried = limit.take(7, began + SECOND * tenths / 10);
            assert_eq!(tried, Err(SECOND * (10 - tenths) / 10), "trying all the time");
        }
        assert_eq!(limit.take(7, began + SECOND), Ok(()), "let in as soon as the interval is over");
        assert_eq!(limit.take(8, began), Ok(()), "others are not affected");
    }

    #[test]
    fn nf_10_a_burst_is_free_after_a_break_and_then_the_pace_holds() {
        let (limit, began) = (RateLimit::new(SECOND / 100, 10, 10), Instant::now());
        let taken = |from: Instant, tries: u32| {
            (0..tries).filter(|n| limit.take(7, from + SECOND * *n / 1_000).is_ok()).count()
        };
        // A try a millisecond: ten at once, then one in ten milliseconds.
        assert_eq!(taken(began, 1_000), 10 + 99);
        assert_eq!(taken(began + 5 * SECOND, 10), 10, "after a break the burst is there again");
    }

    #[test]
    fn nf_10_a_full_table_stays_bounded_and_locks_nobody_out() {
        let (limit, began) = (RateLimit::new(LONGEST, 1, 4_096), Instant::now());
        for who in 0..1_000_000 {
            assert_eq!(limit.take(who, began), Ok(()), "{who} was never seen");
        }
        assert!(limit.take(999_999, began).is_err(), "the last ones are remembered");
        assert_eq!(limit.shards.len(), 4);
        assert_eq!(limit.take(0, began), Ok(()), "the first one is forgotten");
    }

    #[test]
    fn the_wait_is_told_in_whole_seconds() {
        let limit = RateLimit::new(SECOND * 3, 1, 10);
        assert_eq!((limit.check(&"a"), limit.check(&"a"), limit.check(&"b")), (Ok(()), Err(3), Ok(())));
        let limit = RateLimit::new(SECOND / 100, 1, 10);
        assert_eq!((limit.check(&"a"), limit.check(&"a")), (Ok(()), Err(1)));
    }
}
