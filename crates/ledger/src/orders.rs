//! The orders that operators gave to a consumer, as they stand.

use flashsale_schemas::{
    Topic,
    events::{ConsumerControl, ControlAction},
};
use flashsale_streaming::{Hold, View, ViewConfig, tell_held};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{Error, Ledger, passage::decode};

/// What a consumer was ordered to hold, kept up to date until dropped.
#[derive(Debug)]
pub struct Orders {
    view: View,
    hold: watch::Receiver<Hold>,
}

impl Orders {
    /// Waits until every order that stood at the start is known; before that nothing may be read.
    pub async fn known(&self) {
        self.view.caught_up().await;
    }

    /// Waits until something may be read.
    pub async fn let_go(&self) {
        // Fails only when the view is gone, and it is ours.
        drop(self.hold.clone().wait_for(|hold| !hold.is_whole()).await);
    }

    /// Runs `reading` until it ends; when nothing may be read any more it is told to stop by the token that it was
    /// made with.
    pub async fn obeyed<T>(&self, stop: &CancellationToken, reading: impl Future<Output = T>) -> T {
        let mut reading = Box::pin(reading);
        let mut hold = self.hold.clone();
        tokio::select! {
            ended = &mut reading => return ended,
            Ok(_) = hold.wait_for(Hold::is_whole) => stop.cancel(),
        }
        reading.await
    }

    /// What is to be held.
    pub fn hold(&self) -> watch::Receiver<Hold> {
        self.hold.clone()
    }
}

impl Ledger {
    /// Follows the orders to `consumer`, by the name of its group on the brokers.
    ///
    /// # Errors
    /// When the schema of orders is not to be had, or a client cannot be made.
    pub async fn orders(&self, consumer: &str) -> Result<Orders, Error> {
        let decoder = self.decoder::<ConsumerControl>().await?;
        let (ours, runtime) = (consumer.to_owned(), Handle::current());
        let (told, hold) = watch::channel(Hold::Nothing);
        tell_held(consumer, false);
        let config = ViewConfig {
            name: format!("orders-{consumer}"),
            topics: vec![self.topic(Topic::ConsumerControl).to_owned()],
        };
        let view = View::start(self.streaming(), config, move |record| {
            if record.key.as_deref() != Some(ours.as_bytes()) {
                return;
            }
            // The decoder looks unknown schemas up on this runtime.
            let _guard = runtime.enter();
            let order = record.payload.as_deref().map(|payload| decode(&decoder, payload)).transpose();
            match order.map(|order| order.map_or(Some(Hold::Nothing), |order| hold_of(&order))) {
                Ok(Some(hold)) => {
                    tell_held(&ours, hold != Hold::Nothing);
                    told.send_replace(hold);
                }
                Ok(None) => tracing::warn!(position = %record.position, "an order that this build does not know"),
                Err(error) => tracing::warn!(%error, position = %record.position, "an order that cannot be read"),
            }
        });
        Ok(Orders { view: view.map_err(Error::Streaming)?, hold })
    }
}

/// What an order means; none when this build does not know it.
pub fn hold_of(order: &ConsumerControl) -> Option<Hold> {
    let partitions = order.partitions.iter().copied().collect();
    match (order.action, order.until_offset) {
        (ControlAction::Pause, _) => Some(Hold::Pause(partitions)),
        (ControlAction::Resume, _) => Some(Hold::Nothing),
        (ControlAction::RunTo, Some(offset)) => Some(Hold::Until(partitions, offset)),
        _ => None,
    }
}
