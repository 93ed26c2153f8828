//! The edge as one part of a process.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use flashsale_challenge::Challenges;
use flashsale_core::{Attempt, Micros, RequestId, SaleId, Sku, UserId};
use flashsale_identity::Shoppers;
use flashsale_ledger::{Ledger, SaleView};
use flashsale_lua::HotState;
use flashsale_platform::{Generations, Tracer};
use flashsale_streaming::Delivery;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config,
    admission::Admission,
    batcher::{self, Job},
    challenge::Gate,
    hash::UserHash,
    idempotency::Flights,
    metrics::Metrics,
    settle::{self, Settled},
};

/// How often the admission looks at the log's queue.
const KEEP_EVERY: Duration = Duration::from_millis(20);
/// Keeps of the above between two rounds of forgetting.
const FORGET_EVERY: u64 = 50;
/// How long a stop waits for acknowledgements that are under way.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) hot: HotState,
    pub(crate) ledger: Ledger,
    pub(crate) catalogue: SaleView,
    pub(crate) ingest_id: String,
    pub(crate) admission: Admission,
    pub(crate) gate: Gate,
    pub(crate) shoppers: Shoppers,
    pub(crate) flights: Flights,
    pub(crate) losers: Losers,
    pub(crate) metrics: Metrics,
    pub(crate) tracer: Tracer,
    pub(crate) settled: mpsc::Sender<Settled>,
    pub(crate) tasks: TaskTracker,
    /// Takes the records that nobody waits for.
    pub(crate) unwatched: Arc<Delivery>,
    numbers: AtomicU64,
    /// Redis' clock less this host's, in microseconds.
    clock_offset: AtomicI64,
    batchers: RwLock<HashMap<Sku, mpsc::Sender<Job>>>,
}

impl Shared {
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes what Redis' clock said just now.
    pub(crate) fn note_redis_time(&self, redis: Micros) {
        self.clock_offset.store(redis - crate::purchase::now(), Ordering::Relaxed);
    }

    /// This host's time `here` by Redis' clock, as far as the last decision tells.
    pub(crate) fn redis_time(&self, here: Micros) -> Micros {
        Micros(here.0.saturating_add(self.clock_offset.load(Ordering::Relaxed)))
    }

    /// Between a half and one.
    pub(crate) fn jitter(&self) -> f64 {
        0.5 + (uuid::Uuid::now_v7().as_u128() & 0xff) as f64 / 512.0
    }
}

/// Shoppers without a unit in a sale that has ended.
#[derive(Debug)]
pub(crate) struct Losers {
    hash: UserHash,
    seen: Mutex<Generations<u64, ()>>,
}

impl Losers {
    fn new(config: &Config) -> Self {
        let forever = Duration::from_secs(u32::MAX.into());
        Self { hash: UserHash::default(), seen: Mutex::new(Generations::new(config.known_losers_max, forever)) }
    }

    pub(crate) fn contains(&self, sale: &SaleId, user: &UserId) -> bool {
        let key = self.hash.of(&(sale, user));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&key).is_some()
    }

    pub(crate) fn insert(&self, sale: &SaleId, user: &UserId) {
        let key = self.hash.of(&(sale, user));
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(key, ());
    }
}

/// The write edge. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Service {
    shared: Arc<Shared>,
    settled: Arc<Mutex<Option<mpsc::Receiver<Settled>>>>,
}

impl Service {
    /// The edge from its parts. `catalogue` is a table of sales kept from the events.
    pub fn new(
        config: Config,
        hot: HotState,
        ledger: Ledger,
        catalogue: SaleView,
        tracer: Tracer,
        challenges: Challenges,
        shoppers: Shoppers,
    ) -> Self {
        let (settled_tx, settled) = settle::channel();
        let shared = Shared {
            admission: Admission::new(&config, ledger.producer().clone()),
            gate: Gate::new(challenges),
            shoppers,
            flights: Flights::new(&config),
            losers: Losers::new(&config),
            metrics: Metrics::default(),
            tracer,
            ingest_id: uuid::Uuid::now_v7().simple().to_string(),
            numbers: AtomicU64::new(1),
            clock_offset: AtomicI64::new(0),
            batchers: RwLock::default(),
            tasks: TaskTracker::new(),
            unwatched: Delivery::begin(),
            settled: settled_tx,
            config,
            hot,
            ledger,
            catalogue,
        };
        Self { shared: Arc::new(shared), settled: Arc::new(Mutex::new(Some(settled))) }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The queue of one sale's attempts; none while stopping.
    pub(crate) fn batcher(&self, sku: &Sku) -> Option<mpsc::Sender<Job>> {
        let batchers = &self.shared.batchers;
        if let Some(batcher) = batchers.read().unwrap_or_else(PoisonError::into_inner).get(sku) {
            return Some(batcher.clone());
        }
        if self.shared.tasks.is_closed() {
            return None;
        }
        let mut batchers = batchers.write().unwrap_or_else(PoisonError::into_inner);
        Some(batchers.entry(sku.clone()).or_insert_with(|| batcher::start(self.shared.clone(), sku.clone())).clone())
    }

    /// Runs the decision path for a sale that does not exist: the script must answer, and sell nothing.
    pub async fn ready(&self) -> Result<(), String> {
        if !self.shared.catalogue.is_caught_up() {
            return Err("the catalogue of sales is not read yet".into());
        }
        let text = |error: flashsale_core::ids::InvalidId| error.to_string();
        let sku = Sku::new("readiness-probe").map_err(text)?;
        let sale = SaleId::new("000000000000").map_err(text)?;
        let attempt = Attempt {
            user: UserId::new("readiness").map_err(text)?,
            request_id: RequestId::new("readiness").map_err(text)?,
        };
        match self.shared.hot.decide(&sku, &sale, &self.shared.ingest_id, &[attempt]).await {
            Err(flashsale_lua::Error::Missing(_)) => Ok(()),
            Err(error) => Err(format!("{error}: {:?}", std::error::Error::source(&error))),
            // Somebody sells under that name: the attempt, which named another sale, was refused.
            Ok(_) => Ok(()),
        }
    }

    /// Keeps house until `shutdown`, then waits until what was decided is acknowledged and settled.
    /// The HTTP server must have stopped taking requests before.
    pub async fn run(self, shutdown: CancellationToken) {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(settled) = settled else { return };
        let settling = tokio::spawn(settle::run(self.shared.hot.clone(), settled));
        let mut ticks = interval(KEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u64.. {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => self.shared.admission.keep(),
            }
            crate::metrics::fence(self.shared.hot.is_open());
            if self.shared.ledger.producer().is_fatal() || self.shared.ledger.refusals().is_fatal() {
                tracing::error!("the producer gave up for good; stopping, so that a new one can begin");
                break;
            }
            if round.is_multiple_of(FORGET_EVERY) {
                self.forget_batchers();
            }
        }
        self.drain().await;
        settling.abort();
    }

    /// A sale that was removed needs no task; the next of its name gets a new one.
    fn forget_batchers(&self) {
        let mut batchers = self.shared.batchers.write().unwrap_or_else(PoisonError::into_inner);
        batchers.retain(|sku, _| self.shared.catalogue.get(sku).is_some());
    }

    async fn drain(&self) {
        self.shared.tasks.close();
        self.shared.batchers.write().unwrap_or_else(PoisonError::into_inner).clear();
        if tokio::time::timeout(DRAIN_MAX, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.shared.tasks.len(),
                "stopped with deliveries under way; the relay finishes them"
            );
        }
        let ledger = self.shared.ledger.clone();
        let flushed = tokio::task::spawn_blocking(move || {
            let began = std::time::Instant::now();
            let sold = ledger.producer().flush(DRAIN_MAX);
            sold.and(ledger.refusals().flush(DRAIN_MAX.saturating_sub(began.elapsed())))
        })
        .await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("records were left in the producer's queue; the relay publishes what was sold");
        }
        // Settling what was acknowledged last spares the relay the repetition.
        let emptied = async {
            while self.shared.settled.capacity() < self.shared.settled.max_capacity() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(2), emptied).await.is_err() {
            tracing::warn!("outbox entries were left to the relay");
        }
    }
}
