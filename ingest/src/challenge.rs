//! What a try must bring along: asked for at `GET /api/v1/purchases/challenge`, checked with each purchase.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use flashsale_challenge::{Challenges, Refusal, Subject, Task, Verifier};
use flashsale_core::{SaleState, SaleStatus, Sku, UserId};
use flashsale_platform::{ApiError, success};
use serde_json::json;

use crate::{Service, metrics, purchase::now};

/// Seconds after which a try is worth repeating while nobody can vouch for anybody.
const RETRY_AFTER: u64 = 1;

/// Asks for the challenge of a sale, and checks what comes back.
#[derive(Debug)]
pub(crate) struct Gate {
    challenges: Challenges,
    /// Whether the log knows that a sale asks for what is not configured.
    told: AtomicBool,
}

impl Gate {
    pub(crate) fn new(challenges: Challenges) -> Self {
        Self { challenges, told: AtomicBool::new(false) }
    }

    /// What makes a try of `sale` cost something. Of one that has ended nothing can be had, so all are free to ask.
    fn verifier(&self, sale: &SaleStatus) -> Result<Option<&dyn Verifier>, ApiError> {
        if sale.state == SaleState::Ended {
            return Ok(None);
        }
        self.challenges.of(sale.config.challenge).map_err(|error| {
            metrics::challenge_failed("not_configured");
            if !self.told.swap(true, Ordering::Relaxed) {
                let (error, sku) = (&error as &dyn std::error::Error, &sale.config.sku);
                let fix = "set FLASHSALE_CHALLENGE__CAPTCHA_VERIFY_URL and its like";
                tracing::error!(error, %sku, "nobody can buy; {fix}");
            }
            ApiError::unavailable(RETRY_AFTER)
        })
    }

    /// What `user` has to do before a try of `sale`.
    fn task(&self, user: &UserId, sale: &SaleStatus, load: f32) -> Result<Task, ApiError> {
        let Some(verifier) = self.verifier(sale)? else { return Ok(Task::None) };
        metrics::challenge_issued(sale.config.challenge);
        Ok(verifier.task(Subject { sku: &sale.config.sku, user }, now(), load))
    }

    /// An error unless `response` is what `user` had to do.
    pub(crate) async fn check(
        &self,
        user: &UserId,
        sale: &SaleStatus,
        response: Option<&str>,
        load: f32,
    ) -> Result<(), ApiError> {
        let Some(verifier) = self.verifier(sale)? else { return Ok(()) };
        let (reason, code, message) = match response {
            None => {
                let message = "This sale asks for something first. Do what `challenge` says, then try again.";
                ("missing", "CHALLENGE_REQUIRED", message)
            }
            Some(response) => match verifier.verify(Subject { sku: &sale.config.sku, user }, response, now()).await {
                Ok(()) => {
                    metrics::challenge_passed(sale.config.challenge);
                    return Ok(());
                }
                Err(Refusal::Unavailable) => {
                    metrics::challenge_failed(Refusal::Unavailable.as_str());
                    return Err(ApiError::unavailable(RETRY_AFTER));
                }
                Err(refusal) => {
                    let message = "That was not it, or came too late. Do what `challenge` says, then try again.";
                    (refusal.as_str(), "CHALLENGE_FAILED", message)
                }
            },
        };
        metrics::challenge_failed(reason);
        let task = self.task(user, sale, load)?;
        Err(ApiError::new(StatusCode::FORBIDDEN, code, message).with("challenge", json!(task)))
    }
}

type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// `GET /api/v1/purchases/challenge`: what the shopper has to do before a try.
pub(crate) async fn read(State(service): State<Service>, headers: HeaderMap, parameters: Parameters) -> Response {
    let mut response = match task(&service, &headers, parameters) {
        Ok(task) => success(StatusCode::OK, task),
        Err(error) => error.into_response(),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn task(service: &Service, headers: &HeaderMap, parameters: Parameters) -> Result<Task, ApiError> {
    let shared = service.shared();
    let user = shared.shoppers.user(headers)?;
    // Of one that is named twice the last counts.
    let named = parameters.ok().and_then(|Query(all)| all.into_iter().rfind(|(name, _)| name == "sku"));
    let (_, sku) = named.ok_or_else(|| ApiError::invalid("sku", "is missing"))?;
    let sku = Sku::new(&sku).map_err(|error| ApiError::invalid("sku", error.to_string()))?;
    if !shared.catalogue.is_caught_up() {
        return Err(ApiError::unavailable(RETRY_AFTER));
    }
    let sale = shared.catalogue.get(&sku).ok_or_else(|| ApiError::not_found(format!("There is no sale of {sku}.")))?;
    shared.gate.task(&user, &sale, shared.admission.load())
}
