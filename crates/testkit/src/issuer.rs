//! A double of whoever signs shoppers' tokens.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use serde_json::{Value, json};

/// Made with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`, because ring makes none.
const RSA_KEY: &str = include_str!("../keys/rsa-for-tests-only.pem");

/// Signs tokens with one key, under the name that the key has in the JWK set.
#[derive(Debug)]
pub struct Issuer {
    kid: String,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Keys that ring cannot make or read are no reason to go on.
const GOOD: &str = "ring takes the keys of tests";

impl Issuer {
    /// One that signs with RS256, always with the same key.
    pub fn rsa(kid: &str) -> Self {
        let lines = RSA_KEY.lines().skip_while(|line| !line.starts_with("-----BEGIN")).skip(1);
        let base64: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
        let der = STANDARD.decode(base64).expect(GOOD);
        Self { kid: kid.to_owned(), key: Key::Rsa(RsaKeyPair::from_pkcs8(&der).expect(GOOD)) }
    }

    /// One that signs with ES256, with a new key.
    pub fn p256(kid: &str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect(GOOD);
        let key = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).expect(GOOD);
        Self { kid: kid.to_owned(), key: Key::P256(key) }
    }

    /// One that signs with EdDSA; another key for each `seed`.
    pub fn ed25519(kid: &str, seed: u8) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect(GOOD);
        Self { kid: kid.to_owned(), key: Key::Ed25519(key) }
    }

    /// What its tokens name as `alg`.
    pub fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "RS256",
            Key::P256(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
        }
    }

    /// Its public key.
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.key {
            Key::Rsa(key) => {
                let public: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                json!({ "kty": "RSA", "n": text(&public.n), "e": text(&public.e) })
            }
            Key::P256(key) => {
                let point: &[u8] = key.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
            Key::Ed25519(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref()) }),
        };
        jwk["kid"] = self.kid.as_str().into();
        jwk["alg"] = self.algorithm().into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A token that says `claims`.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "typ": "JWT", "alg": self.algorithm(), "kid": self.kid }), claims)
    }

    /// The same with a header that may lie.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect(GOOD);
                signature
            }
            Key::P256(key) => key.sign(&SystemRandom::new(), signed.as_bytes()).expect(GOOD).as_ref().to_vec(),
            Key::Ed25519(key) => key.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Header and claims of a token, up to its signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
}

/// The JWK set of these.
pub fn jwks(issuers: &[&Issuer]) -> String {
    let keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}
