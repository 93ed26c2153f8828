//! Pages that listen to the live stream during a run, and what they saw.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use flashsale_core::{Sku, invariants};
use flashsale_drills::audience::{Audience, Seen};
use flashsale_loadtest::{
    report::{ListenersReport, Percentiles},
    verdict::Stores,
};
use hdrhistogram::Histogram;

use crate::{output::tell, place::Place, sale::Shop};

/// How long they may take to have a stream, and to be told of the end.
const OPEN_MAX: Duration = Duration::from_secs(15);
const END_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// Longest lag that is told apart, in microseconds.
const LAG_MAX_US: u64 = 120_000_000;

/// Listeners of one sale.
pub(crate) struct Listeners {
    audience: Audience,
    sku: String,
    count: usize,
}

impl Listeners {
    /// Gathers `count` of them; returns when all have a stream, or some have been waited for long enough.
    pub(crate) async fn gather(place: &Place, sku: &str, count: usize) -> Self {
        let audience = Audience::gather(&place.servers, sku, count, 0);
        if !until(OPEN_MAX, || audience.open() == count).await {
            let (open, failures) = (audience.open(), audience.failures());
            tell(format_args!("{open} of {count} listeners have a stream: {}", failures.join("; ")));
        }
        Self { audience, sku: sku.to_owned(), count }
    }

    /// Waits until all were told of the end, if the sale has ended; they leave, and what they saw is told.
    pub(crate) async fn leave(self, shop: &Shop, stores: Option<&Stores>) -> Result<ListenersReport> {
        let standing = shop.standing(&self.sku).await?;
        if standing.is_some_and(|standing| standing.state == "ENDED") {
            until(END_MAX, || self.audience.told("ENDED") == self.count).await;
        }
        let seen = self.audience.leave().await;
        let lag = match stores {
            Some(stores) => lag(stores, &self.sku, &seen).await?,
            None => None,
        };
        Ok(ListenersReport {
            count: self.count,
            opened: seen.iter().filter(|seen| seen.opened > 0).count(),
            saw_the_end: seen.iter().filter(|seen| seen.state == "ENDED").count(),
            resets: seen.iter().map(|seen| seen.resets).sum(),
            rises: seen.iter().map(|seen| rises(&seen.stocks)).sum(),
            lag,
        })
    }
}

/// Whether it came true in time.
async fn until(patience: Duration, is_so: impl Fn() -> bool) -> bool {
    let began = tokio::time::Instant::now();
    while !is_so() {
        if began.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
    true
}

/// What a listener was told: each stock, and when, in microseconds since 1970.
type Stocks = [(u64, i64)];

/// How often the stock rose (I11).
fn rises(told: &Stocks) -> usize {
    let stocks: Vec<u64> = told.iter().map(|(stock, _)| *stock).collect();
    stocks.windows(2).filter(|pair| invariants::stock_never_rises(pair).is_err()).count()
}

/// From a decision, by the clock of Redis, to the first news of a stock without that unit; none when there was no news.
/// It is right as far as both clocks are.
async fn lag(stores: &Stores, sku: &str, seen: &[Seen]) -> Result<Option<Percentiles>> {
    let product = stores.store.product(&Sku::new(sku)?).await.context("read the sale")?;
    let Some(config) = product.map(|product| product.config) else { return Ok(None) };
    let rows = stores.store.purchases(&config.sale_id).await.context("read the rows of Postgres")?;
    let decided: HashMap<u64, i64> = rows.iter().map(|row| (row.receipt.sequence, row.receipt.decided_at.0)).collect();
    let mut lags = Histogram::<u64>::new_with_bounds(1, LAG_MAX_US, 3)?;
    for seen in seen {
        for (unit, at) in news(&seen.stocks, config.initial_stock) {
            if let Some(decided_at) = decided.get(&unit) {
                lags.saturating_record(u64::try_from(at - decided_at).unwrap_or(0));
            }
        }
    }
    Ok((!lags.is_empty()).then(|| Percentiles::of(&lags)))
}

/// The sequence of each unit that a listener saw go, and when.
fn news(told: &Stocks, initial_stock: u64) -> impl Iterator<Item = (u64, i64)> {
    told.windows(2).flat_map(move |pair| {
        let ((before, _), (after, at)) = (pair[0], pair[1]);
        let sold = |stock: u64| initial_stock.saturating_sub(stock);
        (sold(before) + 1..=sold(after)).map(move |unit| (unit, at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i_11_what_a_listener_saw_is_read() {
        let told = [(5, 10), (3, 20), (4, 30), (4, 40), (0, 50)];
        assert_eq!((rises(&told), rises(&[])), (1, 0));
        let gone: Vec<(u64, i64)> = news(&told, 5).collect();
        assert_eq!(gone, [(1, 20), (2, 20), (2, 50), (3, 50), (4, 50), (5, 50)]);
        assert_eq!(news(&[], 5).count(), 0);
    }
}
