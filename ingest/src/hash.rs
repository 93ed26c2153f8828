//! Who a user is, in 64 bits.

use std::hash::{BuildHasher, Hash, RandomState};

/// Hashes users to 64 bits under a key that nobody outside knows, so that nobody can craft a collision.
/// Among a million users a chance one has odds of 1 to 10^13.
#[derive(Debug, Default)]
pub(crate) struct UserHash(RandomState);

impl UserHash {
    pub(crate) fn of(&self, user: &impl Hash) -> u64 {
        self.0.hash_one(user)
    }
}
