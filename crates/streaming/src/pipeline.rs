//! The consumer loop: source → stage → batch → write → commit.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    Batch, Control, DeadLetters, Entry, Error, Outcome, Partition, Record, Rejection, Sink, Source, SourceEvent,
    WriteError, breaker::Breaker, metrics,
};

/// How a pipeline batches.
#[derive(Debug, Clone)]
pub struct PipelineConfig {
    /// Its name in metrics, logs and dead letters.
    pub name: String,
    /// Most records of a batch.
    pub batch_max: usize,
    /// Writes begin this far apart, and a batch gathers meanwhile: the first record after a pause is written at once.
    pub linger: Duration,
    /// First wait after a failure; it doubles with jitter up to `backoff_max`.
    pub backoff_min: Duration,
    /// Longest wait after a failure.
    pub backoff_max: Duration,
}

impl PipelineConfig {
    /// Defaults: 1,000 records, 20 ms; waits of 50 ms to 2 s.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            batch_max: 1_000,
            linger: Duration::from_millis(20),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
        }
    }
}

/// Why a wait for better times ended early.
enum Interrupted {
    Shutdown,
    Stopped(Error),
}

/// A consumer: reads with `S`, makes items with `stage`, writes them with `K`.
pub struct Pipeline<S, F, K: Sink> {
    config: PipelineConfig,
    source: S,
    stage: F,
    sink: K,
    dead_letters: DeadLetters,
    batch: Batch<K::Item>,
    batch_records: u64,
    /// When a batch may be written that is not full.
    write_at: Instant,
    /// Owned partitions, and the next offset to take of each; -1 while unknown.
    owned: HashMap<Partition, i64>,
    /// Next offset to read after the last write.
    done: HashMap<Partition, i64>,
    /// Partitions that were taken away since the records in hand arrived. Even when they come back at
    /// once, what is in hand is from before: it is read again from where they begin now.
    lost: HashSet<Partition>,
    breaker: Breaker,
}

impl<S, F, K: Sink> std::fmt::Debug for Pipeline<S, F, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<S, F, K> Pipeline<S, F, K>
where
    S: Source,
    K: Sink,
    F: Fn(&Record) -> Outcome<K::Item> + Send,
{
    /// A pipeline from its parts.
    pub fn new(config: PipelineConfig, source: S, stage: F, sink: K, dead_letters: DeadLetters) -> Self {
        metrics::paused(&config.name, false);
        let breaker = Breaker::new(&config.name, config.backoff_min, config.backoff_max);
        Self {
            config,
            breaker,
            source,
            stage,
            sink,
            dead_letters,
            batch: Batch::default(),
            batch_records: 0,
            write_at: Instant::now(),
            owned: HashMap::new(),
            done: HashMap::new(),
            lost: HashSet::new(),
        }
    }

    /// Runs until `shutdown`, then writes what it has, commits and leaves the group.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        let ended = self.consume(&shutdown).await;
        if ended.is_ok() {
            // One try: what is not written now is read again after the restart.
            self.write_once_for_stop().await;
        }
        self.source.close().await;
        ended
    }

    async fn consume(&mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        loop {
            self.lost.clear();
            let step = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                // What is there already goes into the batch, which ends when it is full.
                event = self.source.next() => self.take(event, shutdown).await,
                () = sleep_until(self.write_at), if self.batch_records > 0 => self.write(shutdown).await,
            };
            match step {
                Ok(()) => {}
                Err(Interrupted::Shutdown) => return Ok(()),
                Err(Interrupted::Stopped(error)) => return Err(error),
            }
        }
    }

    async fn take(&mut self, event: SourceEvent, shutdown: &CancellationToken) -> Result<(), Interrupted> {
        match event {
            SourceEvent::Records(records) => {
                for record in records {
                    self.accept(record, shutdown).await?;
                    if self.batch_records >= self.config.batch_max as u64 {
                        self.write(shutdown).await?;
                    }
                }
                Ok(())
            }
            SourceEvent::Control(Control::Revoked(partitions, reply)) => {
                // One try: waiting longer could outlast the revocation, and then release partitions that
                // had come back meanwhile.
                if self.try_write().await {
                    self.release(&partitions, reply);
                    return Ok(());
                }
                self.control(Control::Revoked(partitions, reply), shutdown).await
            }
            SourceEvent::Control(control) => self.control(control, shutdown).await,
            SourceEvent::Stopped(error) => Err(Interrupted::Stopped(error)),
        }
    }

    /// Runs the stage over one record and accounts for it.
    async fn accept(&mut self, record: Record, shutdown: &CancellationToken) -> Result<(), Interrupted> {
        let partition = record.position.partition.clone();
        let outcome = loop {
            // Not ours any more, or read twice around a rebalance.
            match self.owned.get(&partition) {
                Some(next) if record.position.offset >= *next && !self.lost.contains(&partition) => {}
                _ => return Ok(()),
            }
            match (self.stage)(&record) {
                Outcome::Fail(reason) => self.wait_out("stage", &reason, shutdown).await?,
                outcome => break outcome,
            }
        };
        if let Outcome::Reject(rejection) = &outcome
            && !self.bury(&record, rejection, shutdown).await?
        {
            return Ok(());
        }
        let offset = record.position.offset;
        self.owned.insert(partition.clone(), offset + 1);
        let span = self.batch.spans.entry(partition).or_default();
        if span.consumed == 0 {
            span.first = offset;
        }
        span.next = offset + 1;
        span.consumed += 1;
        self.batch_records += 1;
        match outcome {
            Outcome::Emit(item) => self.batch.entries.push(Entry { record, item }),
            Outcome::Reject(_) => span.rejected += 1,
            Outcome::Skip | Outcome::Fail(_) => span.skipped += 1,
        }
        Ok(())
    }

    /// Puts a record to the dead letters, however long that takes; false when its partition was taken
    /// away meanwhile.
    async fn bury(
        &mut self,
        record: &Record,
        rejection: &Rejection,
        shutdown: &CancellationToken,
    ) -> Result<bool, Interrupted> {
        let partition = &record.position.partition;
        while self.owned.contains_key(partition) && !self.lost.contains(partition) {
            match self.dead_letters.bury(record, rejection).await {
                Ok(()) => {
                    let Rejection { class, message } = rejection;
                    tracing::warn!(position = %record.position, class, message, "record rejected");
                    return Ok(true);
                }
                Err(error) => self.wait_out("dead_letter", &error.to_string(), shutdown).await?,
            }
        }
        Ok(false)
    }

    /// Writes the batch, however long that takes.
    async fn write(&mut self, shutdown: &CancellationToken) -> Result<(), Interrupted> {
        self.write_at = Instant::now() + self.config.linger;
        while !self.batch.spans.is_empty() {
            match self.sink.write(&self.batch).await {
                Ok(written) => self.written(&written),
                Err(WriteError::Poison(poison)) => self.remove_poison(poison, shutdown).await?,
                Err(WriteError::Fail(reason)) => self.wait_out("write", &reason, shutdown).await?,
            }
        }
        self.batch_records = 0;
        Ok(())
    }

    async fn write_once_for_stop(&mut self) {
        if !self.try_write().await {
            tracing::warn!(consumer = self.config.name, "last batch left for the next start");
        }
    }

    /// Writes the batch if that works at once; returns whether nothing is left to write.
    async fn try_write(&mut self) -> bool {
        if self.batch.spans.is_empty() {
            return true;
        }
        match self.sink.write(&self.batch).await {
            Ok(written) => {
                self.written(&written);
                true
            }
            Err(error) => {
                tracing::warn!(consumer = self.config.name, ?error, "not written before the partitions went");
                false
            }
        }
    }

    fn written(&mut self, written: &crate::Written) {
        self.breaker.succeeded();
        let batch = std::mem::take(&mut self.batch);
        self.batch_records = 0;
        for (partition, span) in &batch.spans {
            let counts = written.get(partition).copied().unwrap_or_default();
            metrics::accounted(&self.config.name, partition, span, &counts);
            self.done.insert(partition.clone(), span.next);
        }
        let next = batch.spans.into_iter().map(|(partition, span)| (partition, span.next)).collect();
        self.source.commit(&next);
    }

    /// Moves entries that can never be written to the dead letters. An entry leaves the batch only once
    /// its letter is in the log, and is found by position since a rebalance may remove others.
    async fn remove_poison(
        &mut self,
        poison: Vec<(usize, Rejection)>,
        shutdown: &CancellationToken,
    ) -> Result<(), Interrupted> {
        let named: Vec<(Record, Rejection)> = poison
            .into_iter()
            .filter_map(|(index, rejection)| Some((self.batch.entries.get(index)?.record.clone(), rejection)))
            .collect();
        for (record, rejection) in named {
            if !self.bury(&record, &rejection, shutdown).await? {
                continue;
            }
            self.batch.entries.retain(|entry| entry.record.position != record.position);
            if let Some(span) = self.batch.spans.get_mut(&record.position.partition) {
                span.rejected += 1;
            }
        }
        Ok(())
    }

    /// Waits after a failure, with jitter, while rebalances go on.
    async fn wait_out(
        &mut self,
        step: &'static str,
        reason: &str,
        shutdown: &CancellationToken,
    ) -> Result<(), Interrupted> {
        metrics::failed(&self.config.name, step);
        metrics::paused(&self.config.name, true);
        let until = Instant::now() + self.breaker.failed();
        let tries = self.breaker.failures();
        tracing::warn!(consumer = self.config.name, step, reason, tries, "paused, will try again");
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Err(Interrupted::Shutdown),
                () = sleep_until(until) => break,
                event = self.source.next_control() => match event {
                    SourceEvent::Control(control) => Box::pin(self.control(control, shutdown)).await?,
                    SourceEvent::Stopped(error) => return Err(Interrupted::Stopped(error)),
                    SourceEvent::Records(_) => {}
                },
            }
        }
        metrics::paused(&self.config.name, false);
        self.breaker.probe();
        Ok(())
    }

    /// A rebalance while the batch cannot be written: what belongs to lost partitions is forgotten,
    /// their next owner reads it again.
    async fn control(&mut self, control: Control, shutdown: &CancellationToken) -> Result<(), Interrupted> {
        match control {
            Control::Assigned(partitions, reply) => {
                let start = loop {
                    match self.sink.resume(&partitions).await {
                        Ok(start) => break start,
                        Err(reason) => self.wait_out("resume", &reason, shutdown).await?,
                    }
                };
                self.breaker.succeeded();
                for partition in partitions {
                    let next = start.get(&partition).copied().unwrap_or(-1);
                    self.owned.insert(partition, next);
                }
                // The source gave up waiting: it stops, and says so by its next event.
                drop(reply.send(start));
            }
            Control::Revoked(partitions, reply) => {
                let gone: HashSet<&Partition> = partitions.iter().collect();
                self.batch.entries.retain(|entry| !gone.contains(&entry.record.position.partition));
                self.batch.spans.retain(|partition, _| !gone.contains(partition));
                self.release(&partitions, reply);
            }
        }
        Ok(())
    }

    fn release(&mut self, partitions: &[Partition], reply: tokio::sync::oneshot::Sender<HashMap<Partition, i64>>) {
        let mut done = HashMap::new();
        for partition in partitions {
            self.owned.remove(partition);
            self.lost.insert(partition.clone());
            if let Some(next) = self.done.remove(partition) {
                done.insert(partition.clone(), next);
            }
        }
        // As above.
        drop(reply.send(done));
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
