//! Settings of the challenges.

use hyper::Uri;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Shortest secret, in characters: whoever has a puzzle can try secrets on it at home.
const SECRET_CHARS_MIN: usize = 32;
/// What a machine solves in minutes; nobody waits longer.
const BITS_MAX: u32 = 30;
/// A puzzle that is good for longer than a day is good for another sale day.
const TTL_MS_MAX: u64 = 86_400_000;
/// More questions at once than any provider answers.
const IN_FLIGHT_MOST: usize = 100_000;

/// Settings of the challenges. Which sale asks for which is set with the sale.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Signs puzzles: the same for every `ingest`. Empty: made at the start, enough for one process.
    #[serde(serialize_with = "redacted")]
    pub secret: SecretString,
    /// Zero bits of a solution while there is little to do: 2 to that power hashes on average.
    pub difficulty_bits: u32,
    /// Zero bits of a solution under full load.
    pub difficulty_bits_max: u32,
    /// How long a puzzle may be solved, and how long a token that was accepted is remembered.
    pub ttl_ms: u64,
    /// The provider's address for asking about tokens. Empty: no CAPTCHA.
    pub captcha_verify_url: String,
    /// The provider's public name of this site.
    pub captcha_site_key: String,
    /// What tells the provider that it is we who ask.
    #[serde(serialize_with = "redacted")]
    pub captcha_secret: SecretString,
    /// How long the provider may take.
    pub captcha_timeout_ms: u64,
    /// Questions to the provider at once; more get 503.
    pub captcha_in_flight_max: usize,
}

/// A secret is not shown; that there is one is.
fn redacted<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.expose_secret().is_empty() { "" } else { "[redacted]" })
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret: SecretString::default(),
            difficulty_bits: 18,
            difficulty_bits_max: 22,
            ttl_ms: 120_000,
            captcha_verify_url: String::new(),
            captcha_site_key: String::new(),
            captcha_secret: SecretString::default(),
            captcha_timeout_ms: 3_000,
            captcha_in_flight_max: 256,
        }
    }
}

impl Config {
    /// Checks what types cannot; the message names the key and the fix.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |key: &str, why: &str| {
            Err(format!("`challenge.{key}` {why}; correct FLASHSALE_CHALLENGE__{}", key.to_uppercase()))
        };
        let secret = self.secret.expose_secret().chars().count();
        if secret != 0 && secret < SECRET_CHARS_MIN {
            return wrong("secret", &format!("has {secret} characters, fewer than {SECRET_CHARS_MIN}"));
        }
        if !(1..=BITS_MAX).contains(&self.difficulty_bits) {
            return wrong("difficulty_bits", &format!("is not from 1 to {BITS_MAX}"));
        }
        if !(self.difficulty_bits..=BITS_MAX).contains(&self.difficulty_bits_max) {
            return wrong("difficulty_bits_max", &format!("is not from `challenge.difficulty_bits` to {BITS_MAX}"));
        }
        let positive = [
            ("ttl_ms", self.ttl_ms),
            ("captcha_timeout_ms", self.captcha_timeout_ms),
            ("captcha_in_flight_max", self.captcha_in_flight_max as u64),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return wrong(key, "is 0");
        }
        if self.ttl_ms > TTL_MS_MAX {
            return wrong("ttl_ms", &format!("is above {TTL_MS_MAX}, a day"));
        }
        if self.captcha_in_flight_max > IN_FLIGHT_MOST {
            return wrong("captcha_in_flight_max", &format!("is above {IN_FLIGHT_MOST}"));
        }
        let captcha = [
            ("captcha_verify_url", self.captcha_verify_url.as_str()),
            ("captcha_site_key", self.captcha_site_key.as_str()),
            ("captcha_secret", self.captcha_secret.expose_secret()),
        ];
        match captcha.iter().find(|(_, value)| value.is_empty()) {
            // All three, or none.
            Some((key, _)) if captcha.iter().any(|(_, value)| !value.is_empty()) => {
                wrong(key, "is empty while other settings of the CAPTCHA are not")
            }
            None if address(&self.captcha_verify_url).is_none() => {
                let why = "is no https:// address (http:// is taken for this very host alone: the secret goes there)";
                wrong("captcha_verify_url", why)
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn ttl_us(&self) -> i64 {
        i64::try_from(self.ttl_ms).unwrap_or(i64::MAX).saturating_mul(1_000)
    }

    /// Whether a sale may ask for a CAPTCHA.
    pub fn has_captcha(&self) -> bool {
        !self.captcha_verify_url.is_empty()
    }
}

/// An address that the secret may be sent to.
pub(crate) fn address(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    let is_here = matches!(uri.host()?, "localhost" | "127.0.0.1" | "[::1]");
    let is_safe = match uri.scheme_str()? {
        "https" => true,
        "http" => is_here,
        _ => false,
    };
    is_safe.then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captcha(url: &str) -> Config {
        Config {
            captcha_verify_url: url.into(),
            captcha_site_key: "site".into(),
            captcha_secret: "secret".into(),
            ..Config::default()
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let all = [
            (Config { secret: "short".into(), ..Config::default() }, "CHALLENGE__SECRET"),
            (Config { difficulty_bits: 0, ..Config::default() }, "CHALLENGE__DIFFICULTY_BITS"),
            (Config { difficulty_bits: 23, ..Config::default() }, "CHALLENGE__DIFFICULTY_BITS_MAX"),
            (Config { difficulty_bits_max: 31, ..Config::default() }, "CHALLENGE__DIFFICULTY_BITS_MAX"),
            (Config { ttl_ms: 0, ..Config::default() }, "CHALLENGE__TTL_MS"),
            (Config { captcha_timeout_ms: 0, ..Config::default() }, "CHALLENGE__CAPTCHA_TIMEOUT_MS"),
            (Config { captcha_in_flight_max: 0, ..Config::default() }, "CHALLENGE__CAPTCHA_IN_FLIGHT_MAX"),
            (Config { captcha_site_key: "site".into(), ..Config::default() }, "CHALLENGE__CAPTCHA_VERIFY_URL"),
            (Config { captcha_secret: "".into(), ..captcha("https://a.test/v") }, "CHALLENGE__CAPTCHA_SECRET"),
            (captcha("http://a.test/v"), "CHALLENGE__CAPTCHA_VERIFY_URL"),
            (captcha("a.test"), "CHALLENGE__CAPTCHA_VERIFY_URL"),
        ];
        for (config, named) in all {
            let Err(problem) = config.check() else { panic!("{named} was taken") };
            assert!(problem.contains(named), "{named}: {problem}");
        }
        for good in [Config::default(), captcha("https://a.test/v"), captcha("http://127.0.0.1:9/v")] {
            assert_eq!(good.check(), Ok(()));
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let config = Config { secret: "hunter2".into(), captcha_secret: "hunter2".into(), ..Config::default() };
        let shown = format!("{config:?}{}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("[redacted]"), "{shown}");
    }
}
