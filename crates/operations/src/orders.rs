//! Standing orders to consumers: to hold, whole or by partition, and to go on.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use flashsale_core::Micros;
use flashsale_ledger::{Ledger, PROCESSOR_STATUS, SINK_POSTGRES, decode, hold_of};
use flashsale_schemas::{
    Topic,
    events::{ConsumerControl, ControlAction, OperatorAction},
};
use flashsale_streaming::{Hold, View, ViewConfig};
use serde_json::json;
use tokio::{runtime::Handle, sync::watch};

use crate::{Actor, Error, Operations, consumers::Order};

/// How long the orders that stand may take to be read, and a new one to be seen.
const KNOWN_MAX: Duration = Duration::from_secs(10);

type Book = Arc<Mutex<HashMap<String, ConsumerControl>>>;

/// The last order to each consumer, kept up to date from the log. A clone shares it.
#[derive(Debug, Clone)]
pub struct OrderBook {
    book: Book,
    changes: watch::Receiver<u64>,
    view: Arc<View>,
}

fn lock(book: &Book) -> MutexGuard<'_, HashMap<String, ConsumerControl>> {
    // One insertion or removal at a time: a panic elsewhere does not spoil it.
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OrderBook {
    /// Opens the book.
    ///
    /// # Errors
    /// When the schema of orders is not to be had, or a client cannot be made.
    pub async fn open(ledger: &Ledger) -> Result<Self, Error> {
        let decoder = ledger.decoder::<ConsumerControl>().await?;
        let (book, runtime) = (Book::default(), Handle::current());
        let (told, changes) = watch::channel(0);
        let topics = vec![ledger.topic(Topic::ConsumerControl).to_owned()];
        let config = ViewConfig { name: "order-book".into(), topics };
        let into = book.clone();
        let view = View::start(ledger.streaming(), config, move |record| {
            let _guard = runtime.enter();
            let order = record.payload.as_deref().map(|payload| decode(&decoder, payload)).transpose();
            match (order, record.key.as_deref().map(String::from_utf8_lossy)) {
                (Ok(Some(order)), _) => drop(lock(&into).insert(order.consumer.clone(), order)),
                (Ok(None), Some(key)) => drop(lock(&into).remove(&*key)),
                (Ok(None), None) => {}
                (Err(error), _) => tracing::warn!(%error, position = %record.position, "an order that cannot be read"),
            }
            told.send_modify(|changes| *changes += 1);
        })?;
        Ok(Self { book, changes, view: Arc::new(view) })
    }

    /// Waits until every order that stood at the start is known.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn known(&self) -> Result<(), Error> {
        let known = tokio::time::timeout(KNOWN_MAX, self.view.caught_up()).await;
        known.map_err(|_| {
            Error::Refused("the orders that stand cannot be read from consumer-control; does the topic exist?".into())
        })
    }

    /// Whether the orders that stood at the start are known.
    pub fn is_known(&self) -> bool {
        self.view.is_caught_up()
    }

    /// The order to a consumer, and what it means.
    pub(crate) fn standing(&self, consumer: &str) -> (Option<Order>, Hold) {
        let book = lock(&self.book);
        let order = book.get(consumer);
        let hold = order.and_then(hold_of).unwrap_or_default();
        (order.map(shown), hold)
    }

    async fn seen(&self, order: &ConsumerControl) -> bool {
        let mut changes = self.changes.clone();
        let seen = changes.wait_for(|_| lock(&self.book).get(&order.consumer) == Some(order));
        matches!(tokio::time::timeout(KNOWN_MAX, seen).await, Ok(Ok(_)))
    }
}

fn shown(order: &ConsumerControl) -> Order {
    let action = match order.action {
        ControlAction::Pause => "PAUSE",
        ControlAction::Resume => "RESUME",
        ControlAction::RunTo => "RUN_TO",
        ControlAction::Unknown => "UNKNOWN",
    };
    Order {
        action: action.to_owned(),
        partitions: order.partitions.clone(),
        until_offset: order.until_offset,
        issued_by: order.issued_by.clone(),
        issued_at: order.issued_at.to_string(),
    }
}

impl Operations {
    /// Has `consumer` hold `partitions`, or all when none are named, beside those that it holds already.
    ///
    /// # Errors
    /// When it is no consumer that obeys, has no such partition, or the log does not take the order.
    pub async fn pause(&self, consumer: &str, partitions: &BTreeSet<i32>, actor: &Actor) -> Result<Order, Error> {
        self.steer(consumer, partitions, actor, OperatorAction::Pause).await
    }

    /// Lets `consumer` go on with `partitions`, or with all when none are named.
    ///
    /// # Errors
    /// As for [`Operations::pause`].
    pub async fn resume(&self, consumer: &str, partitions: &BTreeSet<i32>, actor: &Actor) -> Result<Order, Error> {
        self.steer(consumer, partitions, actor, OperatorAction::Resume).await
    }

    async fn steer(
        &self,
        consumer: &str,
        partitions: &BTreeSet<i32>,
        actor: &Actor,
        action: OperatorAction,
    ) -> Result<Order, Error> {
        let numbers = self.numbers_of(consumer).await?;
        if let Some(number) = partitions.iter().find(|number| !numbers.contains(number)) {
            return Err(Error::Refused(format!("{consumer} reads no partition {number}")));
        }
        self.orders.known().await?;
        let _turn = self.steering.lock().await;
        let (_, standing) = self.orders.standing(consumer);
        let hold = match action {
            OperatorAction::Pause => more(&standing, partitions, &numbers),
            _ => less(&standing, partitions, &numbers),
        };
        let (control, held, until_offset) = match hold {
            Hold::Nothing => (ControlAction::Resume, BTreeSet::new(), None),
            Hold::Pause(held) => (ControlAction::Pause, held, None),
            Hold::Until(held, offset) => (ControlAction::RunTo, held, Some(offset)),
        };
        let order = ConsumerControl {
            consumer: consumer.to_owned(),
            action: control,
            partitions: held.into_iter().collect(),
            until_offset,
            issued_by: actor.to_string(),
            issued_at: Micros::from_utc(SystemTime::now().into()),
        };
        self.ledger.publish_order(&order).await?;
        let detail = json!({ "partitions": partitions, "standing": shown(&order) });
        self.record(action, consumer, actor, Some(detail)).await?;
        if !self.orders.seen(&order).await {
            return Err(Error::Refused(format!(
                "the order is in the log, but another one to {consumer} may stand; look with `flashsale ops consumers`"
            )));
        }
        Ok(shown(&order))
    }

    /// The partitions that one of our consumers reads.
    pub(crate) async fn numbers_of(&self, consumer: &str) -> Result<BTreeSet<i32>, Error> {
        let ours = [SINK_POSTGRES, PROCESSOR_STATUS].map(|group| self.ledger.group(group));
        if !ours.iter().any(|name| name == consumer) {
            return Err(Error::NotFound(format!(
                "{consumer} is no consumer that takes orders; those are {}",
                ours.join(" and ")
            )));
        }
        let topic = self.ledger.topic(Topic::PurchaseDecisions);
        Ok(flashsale_streaming::partitions(self.ledger.streaming(), topic).await?.into_keys().collect())
    }
}

fn more(standing: &Hold, partitions: &BTreeSet<i32>, all: &BTreeSet<i32>) -> Hold {
    match standing {
        Hold::Pause(held) if held.is_empty() => standing.clone(),
        _ if partitions.is_empty() => Hold::Pause(BTreeSet::new()),
        Hold::Pause(held) => whole(held | partitions, all),
        // What runs to an offset is held at once now.
        Hold::Nothing | Hold::Until(..) => whole(partitions.clone(), all),
    }
}

fn less(standing: &Hold, partitions: &BTreeSet<i32>, all: &BTreeSet<i32>) -> Hold {
    let left = |held: &BTreeSet<i32>| {
        let held = if held.is_empty() { all } else { held };
        held - partitions
    };
    match standing {
        _ if partitions.is_empty() => Hold::Nothing,
        Hold::Pause(held) if !left(held).is_empty() => Hold::Pause(left(held)),
        Hold::Until(held, offset) if !left(held).is_empty() => Hold::Until(left(held), *offset),
        _ => Hold::Nothing,
    }
}

/// All partitions by name are all, also those that come later.
fn whole(held: BTreeSet<i32>, all: &BTreeSet<i32>) -> Hold {
    if held.is_superset(all) { Hold::Pause(BTreeSet::new()) } else { Hold::Pause(held) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_add_up() {
        let set = |numbers: &[i32]| numbers.iter().copied().collect::<BTreeSet<i32>>();
        let all = set(&[0, 1, 2]);
        let whole = Hold::Pause(set(&[]));
        assert_eq!(more(&Hold::Nothing, &set(&[1]), &all), Hold::Pause(set(&[1])));
        assert_eq!(more(&Hold::Pause(set(&[1])), &set(&[2]), &all), Hold::Pause(set(&[1, 2])));
        assert_eq!(more(&Hold::Pause(set(&[0, 1])), &set(&[2]), &all), whole);
        assert_eq!(more(&whole, &set(&[2]), &all), whole, "all stay all");
        assert_eq!(less(&whole, &set(&[2]), &all), Hold::Pause(set(&[0, 1])));
        assert_eq!(less(&Hold::Pause(set(&[1])), &set(&[1]), &all), Hold::Nothing);
        assert_eq!(less(&Hold::Pause(set(&[1])), &set(&[]), &all), Hold::Nothing);
        assert_eq!(less(&Hold::Nothing, &set(&[1]), &all), Hold::Nothing);
        assert_eq!(less(&Hold::Until(set(&[]), 9), &set(&[0, 1]), &all), Hold::Until(set(&[2]), 9));
    }
}
