//! A consumer that stands in for a sink: a real member of a group, which goes as far as the test lets it.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use flashsale_ledger::Orders;
use flashsale_sql::Decided;
use flashsale_streaming::{
    Batch, ConsumerConfig, Error, KafkaSource, Partition, Pipeline, PipelineConfig, Record, Sink, WriteError, Written,
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::Desk;

/// The name under which it buries what it cannot use.
pub(crate) const NAME: &str = "reader";

/// A member of a group.
pub(crate) struct Reader {
    gate: Arc<Semaphore>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
    _orders: Orders,
}

/// Forgets what it is given, one record a permit. Where it goes on the brokers say.
struct Gate(Arc<Semaphore>);

#[async_trait]
impl Sink for Gate {
    type Item = Decided;

    async fn resume(&mut self, _: &[Partition]) -> Result<HashMap<Partition, i64>, String> {
        Ok(HashMap::new())
    }

    async fn write(&mut self, batch: &Batch<Decided>) -> Result<Written, WriteError> {
        let records = u32::try_from(batch.entries.len()).map_err(|error| WriteError::Fail(error.to_string()))?;
        let permits = self.0.acquire_many(records).await.map_err(|error| WriteError::Fail(error.to_string()))?;
        permits.forget();
        Ok(Written::new())
    }
}

impl Reader {
    /// Joins `group` and obeys its orders. Nothing is done until it is let.
    pub(crate) async fn join(desk: &Desk, group: &str) -> Self {
        let orders = desk.ledger.orders(group).await.unwrap();
        orders.known().await;
        let consumer = ConsumerConfig::new(group, [desk.topic().to_owned()]);
        let source = KafkaSource::start(desk.ledger.streaming(), &consumer, orders.hold()).unwrap();
        let (trial, gate) = (desk.trial().await, Arc::new(Semaphore::new(0)));
        let config = PipelineConfig { batch_max: 1, ..PipelineConfig::new(NAME) };
        let (stage, sink) = (move |record: &Record| trial(record), Gate(gate.clone()));
        let pipeline = Pipeline::new(config, source, stage, sink, desk.ledger.dead_letters(NAME));
        let stop = CancellationToken::new();
        let running = tokio::spawn(pipeline.run(stop.clone()));
        Self { gate, stop, running, _orders: orders }
    }

    /// Lets it do so many records more.
    pub(crate) fn let_through(&self, records: usize) {
        self.gate.add_permits(records);
    }

    /// Leaves the group in order.
    pub(crate) async fn leave(self) {
        self.stop.cancel();
        // What it waits with is done first.
        self.gate.add_permits(100_000);
        self.running.await.unwrap().unwrap();
    }
}
