//! What operators do, on a real Kafka and a real Postgres. Each test has names of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod letters;
mod messages;
mod orders;
mod reader;
mod redrive;
mod reset;
mod sampler;
mod topics;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use flashsale_core::{Micros, Receipt, RequestId, SaleId, Sku, UserId, invariants::Sold};
use flashsale_ledger::{Ledger, SINK_POSTGRES};
use flashsale_operations::{Actor, Operations, Trial};
use flashsale_schemas::{
    Encoder, Registry, Topic,
    events::{Outcome as Decision, PurchaseDecision},
};
use flashsale_sql::{Answer, Decided, Store};
use flashsale_streaming::{Delivery, Observer, Outcome, Partition, Position, Record, Rejection};
use flashsale_testkit::{unique, wait_until};

const ACCEPTED: &str = include_str!("../../../../schemas/examples/flashsale.purchase-decisions.v1/1/accepted.json");
const SOLD_OUT: &str = include_str!("../../../../schemas/examples/flashsale.purchase-decisions.v1/1/sold_out.json");
/// What is no record of ours.
const GARBAGE: &[u8] = b"\x07garbage";
/// The name that our clients give themselves.
const CLIENT: &str = "operations-test";
const PATIENCE: Duration = Duration::from_secs(40);

/// What an operator works with.
struct Desk {
    ledger: Ledger,
    store: Store,
    operations: Operations,
    encoder: Encoder<PurchaseDecision>,
}

impl Desk {
    async fn open() -> Self {
        Self::open_on(&flashsale_testkit::database().await).await
    }

    /// With the rows in this database.
    async fn open_on(database: &str) -> Self {
        let store = Store::connect(&flashsale_sql::Config::new(database)).await.unwrap();
        store.migrate().await.unwrap();
        let mut log = flashsale_ledger::Config::new(flashsale_testkit::kafka().await, CLIENT);
        log.topic_prefix = format!("{}.", unique("operations"));
        let ledger = Ledger::open(log).await.unwrap();
        ledger.create_topics(1).await.unwrap();
        let operations = Operations::open(ledger.clone(), Some(store.clone())).await.unwrap();
        let (encoder, _) = Registry::builtin().codec(Topic::PurchaseDecisions.name()).await.unwrap();
        Self { ledger, store, operations, encoder }
    }

    /// The group of the Postgres sink.
    fn sink(&self) -> String {
        self.ledger.group(SINK_POSTGRES)
    }

    /// The topic of decisions.
    fn topic(&self) -> &str {
        self.ledger.topic(Topic::PurchaseDecisions)
    }

    fn partition(&self, number: i32) -> Partition {
        Partition { topic: self.topic().into(), number }
    }

    fn encode(&self, decision: &PurchaseDecision) -> Vec<u8> {
        self.encoder.encode(decision).unwrap()
    }

    /// A record of the topic of decisions, as it may stand in partition 0.
    fn record(&self, key: &str, payload: &[u8], timestamp_ms: i64) -> Record {
        Record {
            position: Position { partition: self.partition(0), offset: 0 },
            key: Some(key.to_owned().into()),
            payload: Some(payload.to_vec().into()),
            headers: Vec::new(),
            timestamp_ms,
        }
    }

    /// Writes records to a partition of the decisions, in order.
    async fn write(&self, number: i32, records: impl IntoIterator<Item = Record>) {
        let delivery = Delivery::begin();
        for record in records {
            self.ledger.producer().send_copy(&delivery, self.topic(), Some(number), &record);
        }
        delivery.seal();
        delivery.wait().await.unwrap();
    }

    /// Writes so many refusals to partition 0, as if at this time.
    async fn crowd(&self, count: usize, timestamp_ms: i64) {
        let payload = self.encode(&refused("crowd"));
        self.write(0, (0..count).map(|_| self.record("crowd", &payload, timestamp_ms))).await;
    }

    /// Where `group` goes on in partition 0, as the brokers know it.
    fn committed(&self, group: &str) -> Option<i64> {
        tokio::task::block_in_place(|| {
            let mut observer = Observer::new(self.ledger.streaming()).unwrap();
            let asked = BTreeSet::from([self.partition(0)]);
            observer.committed(group, &asked).unwrap().remove(&self.partition(0))
        })
    }

    /// Tells the brokers where `group`, which has no members, goes on in partition 0.
    async fn commit(&self, group: &str, next: i64) {
        wait_until(PATIENCE, "the brokers to take an offset", async || {
            tokio::task::block_in_place(|| {
                let mut observer = Observer::new(self.ledger.streaming())?;
                observer.commit(group, &[(self.partition(0), next)].into())
            })
        })
        .await;
    }

    /// What a sink makes of a record, in little.
    async fn trial(&self) -> Trial {
        let decoder = self.ledger.decoder::<PurchaseDecision>().await.unwrap();
        Arc::new(move |record: &Record| match decoder.decode(record.payload.as_deref().unwrap_or_default()) {
            Ok(decision) => Outcome::Emit(decided(&decision)),
            Err(error) => Outcome::Reject(Rejection::new(error.class(), error)),
        })
    }
}

fn sale() -> SaleId {
    SaleId::generate(Micros::from_millis(1_795_000_000_000), 7)
}

fn sold(sequence: i64, user: &str) -> PurchaseDecision {
    let example: PurchaseDecision = serde_json::from_str(ACCEPTED).unwrap();
    PurchaseDecision {
        sale_id: sale().to_string(),
        user_id: user.into(),
        request_id: format!("request-{user}"),
        sequence: Some(sequence),
        ..example
    }
}

fn refused(user: &str) -> PurchaseDecision {
    let example: PurchaseDecision = serde_json::from_str(SOLD_OUT).unwrap();
    PurchaseDecision { sale_id: sale().to_string(), user_id: user.into(), ..example }
}

/// What Postgres is to hold of a decision: a unit, or a refusal to be counted.
fn decided(decision: &PurchaseDecision) -> Decided {
    let (sale_id, decided_at) = (SaleId::new(&decision.sale_id).unwrap(), decision.decided_at);
    if decision.outcome != Decision::Accepted {
        return Decided::Refused { sale_id, answer: Answer::SoldOut, decided_at };
    }
    let sequence = decision.sequence.unwrap().try_into().unwrap();
    let unit = Sold {
        user: UserId::new(&decision.user_id).unwrap(),
        request_id: RequestId::new(&decision.request_id).unwrap(),
        receipt: Receipt { sale_id, sequence, decided_at },
    };
    Decided::Sold { sku: Sku::new(&decision.sku).unwrap(), unit }
}

fn kim() -> Actor {
    "kim".parse().unwrap()
}

fn set(numbers: &[i32]) -> BTreeSet<i32> {
    numbers.iter().copied().collect()
}

/// Milliseconds since 1970, so many seconds ago.
fn ago(seconds: i64) -> i64 {
    Micros::from_utc(SystemTime::now().into()).as_millis() - seconds * 1_000
}
