//! CAPTCHA: a provider's page tests the shopper and gives them a token; the provider tells us whether it is good.
//!
//! The question has the form that hCaptcha and Turnstile share: a POST of `secret`, `response` and `sitekey`, answered
//! with JSON. The shopper's address, which both take too, is not sent on. A provider that is down, slow or talks
//! nonsense vouches for nobody: the try gets 503 and comes back.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use flashsale_core::Micros;
use flashsale_platform::Generations;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::{Binding, Config, Error, RESPONSE_BYTES_MAX, Refusal, Subject, Task, Verifier, config::address};

/// Longest answer that is read; real ones have a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Tokens that are remembered at once, about 20 MB.
const TOKENS_MAX: usize = 100_000;
/// Codes of an answer that are no word on the token, but on us or the provider.
const NOT_ABOUT_THE_TOKEN: [&str; 4] =
    ["missing-input-secret", "invalid-input-secret", "sitekey-secret-mismatch", "internal-error"];

/// Names a token; its text is not kept.
type TokenHash = [u8; 32];

/// A token that was seen lately. A retry with it must not ask the provider again, who vouches for each only once.
#[derive(Debug)]
struct Token {
    /// Whom and what it was sent for first.
    binding: Binding,
    since: Micros,
    /// Full once the provider has vouched for it; while one asks, the others wait.
    accepted: OnceCell<()>,
}

/// Asks a provider about tokens.
#[derive(Debug)]
pub struct Captcha {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    site_key: String,
    secret: SecretString,
    timeout: Duration,
    in_flight: Semaphore,
    seen: Mutex<Generations<TokenHash, Arc<Token>>>,
    ttl_us: i64,
    /// Whether the last question was answered; tells when there is news for the log.
    answers: AtomicBool,
}

/// What a provider says of a token.
#[derive(Debug, Deserialize)]
struct Answer {
    success: bool,
    #[serde(rename = "error-codes")]
    error_codes: Option<Vec<String>>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("it took longer than {0:?}")]
    Late(Duration),
    #[error("the question could not be put")]
    Request(#[from] hyper::http::Error),
    #[error("it cannot be reached")]
    Unreachable(#[from] hyper_util::client::legacy::Error),
    #[error("its answer broke off or is longer than {ANSWER_BYTES_MAX} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("it answered {0}, and not as a provider does")]
    Nonsense(StatusCode, #[source] serde_json::Error),
    #[error("it answered {0}: {1:?}")]
    Refuses(StatusCode, Vec<String>),
}

impl Captcha {
    /// A provider as `config` has it.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let unusable = || Error::Settings("`challenge.captcha_verify_url` is no address".to_owned());
        let url = address(&config.captcha_verify_url).ok_or_else(unusable)?;
        let is_https = url.scheme_str() == Some("https");
        let tls = tls(is_https).map_err(Error::Authorities)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            url,
            site_key: config.captcha_site_key.clone(),
            secret: config.captcha_secret.clone(),
            timeout: Duration::from_millis(config.captcha_timeout_ms),
            in_flight: Semaphore::new(config.captcha_in_flight_max),
            seen: Mutex::new(Generations::new(TOKENS_MAX, Duration::from_millis(config.ttl_ms))),
            ttl_us: config.ttl_us(),
            answers: AtomicBool::new(true),
        })
    }

    /// The token of this hash, noted as `binding`'s when it was not seen lately.
    fn token(&self, hash: TokenHash, binding: Binding, now: Micros) -> Arc<Token> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = seen.get(&hash).filter(|token| now - token.since < self.ttl_us) {
            return token.clone();
        }
        let token = Arc::new(Token { binding, since: now, accepted: OnceCell::new() });
        seen.insert(hash, token.clone());
        token
    }

    /// Asks the provider, when there is room for one more question.
    async fn ask(&self, token: &str) -> Result<(), Refusal> {
        let _place = self.in_flight.try_acquire().map_err(|_| Refusal::Unavailable)?;
        let asked = tokio::time::timeout(self.timeout, self.site_verify(token));
        let answered = asked.await.unwrap_or(Err(Unanswered::Late(self.timeout)));
        // The log is told of the change, not of each try: there may be thousands.
        let is_news = self.answers.swap(answered.is_ok(), Ordering::Relaxed) != answered.is_ok();
        match answered {
            Ok(vouched) => {
                if is_news {
                    tracing::info!("the CAPTCHA provider answers again");
                }
                if vouched { Ok(()) } else { Err(Refusal::Refused) }
            }
            Err(error) => {
                if is_news {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the CAPTCHA provider vouches for nobody; sales that ask for it get 503");
                }
                Err(Refusal::Unavailable)
            }
        }
    }

    async fn site_verify(&self, token: &str) -> Result<bool, Unanswered> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("secret", self.secret.expose_secret())
            .append_pair("response", token)
            .append_pair("sitekey", &self.site_key)
            .finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Full::from(form))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(Unanswered::Body)?;
        let answer: Answer =
            serde_json::from_slice(&body.to_bytes()).map_err(|error| Unanswered::Nonsense(status, error))?;
        let codes = answer.error_codes.unwrap_or_default();
        let not_about_it = codes.iter().any(|code| NOT_ABOUT_THE_TOKEN.contains(&code.as_str()));
        // A provider may say 400 of a bad token; of a good one it says 200.
        let is_an_answer = status.is_success() || (status.is_client_error() && !answer.success);
        if !is_an_answer || not_about_it {
            return Err(Unanswered::Refuses(status, codes));
        }
        Ok(answer.success)
    }
}

/// TLS with this host's authorities. Plain HTTP, to this very host, needs none of them.
fn tls(is_https: bool) -> io::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder =
        if is_https { builder.with_native_roots()? } else { builder.with_root_certificates(RootCertStore::empty()) };
    Ok(builder.with_no_client_auth())
}

#[async_trait]
impl Verifier for Captcha {
    fn task(&self, _: Subject<'_>, _: Micros, _: f32) -> Task {
        let verifier = self.url.host().unwrap_or_default().to_owned();
        Task::Captcha { site_key: self.site_key.clone(), verifier }
    }

    async fn verify(&self, subject: Subject<'_>, response: &str, now: Micros) -> Result<(), Refusal> {
        if response.is_empty() || response.len() > RESPONSE_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let hash: TokenHash = Sha256::digest(response).into();
        let binding = subject.binding();
        let token = self.token(hash, binding, now);
        if token.binding != binding {
            return Err(Refusal::NotTheirs);
        }
        // Also when who asked is gone before there is an answer.
        let _forget = Forget { captcha: self, hash, token: &token };
        token.accepted.get_or_try_init(|| self.ask(response)).await.copied()
    }
}

/// Forgets a token at its end, unless the provider has vouched for it or another request still asks about it.
struct Forget<'a> {
    captcha: &'a Captcha,
    hash: TokenHash,
    token: &'a Arc<Token>,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        // The table's and that of the request that ends.
        const ALONE: usize = 2;
        let mut seen = self.captcha.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.token.accepted.initialized() && Arc::strong_count(self.token) <= ALONE {
            seen.remove(&self.hash);
        }
    }
}
