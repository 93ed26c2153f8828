//! The CAPTCHA against a double of the HTTP contract that hCaptcha and Turnstile share.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use flashsale_challenge::{Challenges, Config, Refusal, Subject, Task, Verifier};
use flashsale_core::{Challenge, Micros, Sku, UserId};
use tokio::{net::TcpListener, sync::Notify};

const NOW: Micros = Micros(1_795_435_200_123_456);
const SECRET: &str = "the+secret of &this=site";

/// What it answers depends on the token alone.
#[derive(Default)]
struct Provider {
    calls: AtomicUsize,
    forms: Mutex<Vec<BTreeMap<String, String>>>,
    /// Let go of one question for `wait` each.
    go_on: Notify,
}

async fn site_verify(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: String) -> Response {
    provider.calls.fetch_add(1, Ordering::SeqCst);
    assert_eq!(headers[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let token = form["response"].clone();
    provider.forms.lock().unwrap().push(form);
    let says = |body: &str| body.to_owned().into_response();
    let good = r#"{"success":true,"challenge_ts":"2026-11-23T12:00:00Z","hostname":"shop.test","error-codes":[]}"#;
    match token.as_str() {
        "wait" => {
            provider.go_on.notified().await;
            says(good)
        }
        "slow" => std::future::pending().await,
        "expired" => says(r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#),
        "wrong" => says(r#"{"success":false,"error-codes":["invalid-input-response"],"hostname":null}"#),
        "plain" => says(r#"{"success":false}"#),
        "wrong-400" => {
            let body = r#"{"success":false,"error-codes":["invalid-input-response"]}"#;
            (StatusCode::BAD_REQUEST, body).into_response()
        }
        "our-secret" => says(r#"{"success":false,"error-codes":["invalid-input-secret"]}"#),
        "our-site" => says(r#"{"success":false,"error-codes":["sitekey-secret-mismatch"]}"#),
        "500" => (StatusCode::INTERNAL_SERVER_ERROR, good).into_response(),
        "404" => (StatusCode::NOT_FOUND, good).into_response(),
        "moved" => (StatusCode::FOUND, [(header::LOCATION, "/siteverify")], good).into_response(),
        "html" => says("<html>success</html>"),
        "empty" => says(""),
        "huge" => says(&format!("{}{good}", " ".repeat(1 << 20))),
        _ => says(good),
    }
}

async fn provider() -> (Arc<Provider>, Config) {
    let provider = Arc::new(Provider::default());
    let router = Router::new().route("/siteverify", post(site_verify)).with_state(provider.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/siteverify", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    (provider, configured(&url))
}

fn configured(url: &str) -> Config {
    Config {
        captcha_verify_url: url.to_owned(),
        captcha_site_key: "site-1".into(),
        captcha_secret: SECRET.into(),
        captcha_timeout_ms: 5_000,
        ..Config::default()
    }
}

/// Asks for the CAPTCHA of a config as a shopper.
struct Shop(Challenges);

impl Shop {
    fn new(config: &Config) -> Self {
        Self(Challenges::new(config).unwrap())
    }

    fn verifier(&self) -> &dyn Verifier {
        self.0.of(Challenge::Captcha).unwrap().unwrap()
    }

    async fn verify(&self, sku: &str, user: &str, token: &str) -> Result<(), Refusal> {
        self.at(NOW, sku, user, token).await
    }

    async fn at(&self, now: Micros, sku: &str, user: &str, token: &str) -> Result<(), Refusal> {
        let (sku, user) = (Sku::new(sku).unwrap(), UserId::new(user).unwrap());
        self.verifier().verify(Subject { sku: &sku, user: &user }, token, now).await
    }
}

#[tokio::test]
async fn nf_10_a_token_that_the_provider_vouches_for_is_taken() {
    let (provider, config) = provider().await;
    let shop = Shop::new(&config);
    assert_eq!(shop.verify("PHONE", "ann", "a&token=1").await, Ok(()));
    let asked = provider.forms.lock().unwrap()[0].clone();
    let expected = [("response", "a&token=1"), ("secret", SECRET), ("sitekey", "site-1")];
    let expected = BTreeMap::from(expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(asked, expected, "and nothing else");
    let (sku, user) = (Sku::new("PHONE").unwrap(), UserId::new("ann").unwrap());
    let task = shop.verifier().task(Subject { sku: &sku, user: &user }, NOW, 0.0);
    assert_eq!(task, Task::Captcha { site_key: "site-1".into(), verifier: "127.0.0.1".into() });
}

#[tokio::test]
async fn nf_10_a_token_that_it_does_not_vouch_for_is_refused() {
    let (provider, config) = provider().await;
    let shop = Shop::new(&config);
    let tokens = ["expired", "wrong", "plain", "wrong-400"];
    for token in tokens {
        assert_eq!(shop.verify("PHONE", "ann", token).await, Err(Refusal::Refused), "{token}");
    }
    assert_eq!(provider.calls.load(Ordering::SeqCst), tokens.len());
    for token in ["", "x".repeat(2_049).as_str()] {
        assert_eq!(shop.verify("PHONE", "ann", token).await, Err(Refusal::Malformed));
    }
    assert_eq!(provider.calls.load(Ordering::SeqCst), tokens.len(), "nobody was asked about what is no token");
}

#[tokio::test]
async fn nf_10_a_provider_that_does_not_do_its_work_vouches_for_nobody() {
    let (_provider, config) = provider().await;
    let shop = Shop::new(&config);
    for token in ["our-secret", "our-site", "500", "404", "moved", "html", "empty", "huge"] {
        assert_eq!(shop.verify("PHONE", "ann", token).await, Err(Refusal::Unavailable), "{token}");
    }
    assert_eq!(shop.verify("PHONE", "ann", "good").await, Ok(()), "and the next is asked about as ever");

    let impatient = Shop::new(&Config { captcha_timeout_ms: 100, ..config });
    let began = Instant::now();
    assert_eq!(impatient.verify("PHONE", "ann", "slow").await, Err(Refusal::Unavailable));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/siteverify", nobody.local_addr().unwrap());
    drop(nobody);
    assert_eq!(Shop::new(&configured(&url)).verify("PHONE", "ann", "good").await, Err(Refusal::Unavailable));
}

#[tokio::test]
async fn nf_10_a_retry_with_an_accepted_token_is_no_second_question_and_nobody_elses() {
    let (provider, config) = provider().await;
    let shop = Shop::new(&Config { ttl_ms: 60_000, ..config });
    for later_ms in [0, 1, 59_999] {
        let now = Micros::from_millis(NOW.as_millis() + later_ms);
        assert_eq!(shop.at(now, "PHONE", "ann", "good").await, Ok(()));
    }
    assert_eq!(shop.verify("PHONE", "bob", "good").await, Err(Refusal::NotTheirs));
    assert_eq!(shop.verify("TABLET", "ann", "good").await, Err(Refusal::NotTheirs));
    assert_eq!(provider.calls.load(Ordering::SeqCst), 1);
    // Then the provider has the word again.
    let too_late = Micros::from_millis(NOW.as_millis() + 60_001);
    assert_eq!(shop.at(too_late, "PHONE", "ann", "good").await, Ok(()));
    assert_eq!(provider.calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn nf_10_retries_at_once_ask_once_and_questions_under_way_are_bounded() {
    let (provider, config) = provider().await;
    let shop = Arc::new(Shop::new(&Config { captcha_in_flight_max: 1, ..config }));
    let tries: Vec<_> = (0..3)
        .map(|_| {
            let shop = shop.clone();
            tokio::spawn(async move { shop.verify("PHONE", "ann", "wait").await })
        })
        .collect();
    while provider.calls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shop.verify("PHONE", "bob", "other").await, Err(Refusal::Unavailable), "there is room for one");
    provider.go_on.notify_one();
    for one in tries {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(provider.calls.load(Ordering::SeqCst), 1);
    assert_eq!(shop.verify("PHONE", "bob", "other").await, Ok(()), "the room is free again");
}

#[test]
fn a_sale_that_asks_for_what_is_not_configured_is_noticed() {
    let challenges = Challenges::new(&Config::default()).unwrap();
    assert!(challenges.of(Challenge::Captcha).is_err());
    assert!(challenges.of(Challenge::None).unwrap().is_none());
    assert!(challenges.of(Challenge::ProofOfWork).unwrap().is_some());
}
