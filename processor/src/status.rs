//! The status pipeline: decisions and sale events → fold → coalesce → `sale-status` → commit.
//!
//! A snapshot says "at least this much was sold, at least this far the state had come". Snapshots join in
//! any order ([`flashsale_core::SaleStatus::absorb`]), so several processors publish without a leader.
//! Because the topic is compacted to its last record a key, a processor publishes again whenever that
//! last record says less than it knows. Offsets are committed after the snapshot that contains their
//! decisions is in the log; everything may be repeated.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use flashsale_core::{Micros, SaleId, SaleState, SaleStatus, Sku};
use flashsale_ledger::{Ledger, Orders, PROCESSOR_STATUS, SaleView};
use flashsale_lua::HotState;
use flashsale_schemas::{
    Decoder, Topic,
    events::{Outcome as Decided, PurchaseDecision},
};
use flashsale_streaming::{
    Batch, ConsumerConfig, Counts, Delivery, KafkaSource, NotDelivered, Outcome, Partition, Pipeline, PipelineConfig,
    Record, Sink, WriteError, Written, jittered,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{Error, metrics};

/// How often open sales are noted for the clock and the relay again, should Redis have lost the list.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// Decisions that one write may fold; writes begin one coalescing interval apart.
const BATCH_MAX: usize = 10_000;
/// Sales of which units may be known before their creation.
const EARLY_MAX: usize = 10_000;
/// Waits before a consumer that ended by itself is started again; they double.
const RESTART_MIN: Duration = Duration::from_millis(200);
const RESTART_MAX: Duration = Duration::from_secs(10);

/// Settings of the status pipeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// At most one snapshot of a sale in this time.
    pub coalesce_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { coalesce_ms: 50 }
    }
}

/// What this processor knows of every sale.
#[derive(Debug, Default)]
struct Fold {
    known: HashMap<Sku, SaleStatus>,
    /// The last record of each key in the topic; none after a tombstone.
    published: HashMap<Sku, Option<SaleStatus>>,
    dirty: HashSet<Sku>,
    /// The last sale of a SKU that was removed: late snapshots of it are ghosts.
    removed: HashMap<Sku, SaleId>,
    /// Units of sales whose creation was not read yet: the other topic may be a moment behind.
    early: HashMap<SaleId, (u64, Micros)>,
}

impl Fold {
    /// A unit was sold; returns whether that is news.
    fn sold(&mut self, sale: &SaleId, sku: &Sku, sequence: u64, at: Micros) -> bool {
        let Some(status) = self.known.get_mut(sku).filter(|status| status.config.sale_id == *sale) else {
            if self.early.len() >= EARLY_MAX {
                // Only sales that were removed long ago stay here.
                self.early.clear();
            }
            let highest = self.early.entry(sale.clone()).or_insert((sequence, at));
            *highest = (*highest).max((sequence, at));
            return false;
        };
        let news = status.sold(sequence, at);
        if news {
            self.dirty.insert(sku.clone());
        }
        news
    }

    fn absorb(&mut self, status: &SaleStatus) {
        let sku = &status.config.sku;
        if self.removed.get(sku).is_some_and(|removed| status.config.sale_id <= *removed) {
            return;
        }
        let news = match self.known.get_mut(sku) {
            Some(known) => known.absorb(status),
            None => self.known.insert(sku.clone(), status.clone()).is_none(),
        };
        if news {
            self.dirty.insert(sku.clone());
            if let Some((sequence, at)) = self.early.remove(&status.config.sale_id) {
                self.sold(&status.config.sale_id, sku, sequence, at);
            }
        }
    }

    /// Takes what the topic holds last of a key; what we know beyond it has to be published again.
    fn seen(&mut self, sku: &Sku, record: Option<&SaleStatus>) {
        self.published.insert(sku.clone(), record.cloned());
        if let Some(record) = record {
            self.absorb(record);
        }
        let right = match (self.known.get(sku), record) {
            (Some(known), Some(record)) => !known.is_news_to(record) && known.config.sale_id == record.config.sale_id,
            (None, None) => true,
            _ => false,
        };
        if right {
            self.dirty.remove(sku);
        } else {
            self.dirty.insert(sku.clone());
        }
    }

    fn remove(&mut self, sku: &Sku, sale: SaleId) {
        if self.known.get(sku).is_some_and(|known| known.config.sale_id <= sale) {
            self.known.remove(sku);
            self.dirty.insert(sku.clone());
        }
        self.removed.insert(sku.clone(), sale);
    }
}

type SharedFold = Arc<Mutex<Fold>>;

/// Publishes what is news; one at a time, so that whoever returns from a flush knows it published.
#[derive(Debug, Clone)]
struct Flusher {
    fold: SharedFold,
    ledger: Ledger,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Flusher {
    async fn flush(&self) -> Result<(), NotDelivered> {
        let _turn = self.turn.lock().await;
        let delivery = Delivery::begin();
        let dirty: Vec<Sku> = {
            let mut fold = lock(&self.fold);
            let dirty: Vec<Sku> = fold.dirty.drain().collect();
            for sku in &dirty {
                match fold.known.get(sku) {
                    Some(status) => self.ledger.send_status(&delivery, status),
                    None if matches!(fold.published.get(sku), Some(None)) => {}
                    None => {
                        if let Some(sale) = fold.removed.get(sku) {
                            self.ledger.send_tombstone(&delivery, sku, sale);
                        }
                    }
                }
            }
            dirty
        };
        delivery.seal();
        if dirty.is_empty() {
            return Ok(());
        }
        let delivered = delivery.wait().await;
        match delivered {
            Ok(()) => metrics::status_published(dirty.len() as u64),
            Err(_) => {
                metrics::failed("status");
                lock(&self.fold).dirty.extend(dirty);
            }
        }
        delivered
    }
}

fn lock(fold: &SharedFold) -> MutexGuard<'_, Fold> {
    fold.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The status pipeline.
#[derive(Debug)]
pub struct Service {
    config: Config,
    hot: HotState,
    ledger: Ledger,
    instance: String,
}

impl Service {
    /// A pipeline; `instance` names this member of the group, empty for any.
    pub fn new(config: Config, hot: HotState, ledger: Ledger, instance: &str) -> Self {
        Self { config, hot, ledger, instance: instance.to_owned() }
    }

    /// Runs until `shutdown`, or until a consumer cannot go on.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let fold = SharedFold::default();
        let _statuses = self
            .ledger
            .sales_by_status("processor-status", {
                let fold = fold.clone();
                move |sku, record| lock(&fold).seen(sku, record)
            })
            .await?;
        let events = self.ledger.sales_by_events("processor-events").await?;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = async { tokio::join!(_statuses.caught_up(), events.caught_up()); } => {}
        }
        // Before anything is published: what was removed must not come back.
        take_events(&fold, &events);
        let flusher = Flusher { fold, ledger: self.ledger.clone(), turn: Arc::default() };
        let publishing = self.publish(&flusher, &events, shutdown.clone());
        let watching = self.watch(&events, shutdown.clone());
        let ((), (), result) = tokio::join!(publishing, watching, self.consume(&flusher, &shutdown));
        result
    }

    /// Consumes until `shutdown`; a consumer that ends by itself is started again.
    async fn consume(&self, flusher: &Flusher, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut wait = RESTART_MIN;
        let mut orders = None;
        loop {
            let began = Instant::now();
            match self.consume_once(flusher, &mut orders, shutdown).await {
                ended if shutdown.is_cancelled() => return ended,
                // Held by an order.
                Ok(()) => continue,
                Err(Error::Streaming(error)) if error.is_final() => return Err(Error::Streaming(error)),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the status consumer starts again in {wait:?}");
                }
            }
            if began.elapsed() >= RESTART_MAX {
                wait = RESTART_MIN;
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(jittered(wait)) => wait = (wait * 2).min(RESTART_MAX),
            }
        }
    }

    async fn consume_once(
        &self,
        flusher: &Flusher,
        orders: &mut Option<Orders>,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let orders = match orders {
            Some(orders) => orders,
            none => none.insert(self.ledger.orders(&self.ledger.group(PROCESSOR_STATUS)).await?),
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = async { orders.known().await; orders.let_go().await } => {}
        }
        let stop = shutdown.child_token();
        let decoder = self.ledger.decoder::<PurchaseDecision>().await?;
        let group = self.ledger.group(PROCESSOR_STATUS);
        let mut consumer = ConsumerConfig::new(group, [self.ledger.topic(Topic::PurchaseDecisions).to_owned()]);
        consumer.instance.clone_from(&self.instance);
        let source = KafkaSource::start(self.ledger.streaming(), &consumer, orders.hold())?;
        let sink = FoldSink { flusher: flusher.clone() };
        let stage = move |record: &Record| decode(&decoder, record);
        let mut config = PipelineConfig::new("status");
        config.linger = Duration::from_millis(self.config.coalesce_ms);
        config.batch_max = BATCH_MAX;
        let pipeline = Pipeline::new(config, source, stage, sink, self.ledger.dead_letters("status"));
        orders.obeyed(&stop, pipeline.run(stop.clone())).await.map_err(Error::Streaming)
    }

    /// Publishes what is news to the topic, at most once a sale in each interval.
    async fn publish(&self, flusher: &Flusher, events: &SaleView, shutdown: CancellationToken) {
        let mut ticks = interval(Duration::from_millis(self.config.coalesce_ms.max(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = events.changes();
        changes.mark_changed();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if changes.has_changed().unwrap_or(false) {
                changes.mark_unchanged();
                take_events(&flusher.fold, events);
            }
            if flusher.flush().await.is_err() {
                tracing::debug!("snapshots not acknowledged; they come again with the next tick");
            }
        }
    }

    /// Has the clock and the relay look after every open sale, also when Redis lost the list.
    async fn watch(&self, events: &SaleView, shutdown: CancellationToken) {
        let mut ticks = interval(WATCH_EVERY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            for status in events.all().iter().filter(|status| status.state != SaleState::Ended) {
                if let Err(error) = self.hot.watch(&status.config.sku).await {
                    tracing::debug!(%error, "open sales not noted");
                }
            }
        }
    }
}

/// Takes over what the events say; a sale that they no longer hold was removed.
fn take_events(fold: &SharedFold, events: &SaleView) {
    let mut fold = lock(fold);
    for status in events.all() {
        fold.absorb(&status);
    }
    // Explicitly removed, not just unknown: the topics are read at different speeds.
    let known: Vec<Sku> = fold.known.keys().cloned().collect();
    for sku in known {
        if let Some(sale) = events.removed(&sku) {
            fold.remove(&sku, sale);
        }
    }
}

/// One sold unit, as far as the status is concerned.
struct Unit {
    sale_id: SaleId,
    sku: Sku,
    sequence: u64,
    at: Micros,
}

fn decode(decoder: &Decoder<PurchaseDecision>, record: &Record) -> Outcome<Unit> {
    let Some(payload) = &record.payload else { return Outcome::Skip };
    let decision = match decoder.decode_borrowed(payload) {
        Ok(decision) => decision,
        // The Postgres sink, which needs every record, buries what is bad: one letter is enough.
        Err(error) if error.is_data_error() => return Outcome::Skip,
        Err(error) => return Outcome::Fail(error.to_string()),
    };
    if decision.outcome != Decided::Accepted {
        return Outcome::Skip;
    }
    let unit = || {
        Some(Unit {
            sale_id: SaleId::new(&decision.sale_id).ok()?,
            sku: Sku::new(&decision.sku).ok()?,
            sequence: u64::try_from(decision.sequence?).ok()?,
            at: decision.decided_at,
        })
    };
    unit().map_or(Outcome::Skip, Outcome::Emit)
}

struct FoldSink {
    flusher: Flusher,
}

#[async_trait::async_trait]
impl Sink for FoldSink {
    type Item = Unit;

    async fn resume(&mut self, _: &[Partition]) -> Result<HashMap<Partition, i64>, String> {
        Ok(HashMap::new())
    }

    async fn write(&mut self, batch: &Batch<Unit>) -> Result<Written, WriteError> {
        let mut written = Written::new();
        for entry in &batch.entries {
            let Unit { sale_id, sku, sequence, at } = &entry.item;
            let counts: &mut Counts = written.entry(entry.record.position.partition.clone()).or_default();
            if lock(&self.flusher.fold).sold(sale_id, sku, *sequence, *at) {
                counts.applied += 1;
            } else {
                counts.duplicate += 1;
            }
        }
        self.flusher.flush().await.map_err(|error| WriteError::Fail(error.to_string()))?;
        Ok(written)
    }
}
