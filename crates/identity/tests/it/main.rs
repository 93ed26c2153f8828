//! Who a shopper is: what passes, and everything that must not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall say so")]

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::to_bytes,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::IntoResponse,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flashsale_identity::{Config, Shoppers, Unidentified};
use flashsale_platform::ApiError;
use flashsale_testkit::{Issuer, jwks, unsigned, wait_until};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "shop";
const PATIENCE: Duration = Duration::from_secs(20);

/// A file of keys, and who believes it.
struct Shop {
    folder: tempfile::TempDir,
    shoppers: Shoppers,
}

impl Shop {
    fn trusting(issuers: &[&Issuer]) -> Self {
        Self::with(issuers, |_| {})
    }

    fn with(issuers: &[&Issuer], change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        fs::write(&file, jwks(issuers)).unwrap();
        let mut config = Config {
            jwks_file: file.to_str().unwrap().to_owned(),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            ..Config::default()
        };
        change(&mut config);
        Self { folder, shoppers: Shoppers::new(&config).unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("jwks.json")
    }

    /// Whom the shop takes the bearer of a token for.
    fn user(&self, token: &str) -> Result<String, Unidentified> {
        let user = self.shoppers.identify(&headers(&[("authorization", &format!("Bearer {token}"))]));
        user.map(|user| user.to_string())
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
    pairs.iter().map(|(name, text)| (name.parse().unwrap(), value(text))).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Good claims of zoë.
fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "zoë", "iat": now(), "exp": now() + 600 })
}

/// The same, one of them different; left out when `value` is null.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

#[test]
fn a_token_of_each_algorithm_names_the_shopper_also_when_it_comes_again() {
    let issuers = [Issuer::rsa("r"), Issuer::p256("p"), Issuer::ed25519("e", 1)];
    let shop = Shop::trusting(&issuers.each_ref());
    for issuer in &issuers {
        let token = issuer.token(&claims());
        for _ in 0..3 {
            assert_eq!(shop.user(&token), Ok("zoë".to_owned()), "{}", issuer.algorithm());
        }
        let other = issuer.token(&but("sub", json!("kim")));
        assert_eq!(shop.user(&other), Ok("kim".to_owned()), "{}", issuer.algorithm());
    }
}

#[test]
fn claims_that_are_allowed_are_taken() {
    let issuer = Issuer::ed25519("e", 1);
    let shop = Shop::trusting(&[&issuer]);
    for good in [
        but("aud", json!(["another", AUDIENCE])),
        but("nbf", json!(now() - 5)),
        // The clocks differ by less than the leeway.
        but("nbf", json!(now() + 20)),
        but("exp", json!(now() - 20)),
        but("exp", json!(now() as f64 + 60.5)),
    ] {
        assert_eq!(shop.user(&issuer.token(&good)), Ok("zoë".to_owned()), "{good}");
    }
    let named = Shop::with(&[&issuer], |config| config.user_claim = "customer".to_owned());
    assert_eq!(named.user(&issuer.token(&but("customer", json!("c-17")))), Ok("c-17".to_owned()));
    assert_eq!(named.user(&issuer.token(&claims())), Err(Unidentified::Unauthorized));
}

#[test]
fn claims_that_are_not_allowed_are_refused() {
    let issuer = Issuer::ed25519("e", 1);
    let shop = Shop::trusting(&[&issuer]);
    for bad in [
        but("iss", json!("https://evil.example")),
        but("iss", Value::Null),
        but("iss", json!(7)),
        but("aud", json!("another")),
        but("aud", json!(["another"])),
        but("aud", json!([])),
        but("aud", Value::Null),
        but("exp", json!(now() - 60)),
        but("exp", json!("tomorrow")),
        but("exp", json!(-1)),
        but("exp", Value::Null),
        but("nbf", json!(now() + 60)),
        but("nbf", json!("now")),
        but("sub", Value::Null),
        but("sub", json!(7)),
        but("sub", json!("")),
        but("sub", json!("  ")),
        but("sub", json!(" zoë")),
        but("sub", json!("zo\u{0}ë")),
        but("sub", json!("x".repeat(256))),
    ] {
        assert_eq!(shop.user(&issuer.token(&bad)), Err(Unidentified::Unauthorized), "{bad}");
    }
}

#[test]
fn a_signature_counts_only_of_the_key_that_is_named_and_by_its_own_algorithm() {
    let issuers = [Issuer::rsa("r"), Issuer::p256("p"), Issuer::ed25519("e", 1)];
    let shop = Shop::trusting(&issuers.each_ref());
    let stranger = Issuer::ed25519("e", 2);
    let mut refused = vec![
        ("a stranger under a known name", stranger.token(&claims())),
        ("a name that nobody has", Issuer::ed25519("x", 1).token(&claims())),
        ("no name where there are several keys", issuers[2].token_with(&json!({ "alg": "EdDSA" }), &claims())),
        (
            "a header that must be understood",
            issuers[2].token_with(&json!({ "alg": "EdDSA", "kid": "e", "crit": ["b64"], "b64": false }), &claims()),
        ),
        (
            "a key that the token brings along",
            stranger.token_with(&json!({ "alg": "EdDSA", "kid": "x", "jwk": stranger.jwk() }), &claims()),
        ),
    ];
    for issuer in &issuers {
        let kid = issuer.jwk()["kid"].clone();
        for alg in ["none", "None", "HS256", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"] {
            if alg != issuer.algorithm() {
                let token = issuer.token_with(&json!({ "alg": alg, "kid": kid }), &claims());
                refused.push(("another algorithm than the key's", token));
            }
        }
        for alg in ["none", issuer.algorithm()] {
            refused.push(("no signature", format!("{}.", unsigned(&json!({ "alg": alg, "kid": kid }), &claims()))));
        }
        // Everybody knows the public key: where it is taken for a secret, everybody signs.
        let jwk = issuer.jwk();
        for part in ["n", "x"].iter().filter_map(|name| jwk[*name].as_str()) {
            let signed = unsigned(&json!({ "alg": "HS256", "kid": kid }), &claims());
            for secret in [part.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(part).unwrap()] {
                refused.push(("HS256 with the public key", format!("{signed}.{}", hs256(&secret, &signed))));
            }
        }
    }
    for (what, token) in refused {
        assert_eq!(shop.user(&token), Err(Unidentified::Unauthorized), "{what}: {token}");
    }
}

fn hs256(secret: &[u8], signed: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes()))
}

#[test]
fn not_a_byte_of_a_token_may_change() {
    for issuer in [Issuer::rsa("k"), Issuer::p256("k"), Issuer::ed25519("k", 1)] {
        let shop = Shop::trusting(&[&issuer]);
        let token = issuer.token(&claims());
        assert!(shop.user(&token).is_ok());
        let places: Vec<usize> = (0..token.len()).step_by(7).collect();
        for place in places {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(shop.user(&changed), Err(Unidentified::Unauthorized), "{} at {place}", issuer.algorithm());
        }
        let longer = [format!("{token}A"), format!("{token}."), format!(".{token}"), token.replace('.', "..")];
        for changed in longer.iter().chain([&token[..token.len() - 2].to_owned(), &token.replace('.', "")]) {
            assert_eq!(shop.user(changed), Err(Unidentified::Unauthorized), "{changed}");
        }
        let forged = unsigned(&json!({ "alg": issuer.algorithm(), "kid": "k" }), &but("sub", json!("kim")));
        let signature = token.rsplit('.').next().unwrap();
        assert_eq!(shop.user(&format!("{forged}.{signature}")), Err(Unidentified::Unauthorized));
    }
}

#[test]
fn a_request_has_one_token_of_a_bounded_length() {
    let issuer = Issuer::ed25519("e", 1);
    let shop = Shop::trusting(&[&issuer]);
    let (zoe, kim) = (issuer.token(&claims()), issuer.token(&but("sub", json!("kim"))));
    let (bearer, other) = (format!("Bearer {zoe}"), format!("Bearer {kim}"));
    for good in [bearer.clone(), format!("bearer   {zoe} "), format!("BEARER {zoe}")] {
        let user = shop.shoppers.identify(&headers(&[("authorization", &good), ("x-user-id", "mallory")]));
        assert_eq!(user.map(|user| user.to_string()), Ok("zoë".to_owned()), "{good}");
    }
    let long = issuer.token(&but("more", json!("x".repeat(4_096))));
    let two = {
        let mut two = headers(&[("authorization", &bearer)]);
        two.append("authorization", other.parse().unwrap());
        two
    };
    for bad in [
        headers(&[]),
        headers(&[("x-user-id", "mallory")]),
        headers(&[("authorization", &zoe)]),
        headers(&[("authorization", "")]),
        headers(&[("authorization", "Bearer")]),
        headers(&[("authorization", "Bearer ")]),
        headers(&[("authorization", "Bearer zoë")]),
        headers(&[("authorization", "Bearer a.b.c")]),
        headers(&[("authorization", &format!("Basic {zoe}"))]),
        headers(&[("authorization", &format!("Bearer {zoe} {kim}"))]),
        headers(&[("authorization", &format!("Bearer {long}"))]),
        two,
    ] {
        assert_eq!(shop.shoppers.identify(&bad), Err(Unidentified::Unauthorized), "{bad:?}");
    }
}

#[test]
fn the_only_key_needs_no_name() {
    let issuer = Issuer::p256("p");
    let shop = Shop::trusting(&[&issuer]);
    assert_eq!(shop.user(&issuer.token_with(&json!({ "alg": "ES256" }), &claims())), Ok("zoë".to_owned()));
    let lying = issuer.token_with(&json!({ "alg": "EdDSA" }), &claims());
    assert_eq!(shop.user(&lying), Err(Unidentified::Unauthorized));
}

#[tokio::test]
async fn keys_are_replaced_by_writing_the_file_and_their_tokens_go_with_them() {
    let (old, new) = (Issuer::ed25519("old", 1), Issuer::ed25519("new", 2));
    let shop = Shop::trusting(&[&old]);
    let stop = CancellationToken::new();
    let looking = tokio::spawn(shop.shoppers.clone().run(stop.clone()));
    let (of_old, of_new) = (old.token(&claims()), new.token(&claims()));
    let passes = |token: &str| shop.user(token).is_ok();
    assert!(passes(&of_old) && !passes(&of_new));

    fs::write(shop.file(), jwks(&[&old, &new])).unwrap();
    wait_until(PATIENCE, "the new key to count", async || passes(&of_new)).await;
    assert!(passes(&of_old), "both count while tokens of both are about");

    fs::write(shop.file(), jwks(&[&new])).unwrap();
    wait_until(PATIENCE, "the old key to count no more", async || !passes(&of_old)).await;
    assert!(passes(&of_new));

    fs::write(shop.file(), r#"{"keys":[]}"#).unwrap();
    wait_until(PATIENCE, "nobody to be let in, as the empty list says", async || !passes(&of_new)).await;
    stop.cancel();
    looking.await.unwrap();
}

#[test]
fn a_start_without_a_key_is_refused_by_the_name_of_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let config = Config {
        jwks_file: file.to_str().unwrap().to_owned(),
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        ..Config::default()
    };
    let large = format!("{}{}", jwks(&[&Issuer::p256("p")]), " ".repeat(256 * 1024));
    for (content, why) in [
        (None, "cannot be read"),
        (Some("keys"), "not JSON"),
        (Some("{}"), "no list `keys`"),
        (Some(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#), "no key that can be used"),
        (Some(large.as_str()), "is larger than 262144 bytes"),
    ] {
        content.iter().for_each(|content| fs::write(&file, content).unwrap());
        let error = Shoppers::from_tokens(&config).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("FLASHSALE_IDENTITY__JWKS_FILE"), "{error}");
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
    let without = Config { audience: String::new(), ..config };
    assert!(Shoppers::from_tokens(&without).unwrap_err().to_string().contains("AUDIENCE"));
}

async fn answer(error: ApiError) -> (StatusCode, HeaderMap, Value) {
    let (parts, body) = error.into_response().into_parts();
    let body = serde_json::from_slice(&to_bytes(body, 10_000).await.unwrap()).unwrap();
    (parts.status, parts.headers, body)
}

#[tokio::test]
async fn without_tokens_the_header_is_believed_as_ever() {
    let shoppers = Shoppers::new(&Config::default()).unwrap();
    for (value, user) in [("zoë", "zoë"), ("  bob ", "bob")] {
        let ignored = ("authorization", "Bearer a.b.c");
        let user_of = shoppers.user(&headers(&[("x-user-id", value), ignored])).unwrap();
        assert_eq!(user_of.as_str(), user);
    }
    let not_utf8 = HeaderMap::from_iter([("x-user-id".parse().unwrap(), HeaderValue::from_bytes(b"\xff").unwrap())]);
    for (headers, why) in [
        (headers(&[]), "header X-User-Id is missing"),
        (headers(&[("x-user-id", " ")]), "header X-User-Id must not be blank"),
        (not_utf8, "header X-User-Id is not UTF-8"),
    ] {
        let (status, _, body) = answer(shoppers.user(&headers).unwrap_err()).await;
        assert_eq!((status, &body["error"]["fields"]), (StatusCode::BAD_REQUEST, &json!({ "userId": why })));
    }
}

#[tokio::test]
async fn who_has_no_token_is_told_so_and_no_more() {
    let shop = Shop::trusting(&[&Issuer::ed25519("e", 1)]);
    let expired = Issuer::ed25519("e", 1).token(&but("exp", json!(1)));
    let mut told = Vec::new();
    for authorization in ["Basic eDp5", "Bearer a.b.c", &format!("Bearer {expired}")] {
        let error = shop.shoppers.user(&headers(&[("authorization", authorization)])).unwrap_err();
        let (status, headers, body) = answer(error).await;
        assert_eq!((status, &body["error"]["code"]), (StatusCode::UNAUTHORIZED, &json!("UNAUTHORIZED")));
        assert_eq!(headers["www-authenticate"], "Bearer");
        assert_eq!(headers["cache-control"], "no-store");
        told.push(body);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "the same, whatever was wrong: {told:?}");
}
