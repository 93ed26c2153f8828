//! The watchdog of a consumer: a partition that is ours, has records, and yields none.
//!
//! A client may lose a partition without a word: a broker that accepts requests and answers none, a fetch that is
//! never repeated. Lag grows while everything looks well. Whoever has not moved for [`SILENT_MAX`] is compared with
//! the end of its partition; if there is something to read, the consumer is started anew.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::Partition;

/// A partition may rest for this long before its end is looked at.
pub(crate) const SILENT_MAX: Duration = Duration::from_secs(30);
/// Between two looks, which cost a request each.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// What is known of the progress of each partition.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    /// Next offset, and since when it is that.
    seen: HashMap<Partition, (i64, Instant)>,
    looked: Option<Instant>,
}

impl Watchdog {
    /// Whether it is time to look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_EVERY)
    }

    /// Takes where each partition stands; returns the one that has rested the longest, if that is too long.
    pub(crate) fn look(&mut self, now: Instant, positions: HashMap<Partition, i64>) -> Option<(Partition, i64)> {
        self.looked = Some(now);
        self.seen.retain(|partition, _| positions.contains_key(partition));
        for (partition, next) in positions {
            let seen = self.seen.entry(partition).or_insert((next, now));
            if seen.0 != next {
                *seen = (next, now);
            }
        }
        let resting = self.seen.iter().filter(|(_, (_, since))| now.duration_since(*since) >= SILENT_MAX);
        resting.min_by_key(|(_, (_, since))| *since).map(|(partition, (next, _))| (partition.clone(), *next))
    }

    /// Notes that a partition rests because it has no more records, or that its end cannot be seen.
    pub(crate) fn excuse(&mut self, now: Instant, partition: &Partition) {
        if let Some((_, since)) = self.seen.get_mut(partition) {
            *since = now;
        }
    }

    /// Forgets everything, as after a pause.
    pub(crate) fn reset(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(next: &[(i32, i64)]) -> HashMap<Partition, i64> {
        next.iter().map(|(number, next)| (Partition { topic: "t".into(), number: *number }, *next)).collect()
    }

    #[test]
    fn f_17_only_a_partition_that_does_not_move_is_suspected() {
        let (mut dog, begin) = (Watchdog::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(dog.is_due(begin));
        assert_eq!(dog.look(begin, positions(&[(0, 5), (1, 7)])), None);
        assert!(!dog.is_due(begin + second) && dog.is_due(begin + LOOK_EVERY));
        assert_eq!(dog.look(begin + 20 * second, positions(&[(0, 6), (1, 7)])), None);
        let (suspect, next) = dog.look(begin + 30 * second, positions(&[(0, 6), (1, 7)])).unwrap();
        assert_eq!((suspect.number, next), (1, 7));
        dog.excuse(begin + 30 * second, &suspect);
        assert_eq!(dog.look(begin + 49 * second, positions(&[(0, 6), (1, 7)])), None);
        assert_eq!(dog.look(begin + 51 * second, positions(&[(0, 6), (1, 7)])).unwrap().0.number, 0);
        // Another owner took it and gave it back: it begins anew.
        assert_eq!(dog.look(begin + 52 * second, positions(&[(1, 7)])), None);
        assert_eq!(dog.look(begin + 53 * second, positions(&[(0, 6), (1, 7)])), None);
    }
}
