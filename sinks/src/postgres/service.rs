//! The running sink.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flashsale_ledger::{Ledger, Orders};
use flashsale_platform::Tracer;
use flashsale_schemas::{Topic, events::PurchaseDecision};
use flashsale_sql::Store;
use flashsale_streaming::{ConsumerConfig, KafkaSource, Pipeline, PipelineConfig, jittered};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    postgres::{Config, PostgresSink, stage},
};

/// Its name in metrics, logs and dead letters.
const NAME: &str = "sink-postgres";
/// First wait before a pipeline that ended by itself is started again; it doubles up to the longest. One that ran
/// for the longest wait begins anew.
const RESTART_MIN: Duration = Duration::from_millis(200);
const RESTART_MAX: Duration = Duration::from_secs(10);

/// What ends the sink before its time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log could not be opened.
    #[error("the log")]
    Ledger(#[from] flashsale_ledger::Error),
    /// The consumer stopped, or could not be started.
    #[error("a consumer")]
    Streaming(#[from] flashsale_streaming::Error),
    /// Postgres could not be read or written.
    #[error("the view")]
    Postgres(#[from] flashsale_sql::Error),
}

impl Error {
    /// Whether starting again would end the same way.
    fn is_final(&self) -> bool {
        matches!(self, Self::Streaming(error) if error.is_final())
    }
}

/// The consumer of decisions that fills Postgres. Any number may run.
#[derive(Debug)]
pub struct Service {
    config: Config,
    store: Store,
    ledger: Ledger,
    tracer: Tracer,
    joined: Arc<AtomicBool>,
}

impl Service {
    /// A sink from its parts.
    pub fn new(config: Config, store: Store, ledger: Ledger, tracer: Tracer) -> Self {
        metrics::begin_postgres();
        Self { config, store, ledger, tracer, joined: Arc::default() }
    }

    /// A question for health checks: whether the group has given this member its partitions (none is also
    /// an answer) and Postgres has said where to go on.
    pub fn has_joined(&self) -> impl Fn() -> bool + Clone + Send + Sync + 'static {
        let joined = self.joined.clone();
        move || joined.load(Ordering::Acquire)
    }

    /// Runs until `shutdown`; outages are waited out.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut orders = None;
        let mut wait = RESTART_MIN;
        loop {
            let began = Instant::now();
            let error = match self.consume(&mut orders, &shutdown).await {
                Ok(()) if shutdown.is_cancelled() => return Ok(()),
                // Held by an order.
                Ok(()) => continue,
                Err(error) if error.is_final() => return Err(error),
                Err(error) => error,
            };
            if began.elapsed() >= RESTART_MAX {
                wait = RESTART_MIN;
            }
            tracing::warn!(consumer = NAME, error = &error as &dyn std::error::Error, "starts again in {wait:?}");
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = sleep(jittered(wait)) => wait = (wait * 2).min(RESTART_MAX),
            }
        }
    }

    /// Waits until it may read. Who is held is ready: it does what it was told.
    async fn let_go(&self, orders: &Orders) {
        orders.known().await;
        if orders.hold().borrow().is_whole() {
            self.joined.store(true, Ordering::Release);
        }
        orders.let_go().await;
    }

    async fn consume(&self, orders: &mut Option<Orders>, shutdown: &CancellationToken) -> Result<(), Error> {
        let orders = match orders {
            Some(orders) => orders,
            none => none.insert(self.ledger.orders(&self.config.group).await?),
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = self.let_go(orders) => {}
        }
        let stop = shutdown.child_token();
        let Config { group, instance, batch_max, linger, answer_timeout } = &self.config;
        let decoder = self.ledger.decoder::<PurchaseDecision>().await?;
        let mut consumer = ConsumerConfig::new(group, [self.ledger.topic(Topic::PurchaseDecisions).to_owned()]);
        consumer.instance.clone_from(instance);
        let source = KafkaSource::start(self.ledger.streaming(), &consumer, orders.hold())?;
        let sink = PostgresSink::new(self.store.clone(), group, *answer_timeout)
            .telling(self.joined.clone())
            .traced(self.tracer.clone());
        let config = PipelineConfig { batch_max: *batch_max, linger: *linger, ..PipelineConfig::new(NAME) };
        let dead_letters = self.ledger.dead_letters(NAME);
        let pipeline = Pipeline::new(config, source, stage(decoder), sink, dead_letters);
        orders.obeyed(&stop, pipeline.run(stop.clone())).await?;
        Ok(())
    }
}
