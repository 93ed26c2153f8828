//! Who may administer, and who does.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
};
use flashsale_operations::Actor;
use flashsale_platform::{ApiError, CorrelationId, Reloaded};
use secrecy::ExposeSecret;
use subtle::{Choice, ConstantTimeEq};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    ADMIN_KEY_CHARS_MIN, Config, ConfigError, Role, Service,
    keys::{AdminKey, AdminKeys, Digest, digest},
    metrics::{self, Refusal},
};

/// The header that carries the key.
const ADMIN_KEY: &str = "x-admin-key";
/// The header in which holders of the shared key name themselves.
const OPERATOR: &str = "x-operator";
/// Who acts when nobody says.
const NOBODY: &str = "admin";
/// Refused tries are told of at most so often: whoever tries a million keys shall not fill the log with it.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How much of the path is told: whoever tries chose it.
const TOLD_PATH_BYTES_MAX: usize = 100;

/// Whose a key is.
enum Holder {
    /// Everybody's who was told the one key of the settings.
    Shared,
    /// The one's whose name stands in the file.
    Named(AdminKey),
}

impl Holder {
    fn role(&self) -> Role {
        match self {
            Self::Shared => Role::Admin,
            Self::Named(key) => key.role,
        }
    }

    /// Who acts. What the holder of a key of their own says of themselves is ignored.
    fn actor(self, headers: &HeaderMap) -> Result<Actor, ApiError> {
        let Self::Named(key) = self else {
            let name = headers.get(OPERATOR).map_or(Some(NOBODY), |name| std::str::from_utf8(name.as_bytes()).ok());
            let actor = name.and_then(|name| name.parse().ok());
            let why = "header X-Operator must have 1 to 64 printable characters";
            return actor.ok_or_else(|| ApiError::invalid("operator", why));
        };
        Ok(key.name)
    }
}

/// The keys that are good.
pub(crate) struct Keyring {
    shared: Option<Digest>,
    named: Option<Reloaded<AdminKeys>>,
    told: Mutex<Told>,
}

/// When a refused try was told of last, and how many came since.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    untold: u64,
}

impl Keyring {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let shared = config.admin_key.expose_secret();
        let named =
            config.admin_keys_file.as_deref().map(AdminKeys::open).transpose().map_err(ConfigError::KeysFile)?;
        let chars = shared.chars().count();
        if chars < ADMIN_KEY_CHARS_MIN && (chars > 0 || named.is_none()) {
            return Err(ConfigError::AdminKeyTooShort(chars));
        }
        let shared = (chars > 0).then(|| digest(shared.as_bytes()));
        metrics::begin();
        Ok(Self { shared, named, told: Mutex::default() })
    }

    /// Looks after the file until `shutdown`.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        match &self.named {
            Some(file) => file.clone().run(shutdown).await,
            None => shutdown.cancelled().await,
        }
    }

    /// Whose key this is. Digests are compared, which have one length, and all of them: how long that takes tells
    /// nothing about any key.
    fn holder(&self, offered: &[u8]) -> Option<Holder> {
        let offered = digest(offered);
        let named = self.named.as_ref().and_then(|file| file.current().find(&offered).cloned());
        let is_shared = self.shared.map_or(Choice::from(0), |shared| shared.ct_eq(&offered));
        named.map(Holder::Named).or_else(|| bool::from(is_shared).then_some(Holder::Shared))
    }

    /// Lets the holder of a good key pass, if the key's role is `needed` or more.
    fn admit(&self, parts: &Parts, needed: Role) -> Result<Holder, ApiError> {
        let unauthorized =
            || ApiError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "This needs a valid X-Admin-Key.");
        let Some(offered) = parts.headers.get(ADMIN_KEY) else {
            self.refused(Refusal::Missing, parts, None);
            return Err(unauthorized());
        };
        let Some(holder) = self.holder(offered.as_bytes()) else {
            self.refused(Refusal::Unknown, parts, None);
            return Err(unauthorized());
        };
        if let Holder::Named(key) = &holder
            && key.is_expired(OffsetDateTime::now_utc())
        {
            self.refused(Refusal::Expired, parts, Some(&key.name));
            return Err(unauthorized());
        }
        let role = holder.role();
        if role < needed {
            let name = if let Holder::Named(key) = &holder { Some(&key.name) } else { None };
            self.refused(Refusal::Role, parts, name);
            let message = format!("This needs a key with the role {needed}; the role of yours is {role}.");
            return Err(ApiError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message));
        }
        Ok(holder)
    }

    /// Counts a refused try, and tells of it, without the key. The correlation id leads to the client's address in the
    /// log of whatever is in front.
    fn refused(&self, reason: Refusal, parts: &Parts, name: Option<&Actor>) {
        metrics::refused(reason);
        let untold = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
                told.untold += 1;
                return;
            }
            told.at = Some(Instant::now());
            std::mem::take(&mut told.untold)
        };
        let path = parts.uri.path();
        let path = &path[..path.floor_char_boundary(TOLD_PATH_BYTES_MAX)];
        let correlation_id = parts.extensions.get::<CorrelationId>().map(tracing::field::display);
        let name = name.map_or_else(|| "-".to_owned(), Actor::to_string);
        let (reason, method) = (reason.label(), &parts.method);
        tracing::warn!(reason, name, %method, path, correlation_id, untold, "a try to administer was refused");
    }
}

/// An extractor for whoever may look.
#[derive(Debug)]
pub(crate) struct Viewer;

impl FromRequestParts<Service> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, ApiError> {
        service.keyring().admit(parts, Role::Viewer).map(|_| Self)
    }
}

/// An extractor for whoever may operate; it says who that is.
#[derive(Debug)]
pub(crate) struct Operates(pub(crate) Actor);

impl FromRequestParts<Service> for Operates {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, ApiError> {
        service.keyring().admit(parts, Role::Operator)?.actor(&parts.headers).map(Self)
    }
}

/// An extractor for whoever may create, change and delete sales; it says who that is.
#[derive(Debug)]
pub(crate) struct Administers(pub(crate) Actor);

impl FromRequestParts<Service> for Administers {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, ApiError> {
        service.keyring().admit(parts, Role::Admin)?.actor(&parts.headers).map(Self)
    }
}
