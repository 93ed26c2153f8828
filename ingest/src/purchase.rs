//! One purchase, from a valid request to its answer.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::SystemTime,
};

use flashsale_core::{
    Attempt, EndReason, Micros, NotActive, Outcome, Receipt, RequestId, SaleState, SaleStatus, UserId,
};
use flashsale_ledger::DECIDED_TO_SENT_MAX;
use flashsale_platform::{ApiError, trace::TraceContext, unique_id};
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    Confirm, Service,
    batcher::{Job, Verdict},
    carry_on::CarryOn,
    idempotency::{Leader, Role},
    publish::{About, event, send_refusal},
    request::PurchaseRequest,
};

/// What a shopper is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The unit is theirs.
    Purchased {
        receipt: Receipt,
        /// They were told before.
        repeated: bool,
    },
    /// The unit is theirs, and the log will have it soon.
    Pending(Receipt),
    AlreadyPurchased(Receipt),
    SoldOut,
    NotActive(NotActive),
}

impl Answer {
    /// Whether a retry may be given this very answer again.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Pending(_))
    }

    /// Its name in traces, as in the metrics.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Purchased { repeated: false, .. } => "accepted",
            Self::Purchased { repeated: true, .. } => "repeated",
            Self::Pending(_) => "pending",
            Self::AlreadyPurchased(_) => "already_purchased",
            Self::SoldOut => "sold_out",
            Self::NotActive(_) => "not_active",
        }
    }
}

impl Service {
    /// Answers one request, as whoever asks first under its key or with the others' answer.
    pub(crate) async fn purchase(
        &self,
        request: PurchaseRequest,
        trace: Option<TraceContext>,
    ) -> Result<Answer, ApiError> {
        let shared = self.shared();
        if !shared.catalogue.is_caught_up() {
            crate::metrics::refused("catalogue");
            return Err(ApiError::unavailable(1));
        }
        let unknown = || ApiError::not_found(format!("There is no sale of {}.", request.sku));
        let sale = shared.catalogue.get(&request.sku).ok_or_else(unknown)?;
        let answer = match &request.key {
            None => {
                let response = request.challenge_response.as_deref();
                self.ask(&request.user, self.new_request_id(), &sale, response, trace).await?
            }
            Some(key) => match shared.flights.join(&request.user, key, &sale.config).await {
                Role::Answered(answer) => answer,
                Role::Conflict => {
                    let message = "This Idempotency-Key was used with another body. Use a new one.";
                    let status = axum::http::StatusCode::CONFLICT;
                    return Err(ApiError::new(status, "IDEMPOTENCY_KEY_REUSED", message));
                }
                Role::Leader(leader) => {
                    shared.admission.check_room(&request.user)?;
                    self.lead(leader, &request, key, &sale, trace).await?
                }
            },
        };
        shared.metrics.answered(&answer);
        Ok(answer)
    }

    /// Asks to the end: a client that hangs up must not take the answer of its retries along.
    async fn lead(
        &self,
        leader: Leader,
        request: &PurchaseRequest,
        key: &RequestId,
        sale: &Arc<SaleStatus>,
        trace: Option<TraceContext>,
    ) -> Result<Answer, ApiError> {
        let (service, request, key, sale) = (self.clone(), request.clone(), key.clone(), sale.clone());
        let asking = CarryOn::new(&self.shared().tasks, async move {
            let response = request.challenge_response.as_deref();
            let answer = service.ask(&request.user, key, &sale, response, trace).await;
            if let Ok(answer) = &answer {
                leader.answer(answer);
            }
            answer
        });
        asking.await
    }

    async fn ask(
        &self,
        user: &UserId,
        request_id: RequestId,
        sale: &Arc<SaleStatus>,
        challenge_response: Option<&str>,
        trace: Option<TraceContext>,
    ) -> Result<Answer, ApiError> {
        let shared = self.shared();
        shared.admission.check_room(user)?;
        shared.admission.check_user(user)?;
        // Behind the limit a user, and without a place in the budget: a provider may take its time.
        shared.gate.check(user, sale, challenge_response, shared.admission.load()).await?;
        let began = Instant::now();
        // Held until the answer: it is the budget of everything behind it.
        let mut permit = shared.admission.admit(user, began)?;
        let attempt = Attempt { user: user.clone(), request_id };
        if let Some(outcome) = self.refuse_at_the_edge(&attempt, sale, trace) {
            return Ok(refusal(outcome));
        }
        let (reply, verdict) = oneshot::channel();
        let job = Job { attempt, sale_id: sale.config.sale_id.clone(), received_at: now(), trace, reply };
        let batcher = self.batcher(&sale.config.sku).ok_or_else(|| ApiError::unavailable(1))?;
        batcher.try_send(job).map_err(|_| {
            crate::metrics::refused("batcher");
            ApiError::unavailable(1)
        })?;
        // One clock for both waits: setting clocks is what the threads would wait for.
        let (decide_by, confirm_by) = (began + shared.config.decide_timeout(), began + shared.config.confirm_timeout());
        let mut clock = pin!(sleep_until(decide_by.min(confirm_by)));
        // One who is no longer waited for is not sold anything either, unless the script is running.
        let verdict = within(verdict, clock.as_mut(), decide_by).await;
        permit.decided();
        let Some(Ok(Ok(verdict))) = verdict else {
            crate::metrics::refused("undecided");
            return Err(ApiError::unavailable(1));
        };
        self.remember_loser(user, sale, &verdict.outcome);
        let answer = self.confirm(verdict, clock.as_mut(), confirm_by).await?;
        shared.metrics.purchase.record(began.elapsed());
        Ok(answer)
    }

    /// Waits for the log where a winner must.
    async fn confirm(&self, verdict: Verdict, clock: Pin<&mut Sleep>, deadline: Instant) -> Result<Answer, ApiError> {
        let repeated = matches!(verdict.outcome, Outcome::Repeated(_));
        let (Outcome::Accepted(receipt) | Outcome::Repeated(receipt)) = verdict.outcome else {
            return Ok(refusal(verdict.outcome));
        };
        let config = &self.shared().config;
        if let (Confirm::Log, Some(delivery)) = (config.confirm, verdict.delivery)
            && !matches!(within(delivery.wait(), clock, deadline).await, Some(Ok(())))
        {
            // Also when the log refused at once: by then Redis has the unit on disk, so that what is said now
            // survives its crash.
            sleep_until(deadline).await;
            // The process stood still for so long that Redis may have been recovered without this unit; the
            // same key tells.
            if deadline.elapsed() > DECIDED_TO_SENT_MAX {
                crate::metrics::refused("stood_still");
                return Err(ApiError::unavailable(1));
            }
            return Ok(Answer::Pending(receipt));
        }
        Ok(Answer::Purchased { receipt, repeated })
    }

    /// An ended sale stays ended and gets no new buyers, so who was no buyer then never is: such a
    /// shopper is refused without Redis. Everybody else is asked about once.
    fn refuse_at_the_edge(&self, attempt: &Attempt, sale: &SaleStatus, trace: Option<TraceContext>) -> Option<Outcome> {
        let shared = self.shared();
        if sale.state != SaleState::Ended || !shared.losers.contains(&sale.config.sale_id, &attempt.user) {
            return None;
        }
        let outcome = match sale.end_reason {
            Some(EndReason::SoldOut) => Outcome::SoldOut,
            _ => Outcome::NotActive(NotActive::TimeExpired),
        };
        let received_at = now();
        let decided_at = shared.redis_time(received_at);
        let (sku, sale_id) = (&sale.config.sku, &sale.config.sale_id);
        let about = About { sku, sale_id, attempt, received_at, ingest_id: &shared.ingest_id };
        let event = event(&about, &outcome, decided_at, None, || shared.next_number());
        send_refusal(shared, &event, trace);
        shared.metrics.refused_at_the_edge();
        Some(outcome)
    }

    fn remember_loser(&self, user: &UserId, sale: &SaleStatus, outcome: &Outcome) {
        if matches!(outcome, Outcome::SoldOut | Outcome::NotActive(NotActive::TimeExpired)) {
            self.shared().losers.insert(&sale.config.sale_id, user);
        }
    }

    fn new_request_id(&self) -> RequestId {
        let mut text = uuid::Uuid::encode_buffer();
        let id = unique_id().hyphenated().encode_lower(&mut text);
        // A UUID is 36 visible ASCII characters.
        RequestId::new(id).unwrap_or_else(|_| unreachable!("a UUID is a request id"))
    }
}

/// The answer to what has not to wait for the log: refusals, and units that the log has.
pub(crate) fn refusal(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Accepted(receipt) | Outcome::Repeated(receipt) => Answer::Purchased { receipt, repeated: true },
        Outcome::AlreadyPurchased(receipt) => Answer::AlreadyPurchased(receipt),
        Outcome::SoldOut => Answer::SoldOut,
        Outcome::NotActive(reason) => Answer::NotActive(reason),
    }
}

/// Awaits `work` until `deadline`, by a clock that may ring earlier or later.
async fn within<T>(work: impl Future<Output = T>, mut clock: Pin<&mut Sleep>, deadline: Instant) -> Option<T> {
    let mut work = pin!(work);
    if clock.deadline() > deadline {
        clock.as_mut().reset(deadline);
    }
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => return Some(done),
            () = clock.as_mut() => {}
        }
        if clock.deadline() >= deadline {
            return None;
        }
        clock.as_mut().reset(deadline);
    }
}

/// This host's clock: for measuring, never for deciding (FL-6).
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
