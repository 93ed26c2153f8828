//! Bounded memory of things that were seen, in two generations: when the younger is full or old, the
//! older is forgotten. Memory stays under twice the bound of one generation, without a clock an entry.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// A map that forgets its oldest entries.
#[derive(Debug)]
pub struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    per_generation_max: usize,
    age_max: Duration,
    since: Instant,
}

impl<K: Hash + Eq, V> Generations<K, V> {
    /// Keeps at most `entries_max`, and each at least `age_max` unless that bound is reached.
    pub fn new(entries_max: usize, age_max: Duration) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            per_generation_max: entries_max.div_ceil(2),
            age_max,
            since: Instant::now(),
        }
    }

    /// What is remembered of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Remembers it, and forgets the older generation when it is time.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.per_generation_max || self.since.elapsed() >= self.age_max {
            self.old = std::mem::take(&mut self.young);
            self.since = Instant::now();
        }
        self.young.insert(key, value);
    }

    /// Forgets one.
    pub fn remove(&mut self, key: &K) {
        if self.young.remove(key).is_none() {
            self.old.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let mut seen = Generations::new(100, Duration::from_secs(3_600));
        for n in 0..10_000 {
            seen.insert(n, n);
            assert!(seen.young.len() + seen.old.len() <= 101, "at {n}");
        }
        assert!((9_951..10_000).all(|n| seen.get(&n).is_some()));
        assert!(seen.get(&9_000).is_none());
        seen.remove(&9_999);
        assert!(seen.get(&9_999).is_none());
    }
}
