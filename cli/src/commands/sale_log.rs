//! The log of one sale, read for a fold.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use flashsale_core::{Micros, SaleId, Sku};
use flashsale_ledger::{Ledger, Place};
use flashsale_report::{Builder, timetravel::StateAt};
use flashsale_schemas::events::{PurchaseDecision, SaleEvent};
use flashsale_streaming::{ScanFrom, ScanOffsets};
use tokio_util::sync::CancellationToken;

use super::stores::Bar;

/// A producer's clock may be this much off Redis'; records are looked for from that much earlier on.
const CLOCKS_APART_MS: i64 = 3_600_000;

/// What takes the records of a SKU one by one.
pub(super) trait Fold: Send + 'static {
    /// Takes a change of a sale.
    fn event(&mut self, event: &SaleEvent);
    /// Takes a decision, and when it was written as far as that is known.
    fn decision(&mut self, decision: &PurchaseDecision, logged_at_ms: Option<i64>);
    /// Takes note of a record that no decoder could read.
    fn unreadable(&mut self) {}
    /// The newest sale of which there was a change.
    fn newest(&self) -> Option<SaleId>;
    /// When the first change of `sale` happened.
    fn created_at(&self, sale: &SaleId) -> Option<Micros>;
}

impl Fold for Builder {
    fn event(&mut self, event: &SaleEvent) {
        Builder::event(self, event);
    }

    fn decision(&mut self, decision: &PurchaseDecision, logged_at_ms: Option<i64>) {
        Builder::decision(self, decision, logged_at_ms);
    }

    fn unreadable(&mut self) {
        Builder::unreadable(self);
    }

    fn newest(&self) -> Option<SaleId> {
        Builder::newest(self).cloned()
    }

    fn created_at(&self, sale: &SaleId) -> Option<Micros> {
        Builder::created_at(self, sale)
    }
}

impl Fold for StateAt {
    fn event(&mut self, event: &SaleEvent) {
        StateAt::event(self, event);
    }

    fn decision(&mut self, decision: &PurchaseDecision, _: Option<i64>) {
        StateAt::decision(self, decision);
    }

    fn newest(&self) -> Option<SaleId> {
        StateAt::newest(self).cloned()
    }

    fn created_at(&self, sale: &SaleId) -> Option<Micros> {
        StateAt::created_at(self, sale)
    }
}

/// Gives `fold` the changes of all sales of `sku`, and the decisions about `sale` or else about the newest of them.
pub(super) async fn read<F: Fold>(
    ledger: &Ledger,
    sku: &Sku,
    sale: Option<&SaleId>,
    fold: F,
    stop: &CancellationToken,
) -> anyhow::Result<F> {
    let fold = Arc::new(Mutex::new(fold));
    let read_to = read_events(ledger, sku, &fold, ScanFrom::Beginning, stop).await?;
    let found = {
        let fold = fold.lock().unwrap_or_else(PoisonError::into_inner);
        sale.cloned().or_else(|| fold.newest()).and_then(|sale| Some((fold.created_at(&sale)?, sale)))
    };
    if let Some((created_at, sale)) = found {
        read_decisions(ledger, sale, created_at, &fold, stop).await?;
        // What happened to the sale meanwhile: its changes must not be older than its decisions.
        read_events(ledger, sku, &fold, ScanFrom::Offsets(read_to), stop).await?;
    }
    let fold = Arc::into_inner(fold).context("the log is still being read")?;
    Ok(fold.into_inner().unwrap_or_else(PoisonError::into_inner))
}

async fn read_events<F: Fold>(
    ledger: &Ledger,
    sku: &Sku,
    fold: &Arc<Mutex<F>>,
    from: ScanFrom,
    stop: &CancellationToken,
) -> anyhow::Result<ScanOffsets> {
    let decoder = ledger.decoder::<SaleEvent>().await?;
    let (sku, fold) = (sku.clone(), fold.clone());
    let wanted = move |key: Option<&[u8]>| key.is_none_or(|key| key == sku.as_str().as_bytes());
    let take = move |_: Place, event: Result<SaleEvent, _>| {
        let mut fold = fold.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) => fold.event(&event),
            Err(_) => fold.unreadable(),
        }
    };
    Ok(ledger.pass(decoder, from, wanted, stop, |_| {}, take).await?)
}

async fn read_decisions<F: Fold>(
    ledger: &Ledger,
    sale: SaleId,
    created_at: Micros,
    fold: &Arc<Mutex<F>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let decoder = ledger.decoder::<PurchaseDecision>().await?;
    let fold = fold.clone();
    // The key begins with the sale, so what is not wanted need not be decoded.
    let wanted = move |key: Option<&[u8]>| {
        let sale_of = |key: &[u8]| key.split(|byte| *byte == b':').next() == Some(sale.as_str().as_bytes());
        key.is_none_or(sale_of)
    };
    let take = move |place: Place, decision: Result<PurchaseDecision, _>| {
        let mut fold = fold.lock().unwrap_or_else(PoisonError::into_inner);
        match decision {
            // 0 stands for a time that is not known.
            Ok(decision) => fold.decision(&decision, Some(place.timestamp_ms).filter(|at| *at > 0)),
            Err(_) => fold.unreadable(),
        }
    };
    let bar = Bar::new("reading the log");
    let shown = bar.clone();
    let from = ScanFrom::Time(created_at.as_millis().saturating_sub(CLOCKS_APART_MS));
    let read = ledger.pass(decoder, from, wanted, stop, move |progress| shown.scanned(progress), take).await;
    bar.finish();
    read?;
    Ok(())
}
