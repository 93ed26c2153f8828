//! One task a sale: while one script call is under way the next batch gathers.
//!
//! There is no timer. An idle sale decides one attempt at once; a busy one decides up to 128 a call,
//! and the busier the larger the batches: latency stays, throughput grows.

use std::{sync::Arc, time::Duration};

use flashsale_core::{Attempt, Micros, Outcome, SaleId, Sku};
use flashsale_ledger::DECIDED_TO_SENT_MAX;
use flashsale_lua::{ATTEMPTS_MAX, DecidedBatch};
use flashsale_platform::trace::TraceContext;
use flashsale_streaming::Delivery;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    publish::{About, event, send_decision, send_refusal},
    service::Shared,
    trace,
};

/// Attempts that wait for one sale; the admission budget bounds them all together.
const WAITING_MAX: usize = 16_384;
/// A call whose reply was lost is made again this often: request ids make that safe.
const TRIES: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Redis could not be asked. Whether the attempt was decided is unknown; its request id will tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecided;

/// The answer to one attempt.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// What the log must acknowledge before a winner is told; none when it did long ago.
    pub(crate) delivery: Option<Arc<Delivery>>,
}

/// One attempt on its way to Redis.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) attempt: Attempt,
    /// The sale that the attempt names.
    pub(crate) sale_id: SaleId,
    pub(crate) received_at: Micros,
    /// What the decision is a part of, if it is traced.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) reply: oneshot::Sender<Result<Verdict, Undecided>>,
}

/// Starts the task of one sale; it ends when the sender is dropped.
pub(crate) fn start(shared: Arc<Shared>, sku: Sku) -> mpsc::Sender<Job> {
    let (sender, mut waiting) = mpsc::channel::<Job>(WAITING_MAX);
    let tracker = shared.tasks.clone();
    tracker.spawn(async move {
        let mut jobs = Vec::with_capacity(ATTEMPTS_MAX);
        while waiting.recv_many(&mut jobs, ATTEMPTS_MAX).await > 0 {
            // One call names one sale; around a re-creation there may be two.
            while let Some(first) = jobs.first() {
                let sale_id = first.sale_id.clone();
                let (batch, rest) = jobs.drain(..).partition(|job: &Job| job.sale_id == sale_id);
                jobs = rest;
                decide(&shared, &sku, &sale_id, batch).await;
            }
        }
    });
    sender
}

async fn decide(shared: &Arc<Shared>, sku: &Sku, sale_id: &SaleId, jobs: Vec<Job>) {
    // A shopper who hung up need not be sold anything; one who hangs up later holds a unit all the same.
    let jobs: Vec<Job> = jobs.into_iter().filter(|job| !job.reply.is_closed()).collect();
    if jobs.is_empty() {
        return;
    }
    let attempts: Vec<Attempt> = jobs.iter().map(|job| job.attempt.clone()).collect();
    let Some((batch, took)) = call(shared, sku, sale_id, &attempts).await else {
        for job in jobs {
            // Nobody waits any more: nobody to tell.
            drop(job.reply.send(Err(Undecided)));
        }
        return;
    };
    trace::decided(&shared.tracer, &jobs, took);
    let delivery = publish(shared, sku, sale_id, &jobs, &batch);
    for (job, decided) in jobs.into_iter().zip(batch.decided) {
        let delivery = match &decided.decision.outcome {
            Outcome::Accepted(_) => Some(delivery.clone()),
            // In this very batch, or in one whose record may not have arrived.
            Outcome::Repeated(receipt) if decided.pending || receipt.decided_at == batch.decided_at => {
                Some(delivery.clone())
            }
            _ => None,
        };
        drop(job.reply.send(Ok(Verdict { outcome: decided.decision.outcome, delivery })));
    }
}

/// Calls the script; a lost reply is asked for again. Also says how long the call took that was answered.
async fn call(shared: &Shared, sku: &Sku, sale_id: &SaleId, attempts: &[Attempt]) -> Option<(DecidedBatch, Duration)> {
    shared.metrics.batch.record(attempts.len() as f64);
    for attempt in 1..=TRIES {
        let began = Instant::now();
        let result = shared.hot.decide(sku, sale_id, &shared.ingest_id, attempts).await;
        let took = began.elapsed();
        shared.metrics.decide.record(took);
        match result {
            // The process stood still. By now a recovery of Redis may have taken this batch for lost and sold its
            // units to others; if it was not lost it is in the outbox.
            Ok(_) if began.elapsed() > DECIDED_TO_SENT_MAX => {
                tracing::error!(%sku, attempts = attempts.len(), took = ?began.elapsed(), "decided too long ago to be published");
                return None;
            }
            // Nothing was decided, and trying again at once helps nobody.
            Err(flashsale_lua::Error::Closed) => return None,
            Ok(batch) => {
                shared.note_redis_time(batch.decided_at);
                return Some((batch, took));
            }
            Err(error @ (flashsale_lua::Error::Redis { .. } | flashsale_lua::Error::Unreachable))
                if attempt < TRIES =>
            {
                tracing::warn!(%sku, %error, source = ?std::error::Error::source(&error), attempt, "decide, trying again");
                tokio::time::sleep(RETRY_PAUSE.mul_f64(f64::from(attempt) * shared.jitter())).await;
            }
            Err(error) => {
                tracing::error!(%sku, %error, source = ?std::error::Error::source(&error), attempts = attempts.len(), "undecided");
                return None;
            }
        }
    }
    None
}

/// Queues every decision of the batch and the state changes; returns the delivery that winners wait for.
fn publish(shared: &Arc<Shared>, sku: &Sku, sale_id: &SaleId, jobs: &[Job], batch: &DecidedBatch) -> Arc<Delivery> {
    let delivery = Delivery::begin();
    for (job, decided) in jobs.iter().zip(&batch.decided) {
        let about =
            About { sku, sale_id, attempt: &job.attempt, received_at: job.received_at, ingest_id: &shared.ingest_id };
        let outcome = &decided.decision.outcome;
        let watched = match outcome {
            Outcome::Accepted(_) => true,
            Outcome::Repeated(_) if decided.pending => true,
            // The log has it, or gets it with this batch.
            Outcome::Repeated(_) => continue,
            _ => false,
        };
        let after = match outcome {
            // What the sale looked like when the unit was sold, which is not now.
            Outcome::Repeated(receipt) => repeated(receipt.sequence, batch, jobs.len()),
            _ => Some((decided.decision.as_of_sequence, decided.decision.remaining)),
        };
        let event = event(&about, outcome, batch.decided_at, after, || shared.next_number());
        if watched {
            send_decision(shared, &delivery, &event, job.trace);
        } else {
            send_refusal(shared, &event, job.trace);
        }
    }
    for change in &batch.changes {
        shared.ledger.send_change(&delivery, change.change, &change.status);
    }
    delivery.seal();
    let mut ids: Vec<String> = batch.changes.iter().map(|change| change.outbox_id.clone()).collect();
    ids.extend(batch.outbox_id.clone());
    if !ids.is_empty() {
        settle_when_delivered(shared, sku, ids, delivery.clone());
    }
    delivery
}

/// Units sold and left when unit `sequence` was sold: the sum of both never changes within a sale.
fn repeated(sequence: u64, batch: &DecidedBatch, attempts: usize) -> Option<(u64, u64)> {
    let last = &batch.decided.get(attempts.checked_sub(1)?)?.decision;
    Some((sequence, (last.as_of_sequence + last.remaining).saturating_sub(sequence)))
}

fn settle_when_delivered(shared: &Arc<Shared>, sku: &Sku, ids: Vec<String>, delivery: Arc<Delivery>) {
    let (shared, sku) = (shared.clone(), sku.clone());
    let tracker = shared.tasks.clone();
    tracker.spawn(async move {
        let settled = match delivery.wait().await {
            Ok(()) => shared.settled.send((sku, ids)).await.is_ok(),
            Err(_) => false,
        };
        if !settled {
            shared.metrics.settle_failed.increment(1);
        }
    });
}
