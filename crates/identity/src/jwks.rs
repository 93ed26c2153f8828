//! The keys that sign shoppers' tokens, out of a JWK set (RFC 7517).

use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde_json::Value;

/// Most keys of a set.
const KEYS_MAX: usize = 64;
/// Moduli that are strong enough, and that ring takes.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Exponents that ring takes.
const RSA_EXPONENT_BYTES_MAX: usize = 5;
/// An uncompressed point: its mark, x and y.
const P256_BYTES: usize = 65;
const ED25519_BYTES: usize = 32;

/// A key, with the one algorithm that it may be used for.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// The keys of a set that can be used; the others are told of and left out.
///
/// # Errors
/// When it is no JWK set, or has none; in words that go on after its name.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Key>, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| format!("is not JSON: {error}"))?;
    let listed = document["keys"].as_array().ok_or("is no JWK set: there is no list `keys` in it")?;
    if listed.len() > KEYS_MAX {
        return Err(format!("has {} keys, more than {KEYS_MAX}", listed.len()));
    }
    let mut keys = Vec::new();
    for (number, jwk) in (1_usize..).zip(listed) {
        match key(jwk) {
            Ok(key) => keys.push(key),
            Err(why) => {
                let kid = jwk["kid"].as_str().unwrap_or("-");
                tracing::warn!(number, kid, why, "a key of the JWK set is left out");
            }
        }
    }
    // A list with nothing in it takes every key away: nobody is let in.
    if keys.is_empty() && !listed.is_empty() {
        let usable =
            "an RSA key of 2048 bits or more (RS256), a key on the curve P-256 (ES256) or an Ed25519 key (EdDSA)";
        return Err(format!("has no key that can be used: add {usable}"));
    }
    Ok(keys)
}

fn key(jwk: &Value) -> Result<Key, &'static str> {
    let text = |name: &str| jwk[name].as_str();
    let given = |name: &str| text(name).unwrap_or_default();
    if text("use").is_some_and(|usage| usage != "sig") {
        return Err("its use is not sig");
    }
    let (algorithm, name, key) = match (given("kty"), given("crv")) {
        ("RSA", _) => (Algorithm::RS256, "RS256", DecodingKey::from_rsa_components(given("n"), given("e"))),
        ("EC", "P-256") => (Algorithm::ES256, "ES256", DecodingKey::from_ec_components(given("x"), given("y"))),
        ("OKP", "Ed25519") => (Algorithm::EdDSA, "EdDSA", DecodingKey::from_ed_components(given("x"))),
        _ => return Err("it is neither RSA nor on P-256 nor Ed25519"),
    };
    if text("alg").is_some_and(|alg| alg != name) {
        return Err("its alg is none of RS256, ES256 and EdDSA, or not the one of its kind");
    }
    let key = key.map_err(|_| "a part of it is not base64url without padding")?;
    if !has_its_size(algorithm, &key) {
        return Err("a part of it is missing, or has not the size that it must have");
    }
    Ok(Key { id: text("kid").map(str::to_owned), algorithm, key })
}

fn has_its_size(algorithm: Algorithm, key: &DecodingKey) -> bool {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            let begins_well = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
            RSA_BYTES.contains(&n.len()) && e.len() <= RSA_EXPONENT_BYTES_MAX && begins_well(n) && begins_well(e)
        }
        DecodingKeyKind::SecretOrDer(point) if algorithm == Algorithm::ES256 => point.len() == P256_BYTES,
        DecodingKeyKind::SecretOrDer(point) => point.len() == ED25519_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use flashsale_testkit::{Issuer, jwks};
    use serde_json::json;

    use super::*;

    fn with(jwk: &Value, name: &str, value: impl Into<Value>) -> Value {
        let mut jwk = jwk.clone();
        jwk[name] = value.into();
        jwk
    }

    fn algorithms(keys: &[Value]) -> Result<Vec<Algorithm>, String> {
        let keys = read(json!({ "keys": keys }).to_string().as_bytes())?;
        Ok(keys.iter().map(|key| key.algorithm).collect())
    }

    #[test]
    fn a_key_is_for_the_one_algorithm_of_its_kind() {
        let set = jwks(&[&Issuer::rsa("a"), &Issuer::p256("b"), &Issuer::ed25519("c", 1)]);
        let found: Vec<_> = read(set.as_bytes()).unwrap().into_iter().map(|key| (key.id, key.algorithm)).collect();
        let expected = [("a", Algorithm::RS256), ("b", Algorithm::ES256), ("c", Algorithm::EdDSA)];
        assert_eq!(found, expected.map(|(id, algorithm)| (Some(id.to_owned()), algorithm)));
    }

    #[test]
    fn keys_that_cannot_be_used_are_left_out_and_the_rest_is_taken() {
        let (rsa, p256, ed) = (Issuer::rsa("a").jwk(), Issuer::p256("b").jwk(), Issuer::ed25519("c", 1).jwk());
        for left_out in [
            json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }),
            json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
            json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
            json!({ "kty": "RSA" }),
            json!("RSA"),
            with(&rsa, "use", "enc"),
            with(&rsa, "alg", "RS512"),
            with(&rsa, "alg", "HS256"),
            with(&rsa, "n", format!("AA{}", rsa["n"].as_str().unwrap())),
            with(&rsa, "e", ""),
            with(&p256, "alg", "EdDSA"),
            with(&p256, "y", "AA"),
            with(&p256, "x", "%%"),
            with(&ed, "x", "AA"),
        ] {
            assert_eq!(algorithms(&[left_out.clone(), ed.clone()]), Ok(vec![Algorithm::EdDSA]), "{left_out}");
            assert!(algorithms(&[left_out]).unwrap_err().contains("no key that can be used"));
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let many: Vec<Value> = (0..=KEYS_MAX).map(|_| Issuer::ed25519("c", 1).jwk()).collect();
        assert!(algorithms(&many).unwrap_err().contains("more than 64"));
        for (bytes, why) in [("", "not JSON"), ("[]", "no JWK set"), ("{\"keys\":{}}", "no JWK set")] {
            assert!(read(bytes.as_bytes()).unwrap_err().contains(why), "{bytes}");
        }
    }
}
