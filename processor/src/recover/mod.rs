//! Recovery: Redis is brought to where the log is, then named as verified.
//!
//! fence not verified → claim → close → read the log, wait out what is under way → publish what only Redis has
//! → restore what only the log has → read again until nothing is new → verify → open.
//!
//! A Redis that restarted may have lost its last second, one that was emptied has lost all, a replica that took
//! over is behind. It is all the same: what the log has wins, what only Redis has the log learns. Every step may
//! be repeated. Point of no return: none but the opening, which is one step in Redis.

mod plan;
mod repair;

use std::{sync::Arc, time::Duration};

use flashsale_audit::{Log, Selection};
use flashsale_core::{SaleState, Sku, history::History};
use flashsale_ledger::Ledger;
use flashsale_lua::{Claim, HotState};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

pub use plan::{Plan, plan};
pub use repair::{SaleRepair, examine};

use crate::metrics;

/// How often the claim is renewed; much shorter than it lasts.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Passes over the log until nothing is new. More means that somebody decides although the fence is closed.
const PASSES_MAX: u32 = 20;
/// Waits after a recovery that failed; they double.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Settings of the recovery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Between two looks at the fence.
    pub poll_ms: u64,
    /// How long to wait for records that are under way to the log; 0 where nobody else writes to it, -1 for as
    /// long as a record may take.
    pub in_flight_ms: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { poll_ms: 200, in_flight_ms: -1 }
    }
}

/// Why a recovery did not come to its end; the fence stays closed, and the next try begins anew.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store could not be read.
    #[error("recovery")]
    Audit(#[from] flashsale_audit::Error),
    /// Redis could not be changed.
    #[error("recovery")]
    Redis(#[from] flashsale_lua::Error),
    /// The log did not take what only Redis had.
    #[error("recovery: publish what only redis has")]
    NotDelivered(#[from] flashsale_streaming::NotDelivered),
    /// The log goes on growing although nothing may be decided.
    #[error("recovery: units still arrive in the log after {PASSES_MAX} passes")]
    Restless,
    /// After the repair Redis still does not say what the log says.
    #[error("recovery: {0} is still not as the log says")]
    Unverified(Sku),
    /// This process stood still; what it knew may be outdated.
    #[error("recovery: it took too long to go on with what was read")]
    StoodStill,
    /// The first sale of all was set up meanwhile.
    #[error("recovery: a first sale appeared; beginning anew")]
    Appeared,
    /// There is no such sale.
    #[error("the log knows no sale of {0}")]
    Unknown(Sku),
    /// Somebody else recovers.
    #[error("somebody else recovers redis at this moment")]
    Claimed,
    /// It was asked to stop.
    #[error("recovery was stopped")]
    Stopped,
}

/// What a recovery did.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Every sale that the log or Redis knows and where something was, or would be, done.
    pub repairs: Vec<SaleRepair>,
    /// Sales that were looked at.
    pub sales: u64,
    /// Records read from the log.
    pub records: u64,
    /// How long it took.
    pub took: Duration,
    /// How much of that was waiting for records under way.
    pub waited: Duration,
}

/// Told of each step of a recovery.
pub type Telling = Arc<dyn Fn(Step) + Send + Sync>;

/// One step of a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading the log.
    Reading(flashsale_streaming::ScanProgress),
    /// Waiting for records under way, this much longer.
    Waiting(Duration),
    /// Sales compared and repaired, of how many.
    Repairing {
        /// Done.
        done: u64,
        /// Of these.
        total: u64,
    },
}

/// The recovery of one Redis from one log.
#[derive(Clone)]
pub struct Recovery {
    pub(crate) hot: HotState,
    pub(crate) ledger: Ledger,
    in_flight: Duration,
    telling: Telling,
}

impl std::fmt::Debug for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovery").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl Recovery {
    /// A recovery that tells nobody.
    pub fn new(config: &Config, hot: &HotState, ledger: Ledger) -> Self {
        let in_flight =
            u64::try_from(config.in_flight_ms).map_or_else(|_| ledger.in_flight_max(), Duration::from_millis);
        // A connection of its own: closing cuts every other one, also those of this process.
        Self { hot: hot.apart(), ledger, in_flight, telling: Arc::new(|_| ()) }
    }

    /// The same, telling of its steps.
    #[must_use]
    pub fn telling(self, telling: Telling) -> Self {
        Self { telling, ..self }
    }

    /// Closes the fence, recovers and opens it.
    ///
    /// # Errors
    /// When it did not come to its end; the fence is closed then.
    pub async fn run(&self, sku: Option<&Sku>, stop: &CancellationToken) -> Result<Summary, Error> {
        let claim = self.claim().await?;
        self.run_with(claim, sku, stop).await
    }

    /// The same, unless somebody has opened the fence meanwhile.
    async fn run_if_closed(&self, stop: &CancellationToken) -> Result<Option<Summary>, Error> {
        let claim = self.claim().await?;
        if self.hot.fence().await?.verified {
            claim.abandon().await?;
            return Ok(None);
        }
        self.run_with(claim, None, stop).await.map(Some)
    }

    async fn claim(&self) -> Result<Claim, Error> {
        let token = uuid::Uuid::now_v7().to_string();
        self.hot.claim(&token).await?.ok_or(Error::Claimed)
    }

    async fn run_with(&self, claim: Claim, sku: Option<&Sku>, stop: &CancellationToken) -> Result<Summary, Error> {
        // Opening vouches for the whole server, so one that was not verified is compared whole.
        let sku = if self.hot.fence().await?.verified { sku } else { None };
        let work = self.hold(&claim, sku, stop);
        let kept = async {
            loop {
                sleep(RENEW_EVERY).await;
                if let Err(error) = claim.renew().await {
                    return error;
                }
            }
        };
        let done = tokio::select! {
            done = work => done,
            error = kept => Err(error.into()),
            () = stop.cancelled() => Err(Error::Stopped),
        };
        match done {
            Ok(summary) => {
                claim.open().await?;
                Ok(summary)
            }
            Err(error) => {
                if let Err(error) = claim.abandon().await {
                    tracing::debug!(%error, "the claim is left to expire");
                }
                Err(error)
            }
        }
    }

    async fn hold(&self, claim: &Claim, sku: Option<&Sku>, stop: &CancellationToken) -> Result<Summary, Error> {
        let began = Instant::now();
        let mut log = Log::new(Selection::units_of(sku));
        log.read_events(&self.ledger, stop).await?;
        let mut summary = Summary::default();
        if let Some(sku) = sku.filter(|sku| log.history(sku, |_| ()).is_none() && log.removed(sku).is_none()) {
            return Err(Error::Unknown(sku.clone()));
        }
        // Where no sale was ever set up nobody can have decided anything, and nobody's connection needs cutting.
        let is_new = log.is_empty();
        if !is_new {
            claim.close().await?;
        }
        let closed = Instant::now();
        self.read(&mut log, stop).await?;
        let over = closed + self.wait_for(&log).await?;
        while Instant::now() < over {
            (self.telling)(Step::Waiting(over - Instant::now()));
            sleep_until(over.min(Instant::now() + Duration::from_millis(250))).await;
        }
        summary.waited = over - closed;
        for pass in 0.. {
            let news = self.read(&mut log, stop).await?;
            if pass > 0 && news == 0 {
                break;
            }
            if pass == PASSES_MAX {
                return Err(Error::Restless);
            }
            if is_new && !log.is_empty() {
                // A first sale, on a server that was not closed: begin anew and close it.
                return Err(Error::Appeared);
            }
            let repairs = self.repair_all(claim, &log, sku).await?;
            summary.merge(repairs);
        }
        self.verify(&log, sku).await?;
        summary.sales = log.sales().len() as u64;
        summary.records = log.amount().records;
        summary.took = began.elapsed();
        Ok(summary)
    }

    async fn read(&self, log: &mut Log, stop: &CancellationToken) -> Result<u64, Error> {
        let telling = self.telling.clone();
        Ok(log.read(&self.ledger, stop, Box::new(move |progress| telling(Step::Reading(progress)))).await?)
    }

    /// How long records may still be under way. None are of sales that ended long enough ago and of which the log
    /// lacks nothing; what it lacks the relay may be about to publish.
    async fn wait_for(&self, log: &Log) -> Result<Duration, Error> {
        let now = self.hot.now().await?;
        let wait = |history: &History| match history.status() {
            Some(status) if status.state == SaleState::Ended && history.missing().is_empty() => {
                self.in_flight.saturating_sub(now.since(status.as_of))
            }
            _ => self.in_flight,
        };
        let waits = log.sales().into_iter().filter_map(|(sku, _)| log.history(&sku, wait));
        Ok(waits.max().unwrap_or_default())
    }

    /// What a recovery would do now, without doing it: nothing is closed, so what is decided meanwhile shows up
    /// as well.
    ///
    /// # Errors
    /// When a store cannot be read.
    pub async fn preview(&self, sku: Option<&Sku>, stop: &CancellationToken) -> Result<Summary, Error> {
        let began = Instant::now();
        let mut log = Log::new(Selection::units_of(sku));
        self.read(&mut log, stop).await?;
        let mut summary = Summary { sales: log.sales().len() as u64, ..Summary::default() };
        summary.merge(self.look(&log, sku).await?);
        summary.records = log.amount().records;
        summary.took = began.elapsed();
        Ok(summary)
    }
}

/// Keeps the fence: recovers whenever the server that answers was not verified.
#[derive(Debug)]
pub struct Service {
    config: Config,
    recovery: Recovery,
}

impl Service {
    /// A keeper of the fence.
    pub fn new(config: Config, hot: HotState, ledger: Ledger) -> Self {
        let recovery = Recovery::new(&config, &hot, ledger);
        Self { config, recovery }
    }

    /// Looks and recovers until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ticks = interval(Duration::from_millis(self.config.poll_ms.max(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let fence = match self.recovery.hot.fence().await {
                Ok(fence) => fence,
                Err(error) => {
                    metrics::fence(false);
                    tracing::debug!(%error, "the fence cannot be seen");
                    continue;
                }
            };
            metrics::fence(fence.verified);
            if fence.verified {
                failures = 0;
                continue;
            }
            match self.recover(&shutdown).await {
                Ok(()) | Err(Error::Claimed | Error::Stopped) => failures = 0,
                Err(error) => {
                    failures += 1;
                    metrics::recovered("failed", None);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        failures,
                        "Redis could not be recovered; nothing is sold until it is"
                    );
                    let pause = RETRY_MIN.saturating_mul(1 << failures.min(8)).min(RETRY_MAX);
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = sleep(flashsale_streaming::jittered(pause)) => {}
                    }
                }
            }
        }
    }

    async fn recover(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let Some(summary) = self.recovery.run_if_closed(shutdown).await? else { return Ok(()) };
        metrics::recovered("done", Some(summary.took));
        metrics::fence(true);
        for repair in &summary.repairs {
            tracing::warn!(sku = %repair.sku, repair = %repair, "Redis was repaired from the log");
        }
        tracing::info!(
            sales = summary.sales,
            records = summary.records,
            took = ?summary.took,
            waited = ?summary.waited,
            "Redis is verified against the log"
        );
        Ok(())
    }
}
