//! The shopper of a request.

use std::sync::Arc;

use axum::http::HeaderMap;
use flashsale_core::UserId;
use flashsale_platform::{ApiError, config};
use tokio_util::sync::CancellationToken;

use crate::{Config, tokens::Tokens};

/// The header in which somebody in front says who the shopper is.
const USER_ID: &str = "x-user-id";

/// Tells shoppers apart. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Shoppers {
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Header,
    Tokens(Arc<Tokens>),
}

/// Why nobody knows who the shopper is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unidentified {
    /// The header says nothing, or no name; what is wrong with it, for the field `userId` of a 400.
    Invalid(String),
    /// There is no token that is good.
    Unauthorized,
}

impl From<Unidentified> for ApiError {
    fn from(unidentified: Unidentified) -> Self {
        match unidentified {
            Unidentified::Invalid(why) => Self::invalid("userId", why),
            Unidentified::Unauthorized => Self::token_required(),
        }
    }
}

impl Shoppers {
    /// Believes `X-User-Id`.
    pub fn from_header() -> Self {
        Self { source: Source::Header }
    }

    /// Wants a token of each shopper, and ignores `X-User-Id`.
    ///
    /// # Errors
    /// When the settings are not whole, or the file of keys cannot be used.
    pub fn from_tokens(config: &Config) -> Result<Self, config::Error> {
        config.check().map_err(config::Error)?;
        Ok(Self { source: Source::Tokens(Arc::new(Tokens::new(config)?)) })
    }

    /// Either, as `config` says.
    ///
    /// # Errors
    /// As [`Self::from_tokens`].
    pub fn new(config: &Config) -> Result<Self, config::Error> {
        if config.uses_tokens() { Self::from_tokens(config) } else { Ok(Self::from_header()) }
    }

    /// Who the shopper of a request is.
    ///
    /// # Errors
    /// 400 or 401, when nobody knows.
    pub fn user(&self, headers: &HeaderMap) -> Result<UserId, ApiError> {
        Ok(self.identify(headers)?)
    }

    /// The same, for who has more to say about a request that is not valid.
    ///
    /// # Errors
    /// When nobody knows.
    pub fn identify(&self, headers: &HeaderMap) -> Result<UserId, Unidentified> {
        match &self.source {
            Source::Header => named(headers).map_err(Unidentified::Invalid),
            Source::Tokens(tokens) => tokens.user(headers).ok_or(Unidentified::Unauthorized),
        }
    }

    /// Looks after the file of keys until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        match self.source {
            Source::Header => shutdown.cancelled().await,
            Source::Tokens(tokens) => tokens.run(shutdown).await,
        }
    }
}

fn named(headers: &HeaderMap) -> Result<UserId, String> {
    let value = headers.get(USER_ID).ok_or("header X-User-Id is missing")?;
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| "header X-User-Id is not UTF-8")?;
    UserId::new(text).map_err(|error| format!("header X-User-Id {error}"))
}
