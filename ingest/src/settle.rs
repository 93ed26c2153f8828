//! Settling: what the log has acknowledged leaves the outbox, many entries a call.

use std::{collections::HashMap, time::Duration};

use flashsale_core::Sku;
use flashsale_lua::{HotState, SETTLE_MAX};
use tokio::sync::mpsc;

/// Acknowledged entries that wait to be settled.
const QUEUE_MAX: usize = 10_000;
/// Acknowledgements come in bursts; after a burst the rest of it is worth waiting for.
const GATHER: Duration = Duration::from_millis(5);

/// Entries of one sale that the log has.
pub(crate) type Settled = (Sku, Vec<String>);

pub(crate) fn channel() -> (mpsc::Sender<Settled>, mpsc::Receiver<Settled>) {
    mpsc::channel(QUEUE_MAX)
}

/// Settles until every sender is gone. What fails is left to the relay, which publishes it again:
/// harmless, since decision ids are deterministic.
pub(crate) async fn run(hot: HotState, mut settled: mpsc::Receiver<Settled>) {
    let mut burst = Vec::new();
    while settled.recv_many(&mut burst, SETTLE_MAX).await > 0 {
        let mut by_sale: HashMap<Sku, Vec<String>> = HashMap::new();
        for (sku, ids) in burst.drain(..) {
            by_sale.entry(sku).or_default().extend(ids);
        }
        for (sku, ids) in by_sale {
            if let Err(error) = hot.settle(&sku, &ids).await {
                tracing::warn!(%sku, %error, entries = ids.len(), "not settled, left to the relay");
            }
        }
        tokio::time::sleep(GATHER).await;
    }
}
