//! Watches consumers all the time: for those who ask, for the metrics, and for the log.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use flashsale_core::Micros;
use flashsale_schemas::events::{ConsumerPositions, PartitionPosition};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{Consumer, Sampler};
use crate::{Operations, metrics};

/// Looks that may fail before that is worth a warning: brokers that just started know no groups yet.
const FAILURES_QUIET: u32 = 3;

/// How consumers are watched.
#[derive(Debug, Clone)]
pub struct Config {
    /// Between two looks.
    pub every: Duration,
    /// By how much of the past consumers are judged.
    pub window: Duration,
    /// How long a lag is watched before it is held against a consumer.
    pub settled: Duration,
    /// Between two notes of the positions in the log.
    pub note_every: Duration,
}

impl Default for Config {
    /// A look every 2 s, judged by 30 s, after 6 s; noted every 10 s.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            window: Duration::from_secs(30),
            settled: Duration::from_secs(6),
            note_every: Duration::from_secs(10),
        }
    }
}

/// What the last look showed.
#[derive(Debug, Clone, Default)]
pub struct Consumers {
    /// When, by the clock of this machine; none before the first.
    pub at: Option<Micros>,
    /// The consumers, ours first.
    pub consumers: Vec<Consumer>,
    /// Why there was no newer look.
    pub problem: Option<String>,
}

/// Looks at consumers until it is stopped.
#[derive(Debug)]
pub struct Watcher {
    config: Config,
    sampler: Sampler,
    operations: Operations,
    seen: watch::Sender<Arc<Consumers>>,
}

impl Watcher {
    /// A watcher, and what it sees.
    pub fn new(config: Config, sampler: Sampler, operations: Operations) -> (Self, watch::Receiver<Arc<Consumers>>) {
        let (seen, receiver) = watch::channel(Arc::default());
        (Self { config, sampler, operations, seen }, receiver)
    }

    /// Looks until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = interval(self.config.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted = Noted { at: None, positions: Vec::new() };
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let looked = tokio::select! {
                () = shutdown.cancelled() => return,
                looked = self.sampler.look(None) => looked,
            };
            match looked {
                Ok(consumers) => {
                    let at = Micros::from_utc(SystemTime::now().into());
                    consumers.iter().filter(|consumer| consumer.ours).for_each(metrics::consumer);
                    let seen = Arc::new(Consumers { at: Some(at), consumers, problem: None });
                    self.seen.send_replace(seen.clone());
                    self.note(&seen.consumers, at, &mut noted).await;
                    failures = 0;
                }
                Err(error) => {
                    let problem = Some(crate::chain(&error));
                    failures += 1;
                    if failures >= FAILURES_QUIET {
                        tracing::warn!(problem, failures, "consumers cannot be seen");
                    }
                    self.seen.send_modify(|seen| {
                        seen.consumers.iter().filter(|consumer| consumer.ours).for_each(metrics::unknown);
                        Arc::make_mut(seen).problem = problem;
                    });
                }
            }
        }
    }

    /// Writes to the log how far our consumers are, when they moved and not too often.
    async fn note(&self, consumers: &[Consumer], at: Micros, noted: &mut Noted) {
        if noted.at.is_some_and(|noted: Instant| noted.elapsed() < self.config.note_every) {
            return;
        }
        // For the metric; the next count makes up for one that fails.
        if let Err(error) = self.operations.letters_open().await {
            tracing::debug!(%error, "open letters not counted");
        }
        let positions: Vec<ConsumerPositions> =
            consumers.iter().filter(|consumer| consumer.ours).map(|consumer| positions(consumer, at)).collect();
        let moved = |one: &&ConsumerPositions| {
            noted.positions.iter().all(|old| old.consumer != one.consumer || old.partitions != one.partitions)
        };
        for one in positions.iter().filter(moved) {
            if let Err(error) = self.operations.ledger().publish_positions(one).await {
                // The next note makes up for it.
                tracing::debug!(%error, "positions not noted");
                return;
            }
        }
        *noted = Noted { at: Some(Instant::now()), positions };
    }
}

/// What the log was told last.
struct Noted {
    at: Option<Instant>,
    positions: Vec<ConsumerPositions>,
}

fn positions(consumer: &Consumer, at: Micros) -> ConsumerPositions {
    let known = consumer.partitions.iter().filter_map(|one| {
        Some(PartitionPosition {
            topic: one.topic.clone(),
            partition: one.partition,
            position: one.position?,
            end: one.end?,
        })
    });
    ConsumerPositions { consumer: consumer.name.clone(), at, partitions: known.collect() }
}
