//! Settings.

use secrecy::SecretString;

/// Shortest admin key, in characters.
pub const ADMIN_KEY_CHARS_MIN: usize = 16;

/// What an operator sets.
#[derive(Debug, Clone)]
pub struct Config {
    /// What `X-Admin-Key` must say; at least [`ADMIN_KEY_CHARS_MIN`] characters.
    pub admin_key: SecretString,
    /// Whether `DELETE /api/v1/products/{sku}` works: for test environments.
    pub allow_delete: bool,
}

/// Why the settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The key could be guessed.
    #[error("the admin key must have at least {ADMIN_KEY_CHARS_MIN} characters, it has {0}; set FLASHSALE_ADMIN_KEY")]
    AdminKeyTooShort(usize),
}
