//! Settings.

use std::path::PathBuf;

use flashsale_platform::Unusable;
use secrecy::SecretString;

use crate::auth::Keyring;

/// Shortest shared admin key, in characters.
pub const ADMIN_KEY_CHARS_MIN: usize = 16;

/// What an operator sets.
#[derive(Debug, Clone)]
pub struct Config {
    /// A key for `X-Admin-Key` that everybody shares who administers: at least [`ADMIN_KEY_CHARS_MIN`] characters, or
    /// none when there is a file.
    pub admin_key: SecretString,
    /// A file of keys with names and roles, which is read again when it changes.
    pub admin_keys_file: Option<PathBuf>,
    /// Whether `DELETE /api/v1/products/{sku}` works: for test environments.
    pub allow_delete: bool,
    /// Whether a CAPTCHA provider is configured, so that a sale may ask for its word.
    pub has_captcha: bool,
}

impl Config {
    /// Checks what types cannot: the key, and what is in the file.
    ///
    /// # Errors
    /// With the fix.
    pub fn check(&self) -> Result<(), ConfigError> {
        Keyring::new(self).map(drop)
    }
}

/// Why the settings were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The key could be guessed.
    #[error("the admin key must have at least {ADMIN_KEY_CHARS_MIN} characters, it has {0}; set FLASHSALE_ADMIN_KEY")]
    AdminKeyTooShort(usize),
    /// The file of keys cannot be used.
    #[error("`admin_keys_file`: {0}; correct the file or FLASHSALE_ADMIN_KEYS_FILE")]
    KeysFile(Unusable),
}
