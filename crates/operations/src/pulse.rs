//! Decisions as they come: how many a second, with which outcome, how fast.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

use flashsale_core::Micros;
use flashsale_ledger::Ledger;
use flashsale_schemas::{
    Topic,
    events::{Outcome, PurchaseDecision},
};
use flashsale_streaming::{View, ViewConfig};
use serde::Serialize;
use tokio::runtime::Handle;
use utoipa::ToSchema;

use crate::Error;

/// Seconds that are kept.
const SECONDS_MAX: usize = 300;
/// SKUs that are told apart in a second.
const SKUS_MAX: usize = 200;
/// Over how many seconds a rate is the mean.
const RATE_SECONDS: i64 = 5;
/// Latencies that are kept of a second; of more, these are as good.
const LATENCIES_MAX: usize = 2_000;

/// One second of decisions, by the time of their records.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DecisionSecond)]
pub struct Second {
    /// When it began.
    #[schema(format = DateTime)]
    pub at: String,
    /// Units sold.
    pub accepted: u64,
    /// Refused: the shopper holds a unit.
    pub already_purchased: u64,
    /// Refused: no unit left.
    pub sold_out: u64,
    /// Refused: the sale took no purchases.
    pub not_active: u64,
    /// Median time from arrival at the edge to the record, in milliseconds; `null` when nothing came.
    #[schema(required = true)]
    pub p50_ms: Option<f64>,
    /// The same of the slowest of a hundred.
    #[schema(required = true)]
    pub p99_ms: Option<f64>,
}

#[derive(Debug, Default)]
struct Counts {
    second: i64,
    accepted: u64,
    already_purchased: u64,
    sold_out: u64,
    not_active: u64,
    latencies_us: Vec<u32>,
    sold: HashMap<String, u64>,
}

#[derive(Debug, Default)]
struct Seconds(VecDeque<Counts>);

impl Seconds {
    fn take<Text: AsRef<str>>(&mut self, decision: &PurchaseDecision<Text>, written_ms: i64) {
        let second = written_ms.div_euclid(1_000);
        let Some(counts) = self.of(second) else { return };
        match decision.outcome {
            Outcome::Accepted => {
                counts.accepted += 1;
                let sku = decision.sku.as_ref();
                if let Some(sold) = counts.sold.get_mut(sku) {
                    *sold += 1;
                } else if counts.sold.len() < SKUS_MAX {
                    counts.sold.insert(sku.to_owned(), 1);
                }
            }
            Outcome::AlreadyPurchased => counts.already_purchased += 1,
            Outcome::SoldOut => counts.sold_out += 1,
            Outcome::SaleNotActive => counts.not_active += 1,
            Outcome::Unknown => {}
        }
        let waited = decision.received_at.map(|received| written_ms.saturating_mul(1_000).saturating_sub(received.0));
        if let Some(waited) = waited.filter(|_| counts.latencies_us.len() < LATENCIES_MAX) {
            counts.latencies_us.push(u32::try_from(waited.max(0)).unwrap_or(u32::MAX));
        }
    }

    /// The counts of a second, which is made when it is young enough.
    fn of(&mut self, second: i64) -> Option<&mut Counts> {
        let place = self.0.partition_point(|counts| counts.second < second);
        let is_there = self.0.get(place).is_some_and(|counts| counts.second == second);
        if !is_there {
            if self.0.len() >= SECONDS_MAX {
                if place == 0 {
                    return None;
                }
                self.0.pop_front();
                return self.of(second);
            }
            self.0.insert(place, Counts { second, ..Counts::default() });
        }
        self.0.get_mut(place)
    }
}

/// Counts decisions from the moment it was made. A clone shares the counts.
#[derive(Debug, Clone)]
pub struct Pulse {
    /// The first whole second that it saw; later than any before it began.
    since: Arc<AtomicI64>,
    seconds: Arc<Mutex<Seconds>>,
    /// None where somebody else reads and tells.
    _view: Option<Arc<View>>,
}

impl Pulse {
    /// Counts what it is told by [`Pulse::take`], once it has begun: for a process that reads the decisions anyway.
    pub fn told() -> Self {
        Self { since: Arc::new(AtomicI64::new(i64::MAX)), seconds: Arc::default(), _view: None }
    }

    /// From the next second on it is told of all that comes.
    pub fn begin(&self) {
        self.since.store(this_second() + 1, Ordering::Relaxed);
    }

    /// Follows the decisions that come from now on.
    ///
    /// # Errors
    /// When the schema is not to be had, or a client cannot be made.
    pub async fn start(ledger: &Ledger) -> Result<Self, Error> {
        let decoder = ledger.decoder::<PurchaseDecision>().await?;
        let (pulse, runtime) = (Self::told(), Handle::current());
        let topics = vec![ledger.topic(Topic::PurchaseDecisions).to_owned()];
        let config = ViewConfig { name: "pulse".into(), topics };
        let into = pulse.clone();
        pulse.begin();
        let view = View::follow(ledger.streaming(), config, move |record| {
            let _guard = runtime.enter();
            if let Some(Ok(decision)) = record.payload.map(|payload| decoder.decode_borrowed(payload)) {
                into.take(&decision, record.timestamp_ms);
            }
        })?;
        Ok(Self { _view: Some(Arc::new(view)), ..pulse })
    }

    /// Counts a decision whose record was written at `written_ms`, in milliseconds since 1970.
    pub fn take<Text: AsRef<str>>(&self, decision: &PurchaseDecision<Text>, written_ms: i64) {
        if written_ms.div_euclid(1_000) >= self.since.load(Ordering::Relaxed) {
            lock(&self.seconds).take(decision, written_ms);
        }
    }

    /// Units of a SKU that were sold a second, lately.
    pub fn sold_per_second(&self, sku: &str) -> f64 {
        let now = this_second();
        let seconds = lock(&self.seconds);
        let young = seconds.0.iter().rev().take_while(|counts| counts.second >= now - RATE_SECONDS);
        let sold: u64 = young.filter(|counts| counts.second < now).filter_map(|counts| counts.sold.get(sku)).sum();
        sold as f64 / RATE_SECONDS as f64
    }

    /// The last `count` seconds since the start, one after the other, also those in which nothing came; the one that is
    /// not over is left out.
    pub fn seconds(&self, count: usize) -> Vec<Second> {
        let count = i64::try_from(count.min(SECONDS_MAX)).unwrap_or(0);
        let now = this_second();
        let since = self.since.load(Ordering::Relaxed);
        let mut seconds = lock(&self.seconds);
        let shown = (now - count..now).filter(|second| *second >= since).map(|second| {
            let place = seconds.0.partition_point(|counts| counts.second < second);
            match seconds.0.get_mut(place).filter(|counts| counts.second == second) {
                Some(counts) => shown(counts),
                None => shown(&mut Counts { second, ..Counts::default() }),
            }
        });
        shown.collect()
    }
}

fn this_second() -> i64 {
    Micros::from_utc(SystemTime::now().into()).as_millis().div_euclid(1_000)
}

fn lock(seconds: &Mutex<Seconds>) -> MutexGuard<'_, Seconds> {
    // Counts are valid after every step: a panic elsewhere does not spoil them.
    seconds.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown(counts: &mut Counts) -> Second {
    counts.latencies_us.sort_unstable();
    let at = |share: f64| {
        let latencies = &counts.latencies_us;
        let rank = (latencies.len() as f64 * share).ceil() as usize;
        latencies.get(rank.saturating_sub(1)).map(|us| f64::from(*us) / 1_000.0)
    };
    Second {
        at: Micros(counts.second.saturating_mul(1_000_000)).to_string(),
        accepted: counts.accepted,
        already_purchased: counts.already_purchased,
        sold_out: counts.sold_out,
        not_active: counts.not_active,
        p50_ms: at(0.5),
        p99_ms: at(0.99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashsale_schemas::events::DecidedBy;

    fn decision(outcome: Outcome, received_ms: i64) -> PurchaseDecision {
        PurchaseDecision {
            decision_id: "d".into(),
            sale_id: "s".into(),
            sku: "DEMO".into(),
            user_id: "ann".into(),
            request_id: "r".into(),
            outcome,
            reason: None,
            sequence: None,
            as_of_sequence: None,
            remaining_stock: None,
            decided_at: Micros(0),
            received_at: Some(Micros::from_millis(received_ms)),
            decided_by: DecidedBy::Redis,
            ingest_id: "i".into(),
        }
    }

    #[test]
    fn seconds_are_counted_also_out_of_order_and_the_oldest_go() {
        let mut seconds = Seconds::default();
        for waited in 1..=100 {
            seconds.take(&decision(Outcome::Accepted, 5_500 - waited), 5_500);
        }
        seconds.take(&decision(Outcome::SoldOut, 4_900), 4_999);
        seconds.take(&decision(Outcome::SaleNotActive, 9_000), 5_999);
        let first = shown(&mut seconds.0[0]);
        assert_eq!((first.at.as_str(), first.sold_out, first.p50_ms), ("1970-01-01T00:00:04.000Z", 1, Some(99.0)));
        let second = shown(&mut seconds.0[1]);
        assert_eq!((second.accepted, second.not_active), (100, 1));
        assert_eq!((second.p50_ms, second.p99_ms), (Some(50.0), Some(99.0)), "clocks apart count as nothing");
        for number in 6..1_000 {
            seconds.take(&decision(Outcome::Accepted, 0), number * 1_000);
        }
        seconds.take(&decision(Outcome::Accepted, 0), 5_000);
        assert_eq!((seconds.0.len(), seconds.0[0].second), (SECONDS_MAX, 700));
        let nothing = shown(&mut Counts::default());
        assert_eq!((nothing.accepted, nothing.p50_ms), (0, None));
    }
}
