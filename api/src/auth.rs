//! Who may administer.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use flashsale_platform::ApiError;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{ADMIN_KEY_CHARS_MIN, ConfigError, Service};

/// The header that carries the key.
pub(crate) const ADMIN_KEY: &str = "x-admin-key";

/// The digest of the admin key. Digests have one length, so comparing them tells nothing about the key's.
pub(crate) struct AdminKey([u8; 32]);

impl AdminKey {
    pub(crate) fn new(key: &SecretString) -> Result<Self, ConfigError> {
        let chars = key.expose_secret().chars().count();
        if chars < ADMIN_KEY_CHARS_MIN {
            return Err(ConfigError::AdminKeyTooShort(chars));
        }
        Ok(Self(Sha256::digest(key.expose_secret()).into()))
    }

    fn is(&self, offered: &[u8]) -> bool {
        self.0.ct_eq(&Sha256::digest(offered)).into()
    }
}

/// An extractor that lets only the administrator pass. A missing and a wrong key get the same answer.
#[derive(Debug)]
pub(crate) struct Admin;

impl FromRequestParts<Service> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, ApiError> {
        let offered = parts.headers.get(ADMIN_KEY).map(|key| key.as_bytes()).unwrap_or_default();
        if service.admin_key().is(offered) {
            return Ok(Self);
        }
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "This needs a valid X-Admin-Key."))
    }
}
