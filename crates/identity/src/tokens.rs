//! Checking tokens.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use flashsale_core::UserId;
use flashsale_platform::{Generations, Reloaded, config};
use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, decode, decode_header, errors::ErrorKind, get_current_timestamp,
};
use ring::{hmac, rand::SystemRandom};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, jwks,
    metrics::{self, Checked},
    signatures,
};

/// Longest token, in bytes: nothing is decoded of a longer one.
const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// Largest JWK set, in bytes.
const JWKS_BYTES_MAX: u64 = 256 * 1024;
/// Tokens that are remembered, so that the retries of a shopper cost no signature: some 150 bytes each.
const VERIFIED_MAX: usize = 200_000;

/// A token under a keyed hash: how long a look into the memory takes tells nothing about the tokens in it.
type Tag = [u8; 32];

/// Checks tokens by the keys of a file, which is read again when it changes.
#[derive(Debug)]
pub(crate) struct Tokens {
    trust: Reloaded<Trust>,
    user_claim: String,
}

impl Tokens {
    pub(crate) fn new(config: &Config) -> Result<Self, config::Error> {
        signatures::install();
        let template = validation(config);
        let read = move |bytes: &[u8]| Trust::read(bytes, &template);
        let trust = Reloaded::open(&config.jwks_file, "jwks", JWKS_BYTES_MAX, read).map_err(|unusable| {
            config::Error(format!(
                "`identity.jwks_file`: {unusable}; correct the file or FLASHSALE_IDENTITY__JWKS_FILE"
            ))
        })?;
        metrics::begin();
        Ok(Self { trust, user_claim: config.user_claim.clone() })
    }

    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        self.trust.clone().run(shutdown).await;
    }

    /// Whose token a request carries. Why it was refused is counted, and nobody else's business.
    pub(crate) fn user(&self, headers: &HeaderMap) -> Option<UserId> {
        match bearer(headers).and_then(|token| self.check(token)) {
            Ok((user, checked)) => {
                metrics::count(checked);
                Some(user)
            }
            Err(checked) => {
                metrics::count(checked);
                tracing::debug!(result = checked.label(), "a request without a token that is good");
                None
            }
        }
    }

    fn check(&self, token: &str) -> Result<(UserId, Checked), Checked> {
        let (trust, now) = (self.trust.current(), get_current_timestamp());
        let tag = trust.tag(token);
        let remembered = trust.verified().get(&tag).filter(|passed| now <= passed.until).cloned();
        if let Some(Passed { user, .. }) = remembered {
            return Ok((user, Checked::Remembered));
        }
        let (claims, until) = trust.verify(token)?;
        let claim = claims.get(&self.user_claim).and_then(Value::as_str).ok_or(Checked::Claims)?;
        let user = UserId::new(claim).map_err(|_| Checked::Claims)?;
        if user.as_str() != claim {
            // Blanks are cut off a name: two names of the issuer must not become one of ours.
            return Err(Checked::Claims);
        }
        trust.verified().insert(tag, Passed { user: user.clone(), until });
        Ok((user, Checked::Verified))
    }
}

/// The token of a request, which has exactly one.
fn bearer(headers: &HeaderMap) -> Result<&str, Checked> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = all.next().ok_or(Checked::Missing)?;
    if all.next().is_some() {
        // Who reads the first and who reads the last would serve two different shoppers.
        return Err(Checked::Malformed);
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Checked::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Checked::Missing);
    }
    let token = token.trim_matches(' ');
    if token.len() > TOKEN_BYTES_MAX { Err(Checked::Malformed) } else { Ok(token) }
}

/// What every token must fulfil, besides its signature.
fn validation(config: &Config) -> Validation {
    // The algorithm is that of the key.
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = config.leeway_ms.div_ceil(1_000);
    validation.validate_nbf = true;
    validation.set_issuer(&[&config.issuer]);
    validation.set_audience(&[&config.audience]);
    // Else a token without these claims passes.
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation
}

struct Trusted {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

/// What is remembered of a token that passed.
#[derive(Debug, Clone)]
struct Passed {
    user: UserId,
    /// The last second, since 1970, in which it is good.
    until: u64,
}

/// One state of the file, and the tokens that passed by it: when a key goes, so do its tokens.
struct Trust {
    keys: Vec<Trusted>,
    verified: Mutex<Generations<Tag, Passed>>,
    memory_key: hmac::Key,
}

impl Trust {
    fn read(bytes: &[u8], template: &Validation) -> Result<Self, String> {
        let trusted = |jwks::Key { id, algorithm, key }| {
            let validation = Validation { algorithms: vec![algorithm], ..template.clone() };
            Trusted { id, algorithm, key, validation }
        };
        let memory_key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Ok(Self {
            keys: jwks::read(bytes)?.into_iter().map(trusted).collect(),
            // Each has an end of its own.
            verified: Mutex::new(Generations::new(VERIFIED_MAX, Duration::MAX)),
            memory_key: memory_key.map_err(|_| "cannot be used while the system gives no random numbers")?,
        })
    }

    fn verified(&self) -> MutexGuard<'_, Generations<Tag, Passed>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tag(&self, token: &str) -> Tag {
        let mut tag = [0; 32];
        let signed = hmac::sign(&self.memory_key, token.as_bytes());
        tag.copy_from_slice(signed.as_ref());
        tag
    }

    /// The claims of a token, and the last second in which it is good.
    fn verify(&self, token: &str) -> Result<(Map<String, Value>, u64), Checked> {
        let header = decode_header(token).map_err(|_| Checked::Malformed)?;
        if header.crit.is_some() {
            // Something that must be understood, and is not.
            return Err(Checked::Malformed);
        }
        let trusted = self.key(&header).ok_or(Checked::UnknownKey)?;
        let decoded = decode::<Map<String, Value>>(token, &trusted.key, &trusted.validation);
        let claims = decoded.map_err(|error| refused(error.kind()))?.claims;
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or(Checked::Claims)?;
        Ok((claims, (expires as u64).saturating_add(trusted.validation.leeway)))
    }

    /// The key that a token names, for the algorithm that it names. A token that names no key is checked with the only
    /// one that there is.
    fn key(&self, header: &Header) -> Option<&Trusted> {
        let named = match (&header.kid, self.keys.as_slice()) {
            (Some(id), keys) => keys.iter().find(|key| key.id.as_ref() == Some(id) && key.algorithm == header.alg),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        named.filter(|key| key.algorithm == header.alg)
    }
}

fn refused(kind: &ErrorKind) -> Checked {
    match kind {
        ErrorKind::InvalidSignature => Checked::Signature,
        ErrorKind::ExpiredSignature => Checked::Expired,
        ErrorKind::ImmatureSignature => Checked::NotYet,
        ErrorKind::InvalidIssuer
        | ErrorKind::InvalidAudience
        | ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_) => Checked::Claims,
        _ => Checked::Malformed,
    }
}
