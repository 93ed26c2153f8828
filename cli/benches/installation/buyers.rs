//! Buyers that are there before anything is measured: decided by the real script and published, as the edge does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use flashsale_core::{Attempt, Outcome, RequestId, SaleId, Sku, UserId};
use flashsale_ledger::Ledger;
use flashsale_lua::{ATTEMPTS_MAX, HotState};
use flashsale_schemas::events::{self, DecidedBy, PurchaseDecision, accepted_id};
use flashsale_streaming::Delivery;

const CALLS_AT_ONCE: usize = 8;

/// Sells `count` units of a sale that has them, to as many shoppers, and publishes every decision.
pub async fn sell(hot: &HotState, ledger: &Ledger, sku: &Sku, sale: &SaleId, count: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CALLS_AT_ONCE {
        let (hot, ledger, sku, sale, next) = (hot.clone(), ledger.clone(), sku.clone(), sale.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let first = next.fetch_add(ATTEMPTS_MAX, Ordering::Relaxed);
                if first >= count {
                    return;
                }
                let batch: Vec<Attempt> = (first..count.min(first + ATTEMPTS_MAX)).map(attempt).collect();
                sell_batch(&hot, &ledger, &sku, &sale, &batch).await;
            }
        });
    }
    tasks.join_all().await;
}

/// The attempt of a shopper that every number has one of.
pub fn attempt(number: usize) -> Attempt {
    Attempt {
        user: UserId::new(&format!("shopper-{number:07}")).unwrap(),
        request_id: RequestId::new(&format!("0198c0de-0000-7000-8000-{number:012}")).unwrap(),
    }
}

async fn sell_batch(hot: &HotState, ledger: &Ledger, sku: &Sku, sale: &SaleId, batch: &[Attempt]) {
    let decided = hot.decide(sku, sale, "bench", batch).await.unwrap();
    let delivery = Delivery::begin();
    for (attempt, one) in batch.iter().zip(&decided.decided) {
        let Outcome::Accepted(receipt) = &one.decision.outcome else { panic!("{one:?}") };
        ledger.send_decision(
            &delivery,
            &PurchaseDecision {
                decision_id: accepted_id(sale, receipt.sequence),
                sale_id: sale.to_string(),
                sku: sku.to_string(),
                user_id: attempt.user.to_string(),
                request_id: attempt.request_id.to_string(),
                outcome: events::Outcome::Accepted,
                reason: None,
                sequence: Some(receipt.sequence as i64),
                as_of_sequence: Some(one.decision.as_of_sequence as i64),
                remaining_stock: Some(one.decision.remaining as i64),
                decided_at: receipt.decided_at,
                received_at: Some(receipt.decided_at),
                decided_by: DecidedBy::Redis,
                ingest_id: "bench".into(),
            },
            &[],
        );
    }
    for change in &decided.changes {
        ledger.send_change(&delivery, change.change, &change.status);
    }
    delivery.seal();
    delivery.wait().await.unwrap();
    let mut ids: Vec<String> = decided.changes.iter().map(|change| change.outbox_id.clone()).collect();
    ids.extend(decided.outbox_id.clone());
    hot.settle(sku, &ids).await.unwrap();
}
