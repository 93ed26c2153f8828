//! Settings.

use serde::{Deserialize, Serialize};

/// Clocks that differ by more are to be set, not to be borne with.
const LEEWAY_MS_MAX: u64 = 300_000;

/// How shoppers are told apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A JWK set with the keys that sign shoppers' tokens. Empty: no tokens, `X-User-Id` is believed.
    pub jwks_file: String,
    /// What the claim `iss` of a token must say.
    pub issuer: String,
    /// What the claim `aud` of a token must say, or have among others.
    pub audience: String,
    /// The claim that names the shopper.
    pub user_claim: String,
    /// How far the issuer's clock may differ from ours; counted in seconds, rounded up.
    pub leeway_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            jwks_file: String::new(),
            issuer: String::new(),
            audience: String::new(),
            user_claim: "sub".to_owned(),
            leeway_ms: 30_000,
        }
    }
}

impl Config {
    /// Checks what types cannot; the message names the key and the fix.
    ///
    /// # Errors
    /// When a setting is missing, or would have no effect.
    pub fn check(&self) -> Result<(), String> {
        if self.leeway_ms > LEEWAY_MS_MAX {
            return Err(format!(
                "`identity.leeway_ms` is above {LEEWAY_MS_MAX}; set a smaller FLASHSALE_IDENTITY__LEEWAY_MS"
            ));
        }
        let named = [("issuer", &self.issuer), ("audience", &self.audience)];
        if !self.uses_tokens() {
            // Whoever set these believes that tokens are checked.
            return match named.iter().find(|(_, value)| !value.is_empty()) {
                Some((key, _)) => Err(format!(
                    "`identity.{key}` is set, but no token is checked without `identity.jwks_file`; set \
                     FLASHSALE_IDENTITY__JWKS_FILE"
                )),
                None => Ok(()),
            };
        }
        // An issuer signs tokens for others too: without an audience theirs would do here.
        match named.iter().chain(&[("user_claim", &self.user_claim)]).find(|(_, value)| value.trim().is_empty()) {
            Some((key, _)) => Err(format!(
                "`identity.{key}` is not set, and tokens cannot be checked without it; set FLASHSALE_IDENTITY__{}",
                key.to_uppercase()
            )),
            None => Ok(()),
        }
    }

    /// Whether shoppers need tokens.
    pub fn uses_tokens(&self) -> bool {
        !self.jwks_file.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_configuration_is_refused_by_name() {
        let whole = Config {
            jwks_file: "jwks.json".into(),
            issuer: "https://id.example".into(),
            audience: "shop".into(),
            ..Config::default()
        };
        assert_eq!((Config::default().check(), whole.check()), (Ok(()), Ok(())));
        for (half, named) in [
            (Config { jwks_file: String::new(), ..whole.clone() }, "FLASHSALE_IDENTITY__JWKS_FILE"),
            (Config { issuer: String::new(), ..whole.clone() }, "FLASHSALE_IDENTITY__ISSUER"),
            (Config { audience: " ".into(), ..whole.clone() }, "FLASHSALE_IDENTITY__AUDIENCE"),
            (Config { user_claim: String::new(), ..whole.clone() }, "FLASHSALE_IDENTITY__USER_CLAIM"),
            (Config { leeway_ms: LEEWAY_MS_MAX + 1, ..whole.clone() }, "FLASHSALE_IDENTITY__LEEWAY_MS"),
        ] {
            let error = half.check().unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
