//! Proof of work: a puzzle that takes a machine many hashes to solve and us one to check.
//!
//! ```text
//! payload   = 1.<zero bits>.<expires at, ms>.<base64url of a hash of SKU and user>
//! challenge = <base64url of payload>.<base64url of HMAC-SHA256(secret, payload)>
//! response  = <challenge>:<number>      SHA-256 of it begins with so many zero bits
//! ```
//!
//! All that we must know is in the puzzle, so none is kept. A solution may be used again until it expires: by the same
//! shopper for the same sale, who can win it once, and whose tries are limited by themselves.

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flashsale_core::Micros;
use ring::hmac;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::{Binding, Config, Refusal, Subject, Task, Verifier};

/// In front of each payload; another form gets another.
const VERSION: &str = "1";
/// Below this load a puzzle is as easy as it gets: that much is an ordinary day.
const LOAD_CALM: f32 = 0.5;
/// Of a secret that is made at the start: as many as the MAC has.
const SECRET_BYTES: usize = 32;

/// Issues puzzles and checks solutions.
#[derive(Debug)]
pub struct ProofOfWork {
    /// Its `Debug` does not show the secret.
    key: hmac::Key,
    bits: u32,
    bits_max: u32,
    ttl_us: i64,
}

/// Zero bits to ask for under `load`: `bits` while it is calm, `bits_max` from 1 on, and evenly more in between. Each
/// bit doubles the work.
pub fn difficulty(load: f32, bits: u32, bits_max: u32) -> u32 {
    let share = ((load - LOAD_CALM) / (1.0 - LOAD_CALM)).clamp(0.0, 1.0);
    let more = f64::from(share) * f64::from(bits_max.saturating_sub(bits));
    // Below the difference of two u32, and 0 when the load is not a number.
    bits + more.round() as u32
}

/// Zero bits that `hash` begins with.
pub fn leading_zero_bits(hash: &[u8]) -> u32 {
    match hash.iter().position(|byte| *byte != 0) {
        Some(place) => 8 * place as u32 + hash[place].leading_zeros(),
        None => 8 * hash.len() as u32,
    }
}

impl ProofOfWork {
    /// Puzzles as `config` has them.
    pub fn new(config: &Config) -> Self {
        let secret = config.secret.expose_secret().as_bytes();
        let made: [u8; SECRET_BYTES] = rand::random();
        let secret = if secret.is_empty() { made.as_slice() } else { secret };
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            bits: config.difficulty_bits,
            bits_max: config.difficulty_bits_max,
            ttl_us: config.ttl_us(),
        }
    }

    fn sign(&self, payload: &str) -> String {
        let mac = hmac::sign(&self.key, payload.as_bytes());
        format!("{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(mac))
    }

    /// The payload of a challenge that we signed.
    fn signed(&self, challenge: &str) -> Result<String, Refusal> {
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Malformed);
        let (payload, mac) = challenge.split_once('.').ok_or(Refusal::Malformed)?;
        let (payload, mac) = (decoded(payload)?, decoded(mac)?);
        // Takes the same time however much of it is right.
        hmac::verify(&self.key, &payload, &mac).map_err(|_| Refusal::Forged)?;
        String::from_utf8(payload).map_err(|_| Refusal::Malformed)
    }

    fn check(&self, subject: Subject<'_>, response: &str, now: Micros) -> Result<(), Refusal> {
        let (challenge, number) = response.rsplit_once(':').ok_or(Refusal::Malformed)?;
        if !number.bytes().all(|byte| byte.is_ascii_digit()) || number.parse::<u64>().is_err() {
            return Err(Refusal::Malformed);
        }
        let payload = self.signed(challenge)?;
        let parts: Vec<&str> = payload.split('.').collect();
        let [VERSION, bits, expires, binding] = parts[..] else { return Err(Refusal::Malformed) };
        let (Ok(bits), Ok(expires)) = (bits.parse::<u32>(), expires.parse::<i64>()) else {
            return Err(Refusal::Malformed);
        };
        if binding != encoded(subject.binding()) {
            return Err(Refusal::NotTheirs);
        }
        if now.as_millis() >= expires {
            return Err(Refusal::Expired);
        }
        // As hard as it was when it was issued, whatever the load is now.
        if leading_zero_bits(&Sha256::digest(response)) < bits {
            return Err(Refusal::Unsolved);
        }
        Ok(())
    }
}

fn encoded(binding: Binding) -> String {
    URL_SAFE_NO_PAD.encode(binding)
}

#[async_trait]
impl Verifier for ProofOfWork {
    fn task(&self, subject: Subject<'_>, now: Micros, load: f32) -> Task {
        let difficulty_bits = difficulty(load, self.bits, self.bits_max);
        let expires = Micros::from_millis(Micros(now.0.saturating_add(self.ttl_us)).as_millis());
        let binding = encoded(subject.binding());
        let challenge = self.sign(&format!("{VERSION}.{difficulty_bits}.{}.{binding}", expires.as_millis()));
        Task::ProofOfWork { challenge, difficulty_bits, expires_at: expires.to_string() }
    }

    async fn verify(&self, subject: Subject<'_>, response: &str, now: Micros) -> Result<(), Refusal> {
        self.check(subject, response, now)
    }
}

#[cfg(test)]
#[path = "proof_of_work_tests.rs"]
mod tests;
