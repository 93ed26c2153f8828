//! Ids that nobody else has.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

/// A new UUIDv7: this host's time in milliseconds, then chance. From the thread's generator, which is seeded by the
/// system and does not ask it each time.
pub fn unique_id() -> Uuid {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_is_new_and_of_version_7() {
        let ids: HashSet<Uuid> = (0..10_000).map(|_| unique_id()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
