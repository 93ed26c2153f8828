//! A small sale, for tests: ten units, two minutes from [`START`] on.

use flashsale_core::{Micros, SaleId, Sku};
use flashsale_schemas::events::{Challenge, ChangeKind, DecidedBy, Outcome, PurchaseDecision, SaleEvent, SaleState};

use crate::{Builder, Report};

pub(crate) const SALE: &str = "06C5HN3T8Q2Z";
/// 2026-11-23T12:00:00Z.
pub(crate) const START: i64 = 1_795_435_200_000_000;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const END: i64 = START + 120 * SECOND;
pub(crate) const STOCK: i64 = 10;

pub(crate) fn sku() -> Sku {
    Sku::new("PHONE").unwrap()
}

pub(crate) fn sale_id() -> SaleId {
    SaleId::new(SALE).unwrap()
}

/// A change at a time.
pub(crate) fn change(number: i64, kind: ChangeKind, at: i64) -> SaleEvent {
    SaleEvent {
        event_id: format!("{SALE}-e{number}"),
        sale_id: SALE.into(),
        sku: "PHONE".into(),
        kind,
        event_number: number,
        occurred_at: Micros(at),
        reason: (kind == ChangeKind::Ended).then(|| "TIME_EXPIRED".into()),
        state: match kind {
            ChangeKind::Created | ChangeKind::Updated => SaleState::Upcoming,
            ChangeKind::Ended => SaleState::Ended,
            _ => SaleState::Active,
        },
        paused: kind == ChangeKind::Paused,
        as_of_sequence: 0,
        product_name: "Phone".into(),
        initial_stock: STOCK,
        start_at: Micros(START),
        end_at: Micros(END),
        challenge: Challenge::None,
    }
}

/// A sold unit.
pub(crate) fn unit(sequence: i64, user: &str, decided: i64, received: Option<i64>) -> PurchaseDecision {
    PurchaseDecision {
        decision_id: format!("{SALE}-{sequence}"),
        sale_id: SALE.into(),
        sku: "PHONE".into(),
        user_id: user.into(),
        request_id: format!("r-{user}"),
        outcome: Outcome::Accepted,
        reason: None,
        sequence: Some(sequence),
        as_of_sequence: Some(sequence),
        remaining_stock: Some(STOCK - sequence),
        decided_at: Micros(decided),
        received_at: received.map(Micros),
        decided_by: DecidedBy::Redis,
        ingest_id: "ingest-1".into(),
    }
}

/// A refusal; its number tells it apart.
pub(crate) fn refusal(
    number: u64,
    user: &str,
    outcome: Outcome,
    reason: Option<&str>,
    decided: i64,
) -> PurchaseDecision {
    PurchaseDecision {
        decision_id: format!("ingest-1-{number}"),
        outcome,
        reason: reason.map(str::to_owned),
        sequence: None,
        as_of_sequence: None,
        remaining_stock: None,
        ..unit(1, user, decided, None)
    }
}

/// A builder that knows the sale as created ten seconds before its start, and started.
pub(crate) fn builder() -> Builder {
    let mut builder = Builder::new(sku());
    builder.event(&change(1, ChangeKind::Created, START - 10 * SECOND));
    builder.event(&change(2, ChangeKind::Started, START));
    builder
}

/// The report of such a sale with these decisions.
pub(crate) fn log_of(decisions: &[PurchaseDecision]) -> Report {
    let mut builder = builder();
    for decision in decisions {
        builder.decision(decision, None);
    }
    builder.build(None).unwrap()
}
