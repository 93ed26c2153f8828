//! Writing: an event becomes a record.

use std::sync::Arc;

use flashsale_core::{Micros, SaleId, SaleStatus, Sku, decision::Change};
use flashsale_schemas::{
    EncodeError, Encoder, Event, Topic,
    events::{
        ChangeKind, ConsumerControl, ConsumerPositions, OperatorAct, PurchaseDecision, Reconciliation, SaleEvent,
        SaleStatusRecord, event_id,
    },
};
use flashsale_streaming::{Delivery, Header, NotDelivered, Producer};

use crate::Ledger;

const UNWRITABLE: &str = "flashsale_ledger_unwritable_total";
/// Header of a tombstone in `sale-status`: the sale that is gone.
pub(crate) const TOMBSTONE_SALE_ID: &str = "sale_id";

/// Id of a refusal: `number` is the attempt's within one start of one ingest instance.
pub fn refusal_id(ingest_id: &str, number: u64) -> String {
    format!("{ingest_id}-{number}")
}

impl Ledger {
    fn send<T: Event>(&self, delivery: &Arc<Delivery>, encoder: &Encoder<T>, key: &[u8], event: &T) {
        match encoder.encode(event) {
            Ok(record) => self.producer.send(delivery, self.topic(T::TOPIC), key, Some(&record), &[]),
            Err(error) => {
                unwritable(&error);
                delivery.fail();
            }
        }
    }

    /// Queues a decision as part of `delivery`. No consumer needs a header.
    pub fn send_decision<Text: AsRef<str>>(
        &self,
        delivery: &Arc<Delivery>,
        decision: &PurchaseDecision<Text>,
        headers: &[Header],
    ) {
        self.send_decided(&self.producer, delivery, decision, headers);
    }

    /// Queues a refusal as part of `delivery`: by a producer that waits longer for the brokers, since the outbox
    /// holds no refusals.
    pub fn send_refusal<Text: AsRef<str>>(
        &self,
        delivery: &Arc<Delivery>,
        refusal: &PurchaseDecision<Text>,
        headers: &[Header],
    ) {
        self.send_decided(&self.refusals, delivery, refusal, headers);
    }

    fn send_decided<Text: AsRef<str>>(
        &self,
        producer: &Producer,
        delivery: &Arc<Delivery>,
        decision: &PurchaseDecision<Text>,
        headers: &[Header],
    ) {
        let key = [decision.sale_id.as_ref(), ":", decision.user_id.as_ref()].concat();
        let record = self.encoders.decision.encode_decision(decision);
        producer.send(delivery, self.topic(Topic::PurchaseDecisions), key.as_bytes(), Some(&record), headers);
    }

    /// Queues a state change as part of `delivery`; `after` is the sale as the change left it.
    pub fn send_change(&self, delivery: &Arc<Delivery>, change: Change, after: &SaleStatus) {
        let config = &after.config;
        let event = SaleEvent {
            event_id: event_id(&config.sale_id, after.as_of_event),
            sale_id: config.sale_id.to_string(),
            sku: config.sku.to_string(),
            kind: ChangeKind::from(change),
            event_number: signed(after.as_of_event),
            occurred_at: after.as_of,
            reason: after.end_reason.map(|reason| reason.as_str().to_owned()),
            state: after.state.into(),
            paused: after.paused,
            as_of_sequence: signed(after.as_of_sequence),
            product_name: config.product_name.clone(),
            initial_stock: signed(config.initial_stock),
            start_at: Micros::from_millis(config.start.as_millis()),
            end_at: Micros::from_millis(config.end.as_millis()),
            challenge: config.challenge.into(),
        };
        self.send(delivery, &self.encoders.event, config.sku.as_str().as_bytes(), &event);
    }

    /// Publishes state changes and waits for the log to acknowledge them.
    pub async fn publish_changes<'a>(
        &self,
        changes: impl IntoIterator<Item = (Change, &'a SaleStatus)>,
    ) -> Result<(), NotDelivered> {
        let delivery = Delivery::begin();
        for (change, after) in changes {
            self.send_change(&delivery, change, after);
        }
        delivery.seal();
        delivery.wait().await
    }

    /// Queues a snapshot as part of `delivery`.
    pub fn send_status(&self, delivery: &Arc<Delivery>, status: &SaleStatus) {
        let record = SaleStatusRecord::from(status);
        self.send(delivery, &self.encoders.status, status.config.sku.as_str().as_bytes(), &record);
    }

    /// Writes what a comparison of the stores found.
    pub async fn publish_reconciliation(&self, found: &Reconciliation) -> Result<(), NotDelivered> {
        self.publish(&self.encoders.reconciliation, &found.sku, found).await
    }

    /// Writes an order to a consumer, which counts from now on.
    pub async fn publish_order(&self, order: &ConsumerControl) -> Result<(), NotDelivered> {
        self.publish(&self.encoders.control, &order.consumer, order).await
    }

    /// Writes how far a consumer has come.
    pub async fn publish_positions(&self, positions: &ConsumerPositions) -> Result<(), NotDelivered> {
        self.publish(&self.encoders.positions, &positions.consumer, positions).await
    }

    /// Writes what an operator did; all of it, or an error.
    pub async fn publish_acts(&self, acts: &[OperatorAct]) -> Result<(), NotDelivered> {
        let delivery = Delivery::begin();
        for act in acts {
            self.send(&delivery, &self.encoders.act, act.target.as_bytes(), act);
        }
        delivery.seal();
        delivery.wait().await
    }

    async fn publish<T: Event>(&self, encoder: &Encoder<T>, key: &str, event: &T) -> Result<(), NotDelivered> {
        let delivery = Delivery::begin();
        self.send(&delivery, encoder, key.as_bytes(), event);
        delivery.seal();
        delivery.wait().await
    }

    /// Queues the word that a sale, and with it its SKU's status, is gone.
    pub fn send_tombstone(&self, delivery: &Arc<Delivery>, sku: &Sku, sale: &SaleId) {
        let header = (TOMBSTONE_SALE_ID.to_owned(), sale.as_str().as_bytes().to_vec());
        self.producer.send(delivery, self.topic(Topic::SaleStatus), sku.as_str().as_bytes(), None, &[header]);
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Begins what an alert looks at, before anything of it has happened.
pub(crate) fn metrics_begin() {
    metrics::counter!(UNWRITABLE).increment(0);
}

// Our own types always fit our own schemas: a test encodes every field. If not, the loss must be seen.
fn unwritable(error: &EncodeError) {
    metrics::counter!(UNWRITABLE).increment(1);
    tracing::error!(%error, "an event could not be written");
}
