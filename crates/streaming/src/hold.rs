//! What an operator ordered a consumer to leave unread.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// A standing order. It is about the partitions of these numbers, of every topic that the consumer reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hold {
    /// Everything is read.
    #[default]
    Nothing,
    /// Nothing is read of these partitions; of all when the set is empty.
    Pause(BTreeSet<i32>),
    /// These partitions, or all when the set is empty, are read up to an offset, which is not read itself.
    Until(BTreeSet<i32>, i64),
}

impl Hold {
    /// The first offset of a partition that is not to be read; none when all are.
    pub fn first_unread(&self, partition: i32) -> Option<i64> {
        let concerns = |partitions: &BTreeSet<i32>| partitions.is_empty() || partitions.contains(&partition);
        match self {
            Self::Pause(partitions) if concerns(partitions) => Some(i64::MIN),
            Self::Until(partitions, offset) if concerns(partitions) => Some(*offset),
            _ => None,
        }
    }

    /// Whether nothing is to be read at all: then a consumer leaves its group, so that it can be put elsewhere.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Pause(partitions) if partitions.is_empty())
    }

    /// For consumers that nobody gives orders to.
    pub fn never() -> watch::Receiver<Self> {
        watch::channel(Self::Nothing).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_without_partitions_is_about_all() {
        assert_eq!(Hold::Nothing.first_unread(0), None);
        assert_eq!(Hold::Pause(BTreeSet::new()).first_unread(7), Some(i64::MIN));
        assert_eq!(Hold::Pause(BTreeSet::from([1])).first_unread(0), None);
        assert_eq!(Hold::Until(BTreeSet::from([1]), 12).first_unread(1), Some(12));
        assert_eq!(Hold::Until(BTreeSet::from([1]), 12).first_unread(2), None);
    }
}
