//! Retries with the same Idempotency-Key: one of them asks, the others wait for its answer.
//!
//! Accepted purchases keep their key in Redis for ever, so a retry finds the same success after any
//! restart. What is kept here, bounded, is the rest of the promise: the same refusal again, and 409
//! when a key comes back with another body.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flashsale_core::{RequestId, SaleConfig, SaleId, Sku, UserId};
use flashsale_platform::Generations;
use tokio::sync::Notify;

use crate::{Config, purchase::Answer};

type Key = (UserId, RequestId);

#[derive(Debug, Clone)]
struct Flight {
    sku: Sku,
    sale_id: SaleId,
    landing: Arc<Landing>,
}

/// Where a flight ends: with an answer, or with a leader that went away.
#[derive(Debug, Default)]
struct Landing {
    answer: OnceLock<Answer>,
    is_over: AtomicBool,
    over: Notify,
}

impl Landing {
    fn is_lost(&self) -> bool {
        self.is_over.load(Ordering::Acquire) && self.answer.get().is_none()
    }

    /// Waits for the end; none when there is no answer.
    async fn wait(&self) -> Option<Answer> {
        loop {
            let mut over = pin!(self.over.notified());
            over.as_mut().enable();
            // Asked for first: what is over has its answer already, if it has one.
            let is_over = self.is_over.load(Ordering::Acquire);
            if let Some(answer) = self.answer.get() {
                return Some(answer.clone());
            }
            if is_over {
                return None;
            }
            over.await;
        }
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.over.notify_waiters();
    }
}

/// What is to be done with a keyed request.
#[derive(Debug)]
pub(crate) enum Role {
    /// The answer is there already.
    Answered(Answer),
    /// The key was used for something else.
    Conflict,
    /// Nobody asks yet: ask, then tell the others.
    Leader(Leader),
}

/// The one that asks. Dropped without an answer, the next retry asks.
#[derive(Debug)]
pub(crate) struct Leader {
    flights: Arc<Mutex<Generations<Key, Flight>>>,
    key: Key,
    landing: Arc<Landing>,
    answered: bool,
}

fn lock(flights: &Mutex<Generations<Key, Flight>>) -> std::sync::MutexGuard<'_, Generations<Key, Flight>> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keyed requests of late.
#[derive(Debug)]
pub(crate) struct Flights {
    flights: Arc<Mutex<Generations<Key, Flight>>>,
}

impl Flights {
    pub(crate) fn new(config: &Config) -> Self {
        let ttl = Duration::from_millis(config.idempotency_ttl_ms);
        Self { flights: Arc::new(Mutex::new(Generations::new(config.idempotency_keys_max, ttl))) }
    }

    /// Joins the request of the same key, waiting for its answer, or leads.
    pub(crate) async fn join(&self, user: &UserId, key: &RequestId, sale: &SaleConfig) -> Role {
        let key = (user.clone(), key.clone());
        loop {
            let flight = {
                let mut flights = lock(&self.flights);
                match flights.get(&key) {
                    // The SKU was created again: the answer about the sale before it says nothing.
                    Some(flight) if flight.sku == sale.sku && flight.sale_id != sale.sale_id => {
                        flights.remove(&key);
                        continue;
                    }
                    // Its leader went away without an answer.
                    Some(flight) if flight.landing.is_lost() => {
                        flights.remove(&key);
                        continue;
                    }
                    Some(flight) => flight.clone(),
                    None => {
                        let (sku, sale_id) = (sale.sku.clone(), sale.sale_id.clone());
                        let landing = Arc::<Landing>::default();
                        flights.insert(key.clone(), Flight { sku, sale_id, landing: landing.clone() });
                        return Role::Leader(Leader { flights: self.flights.clone(), key, landing, answered: false });
                    }
                }
            };
            if flight.sku != sale.sku {
                return Role::Conflict;
            }
            if let Some(answer) = flight.landing.wait().await {
                return Role::Answered(answer);
            }
        }
    }
}

impl Leader {
    /// Tells the others, and keeps a final answer for later retries.
    pub(crate) fn answer(mut self, answer: &Answer) {
        if answer.is_final() {
            self.answered = true;
        }
        // The only one that sets it, and it goes with this.
        drop(self.landing.answer.set(answer.clone()));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.answered {
            lock(&self.flights).remove(&self.key);
        }
        self.landing.end();
    }
}

#[cfg(test)]
mod tests {
    use flashsale_core::{Challenge, Micros};

    use super::*;

    fn names() -> (UserId, RequestId, SaleConfig) {
        let sale = SaleConfig {
            sale_id: SaleId::new("06C5HN3T8Q2Z").unwrap(),
            sku: Sku::new("A").unwrap(),
            product_name: "A".into(),
            initial_stock: 1,
            start: Micros(0),
            end: Micros(1),
            challenge: Challenge::None,
        };
        (UserId::new("u").unwrap(), RequestId::new("k").unwrap(), sale)
    }

    #[tokio::test]
    async fn i_8_one_asks_and_all_get_its_answer() {
        let flights = Flights::new(&Config::default());
        let (user, key, sku) = names();
        let Role::Leader(leader) = flights.join(&user, &key, &sku).await else { panic!("the first leads") };
        let waiting = flights.join(&user, &key, &sku);
        leader.answer(&Answer::SoldOut);
        assert!(matches!(waiting.await, Role::Answered(Answer::SoldOut)));
        assert!(matches!(flights.join(&user, &key, &sku).await, Role::Answered(Answer::SoldOut)));
        let other = SaleConfig { sku: Sku::new("B").unwrap(), ..sku.clone() };
        assert!(matches!(flights.join(&user, &key, &other).await, Role::Conflict));
        // The SKU created again is another sale: nothing is known of it.
        let again = SaleConfig { sale_id: SaleId::new("06C5HN3T8Q30").unwrap(), ..sku };
        assert!(matches!(flights.join(&user, &key, &again).await, Role::Leader(_)));
    }

    #[tokio::test]
    async fn a_leader_that_went_away_is_replaced() {
        let flights = Flights::new(&Config::default());
        let (user, key, sku) = names();
        let Role::Leader(leader) = flights.join(&user, &key, &sku).await else { panic!("the first leads") };
        let mut waiting = std::pin::pin!(flights.join(&user, &key, &sku));
        assert!(futures_poll(waiting.as_mut()).await.is_none(), "waits");
        drop(leader);
        assert!(matches!(waiting.await, Role::Leader(_)));
    }

    async fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = tokio::task::yield_now() => None,
        }
    }
}
