//! A decision becomes an event, and that a record on its way to the log.

use std::{borrow::Cow, sync::Arc};

use flashsale_core::{Attempt, Micros, NotActive, Outcome, SaleId, Sku};
use flashsale_ledger::refusal_id;
use flashsale_platform::trace::TraceContext;
use flashsale_schemas::events::{self, DecidedBy, PurchaseDecision, accepted_id};
use flashsale_streaming::Delivery;

use crate::{service::Shared, trace};

/// A decision whose texts are mostly those of the attempt.
pub(crate) type Decided<'a> = PurchaseDecision<Cow<'a, str>>;

/// Who and what an event is about.
pub(crate) struct About<'a> {
    pub(crate) sku: &'a Sku,
    /// The sale that the attempt named.
    pub(crate) sale_id: &'a SaleId,
    pub(crate) attempt: &'a Attempt,
    pub(crate) received_at: Micros,
    pub(crate) ingest_id: &'a str,
}

/// The sale as a decision left it: units sold, units left.
pub(crate) type After = (u64, u64);

/// The event of `outcome`; `number` tells this ingest's refusals apart. None decided at the edge knows
/// what the sale looked like.
pub(crate) fn event<'a>(
    about: &About<'a>,
    outcome: &'a Outcome,
    decided_at: Micros,
    after: Option<After>,
    number: impl FnOnce() -> u64,
) -> Decided<'a> {
    let (kind, reason) = match outcome {
        Outcome::Accepted(_) | Outcome::Repeated(_) => (events::Outcome::Accepted, None),
        Outcome::AlreadyPurchased(_) => (events::Outcome::AlreadyPurchased, None),
        Outcome::SoldOut => (events::Outcome::SoldOut, None),
        Outcome::NotActive(reason) => (events::Outcome::SaleNotActive, Some(NotActive::as_str(*reason).into())),
    };
    let decided_by = if after.is_some() { DecidedBy::Redis } else { DecidedBy::Edge };
    let after = after.filter(|_| *outcome != Outcome::NotActive(NotActive::SaleReplaced));
    let sale_id = outcome.receipt().map_or(about.sale_id, |receipt| &receipt.sale_id);
    let (decision_id, decided_at) = match outcome {
        // The same however often it is published, and by whom.
        Outcome::Accepted(receipt) | Outcome::Repeated(receipt) => {
            (accepted_id(&receipt.sale_id, receipt.sequence), receipt.decided_at)
        }
        _ => (refusal_id(about.ingest_id, number()), decided_at),
    };
    PurchaseDecision {
        decision_id: decision_id.into(),
        sale_id: sale_id.as_str().into(),
        sku: about.sku.as_str().into(),
        user_id: about.attempt.user.as_str().into(),
        request_id: about.attempt.request_id.as_str().into(),
        outcome: kind,
        reason,
        sequence: outcome.receipt().map(|receipt| signed(receipt.sequence)),
        // Of a sale that was replaced these numbers would be its successor's.
        as_of_sequence: after.map(|(sold, _)| signed(sold)),
        remaining_stock: after.map(|(_, left)| signed(left)),
        decided_at,
        received_at: Some(about.received_at),
        decided_by,
        ingest_id: about.ingest_id.into(),
    }
}

/// Queues the record of a unit as part of `delivery`; a traced one leads to its trace.
pub(crate) fn send_decision(
    shared: &Shared,
    delivery: &Arc<Delivery>,
    event: &Decided<'_>,
    trace: Option<TraceContext>,
) {
    let Some(request) = trace else { return shared.ledger.send_decision(delivery, event, &[]) };
    let (span, header) = trace::publish(request);
    shared.ledger.send_decision(delivery, event, &[header]);
    trace::until_delivered(shared, span, delivery.clone());
}

/// Queues the record of a refusal, which nobody waits for but its trace.
pub(crate) fn send_refusal(shared: &Shared, event: &Decided<'_>, trace: Option<TraceContext>) {
    let Some(request) = trace else { return shared.ledger.send_refusal(&shared.unwatched, event, &[]) };
    let (span, header) = trace::publish(request);
    let delivery = Delivery::begin();
    shared.ledger.send_refusal(&delivery, event, &[header]);
    delivery.seal();
    trace::until_delivered(shared, span, delivery);
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
