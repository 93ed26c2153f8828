//! Records into another topic, at the speed at which they came or faster.
//!
//! At full speed one reader goes over all partitions. At the speed of the past their order in time matters: each
//! partition has a reader of its own, and the record that is due next is taken from whichever has it.

use std::{
    ops::ControlFlow,
    process::ExitCode,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use flashsale_ledger::{JsonDecoder, Ledger};
use flashsale_platform::config;
use flashsale_schemas::events::OperatorAction;
use flashsale_streaming::{Admin, Config, Delivery, Producer, Record, ScanRanges, TopicSpec, scan, topics};
use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Replay, Speed};
use crate::{
    commands::{actor::noted, stores::Bar},
    parts,
    settings::Settings,
    terminal::{count, green, say, say_json, yellow},
};

/// Records that are acknowledged together.
const BATCH: u64 = 2_000;
/// Records that wait of each partition.
const WAITING_MAX: usize = 1_000;
/// Readers at once; of more partitions the order in time cannot be kept.
const READERS_MAX: usize = 64;
/// Pauses are cut into pieces, so that Ctrl-C is noticed.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Header of a copy: where the original stands.
const SOURCE: &str = "replay.source";
/// Exit code after Ctrl-C.
const STOPPED: u8 = 130;

/// Where records go.
struct Target {
    topic: String,
    is_live: bool,
    /// Its partitions, once it exists.
    partitions: usize,
}

impl Replay {
    pub(super) async fn copy(
        self,
        settings: &Settings,
        ledger: &Ledger,
        ranges: ScanRanges,
        stop: CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        let total: u64 = ranges.values().map(|range| u64::try_from(range.end - range.start).unwrap_or(0)).sum();
        let source = ledger.topic(self.topic).to_owned();
        let mut target = self.target(settings, ledger)?;
        if self.dry_run {
            self.preview(&source, &target, total)?;
            return Ok(ExitCode::SUCCESS);
        }
        target.partitions = self.make(settings, ledger, &target, ranges.len()).await?;
        let keep_partitions = target.partitions == ranges.len();
        let bar = Bar::new("replaying");
        let copy = Copy {
            config: ledger.streaming().clone(),
            source: source.as_str().into(),
            target: target.topic.clone(),
            keep_partitions,
            producer: ledger.producer().clone(),
            filter: match &self.sku {
                Some(sku) => Some((sku.to_string(), ledger.json_decoder(self.topic).await?)),
                None => None,
            },
            limit: self.limit.unwrap_or(u64::MAX),
            stop: stop.clone(),
            runtime: Handle::current(),
            bar: bar.clone(),
            total,
        };
        let (began, speed) = (Instant::now(), self.speed);
        let copying = tokio::task::spawn_blocking(move || {
            let mut copied = 0;
            let done = match speed {
                Speed::Full => copy.at_full_speed(&ranges, &mut copied),
                Speed::AsItCame => copy.in_time(&ranges, 1.0, &mut copied),
                Speed::TenTimes => copy.in_time(&ranges, 10.0, &mut copied),
            };
            (copied, done.err())
        });
        let copied = copying.await?;
        bar.finish();
        let (copied, failed) = copied;
        if target.is_live && copied > 0 {
            let detail = json!({ "from": source, "records": copied });
            noted(ledger, OperatorAction::Replay, &target.topic, Some(detail)).await?;
        }
        if let Some(error) = failed {
            return Err(error.context(format!("{} were written to {}", count(copied, "record"), target.topic)));
        }
        self.report(&source, &target, copied, began, stop.is_cancelled())?;
        Ok(if stop.is_cancelled() { ExitCode::from(STOPPED) } else { ExitCode::SUCCESS })
    }

    /// Where records go, if they may.
    fn target(&self, settings: &Settings, ledger: &Ledger) -> anyhow::Result<Target> {
        let topic = match (&self.into, &self.sandbox) {
            (Some(topic), _) => topic.clone(),
            (None, Some(prefix)) if *prefix == settings.topic_prefix || prefix.is_empty() => {
                bail!(config::Error("--sandbox must be a prefix of its own, such as `try.`".into()))
            }
            (None, Some(prefix)) => format!("{prefix}{}", self.topic),
            (None, None) => bail!("no topic to write to"),
        };
        let is_valid = topic.len() <= 249
            && !topic.starts_with("__")
            && topic.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !is_valid {
            bail!(config::Error(format!("{topic:?} cannot be the name of a topic")));
        }
        ensure!(topic != ledger.topic(self.topic), config::Error("a topic cannot be replayed into itself".into()));
        let is_live = ledger.topic_called(&topic).is_some();
        if is_live && !self.yes_really_into_a_live_topic {
            bail!(config::Error(format!(
                "{topic} is read by the services of this installation: what is replayed there counts as if it had \
                 happened. If that is meant, say --yes-really-into-a-live-topic; to try something, use --sandbox"
            )));
        }
        Ok(Target { topic, is_live, partitions: 0 })
    }

    /// Makes what does not exist; returns how many partitions the target has.
    async fn make(
        &self,
        settings: &Settings,
        ledger: &Ledger,
        target: &Target,
        partitions: usize,
    ) -> anyhow::Result<usize> {
        if let Some(prefix) = &self.sandbox {
            let mut sandbox = settings.clone();
            sandbox.topic_prefix.clone_from(prefix);
            parts::open_ledger(&sandbox).await?.create_topics(settings.replication).await?;
        } else {
            let spec = TopicSpec {
                name: target.topic.clone(),
                partitions: i32::try_from(partitions).context("too many partitions")?,
                replication: settings.replication,
                settings: [
                    ("cleanup.policy".to_owned(), "delete".to_owned()),
                    ("retention.ms".to_owned(), "-1".to_owned()),
                ]
                .into(),
            };
            Admin::new(ledger.streaming())?.create_missing(&[spec]).await?;
        }
        let mut made = topics(ledger.streaming(), Some(&target.topic)).await;
        // A topic that was just made takes a moment to get its leaders.
        for _ in 0..50 {
            if made.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE_MAX).await;
            made = topics(ledger.streaming(), Some(&target.topic)).await;
        }
        Ok(made?.first().map_or(0, |topic| topic.partitions.len()))
    }

    fn preview(&self, source: &str, target: &Target, total: u64) -> anyhow::Result<()> {
        if self.json {
            return say_json(&json!({
                "dryRun": true, "source": source, "target": target.topic, "live": target.is_live, "recordsMax": total,
            }));
        }
        let live = if target.is_live { yellow(" (live: it counts)") } else { String::new() };
        say(format!(
            "At most {} of {source} into {}{live}. Nothing was written.",
            count(total, "record"),
            target.topic
        ));
        Ok(())
    }

    fn report(
        &self,
        source: &str,
        target: &Target,
        copied: u64,
        began: Instant,
        is_stopped: bool,
    ) -> anyhow::Result<()> {
        let seconds = began.elapsed().as_secs_f64();
        if self.json {
            return say_json(&json!({
                "dryRun": false, "source": source, "target": target.topic, "live": target.is_live,
                "records": copied, "seconds": seconds, "stopped": is_stopped,
            }));
        }
        let mark = if is_stopped { yellow("stopped:") } else { green("✓") };
        say(format!("{mark} {} of {source} into {} in {seconds:.1} s.", count(copied, "record"), target.topic));
        if let Some(prefix) = &self.sandbox {
            say(format!("A service reads them with FLASHSALE_TOPIC_PREFIX={prefix} and a database of its own."));
        }
        Ok(())
    }
}

/// A copy under way, on a thread where waiting holds nobody up.
struct Copy {
    config: Config,
    source: Arc<str>,
    target: String,
    keep_partitions: bool,
    producer: Producer,
    /// Only records about this SKU.
    filter: Option<(String, JsonDecoder)>,
    limit: u64,
    stop: CancellationToken,
    runtime: Handle,
    bar: Bar,
    total: u64,
}

/// Records that were sent and are not acknowledged yet.
struct Batch {
    delivery: Arc<Delivery>,
    sent: u64,
}

impl Batch {
    fn begin() -> Self {
        Self { delivery: Delivery::begin(), sent: 0 }
    }
}

impl Copy {
    fn at_full_speed(&self, ranges: &ScanRanges, copied: &mut u64) -> anyhow::Result<()> {
        let (mut batch, mut failed) = (Batch::begin(), None);
        let mut progress = |progress: flashsale_streaming::ScanProgress| {
            self.bar.set("replaying", progress.done, progress.total);
        };
        let scanned = scan(&self.config, &self.source, ranges, &self.stop, &mut progress, &mut |record| {
            let record = record.to_record(&self.source);
            if *copied + batch.sent >= self.limit {
                return ControlFlow::Break(());
            }
            let sent = self.is_wanted(&record).and_then(|is_wanted| {
                if is_wanted {
                    self.send(&mut batch, record);
                }
                self.settle(&mut batch, copied, BATCH)
            });
            match sent {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        self.settle(&mut batch, copied, 1)?;
        match (failed, scanned) {
            (Some(error), _) => Err(error),
            (None, Err(error)) if !self.stop.is_cancelled() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Sends each record when its time has come, `factor` times as fast as it was.
    fn in_time(&self, ranges: &ScanRanges, factor: f64, copied: &mut u64) -> anyhow::Result<()> {
        let filled: Vec<_> = ranges.iter().filter(|(_, range)| !range.is_empty()).collect();
        ensure!(
            filled.len() <= READERS_MAX,
            "a topic of more than {READERS_MAX} partitions replays at full speed only"
        );
        std::thread::scope(|scope| {
            let mut sources = Vec::new();
            for (partition, range) in filled {
                let (records, waiting) = sync_channel(WAITING_MAX);
                let ranges = ScanRanges::from([(*partition, range.clone())]);
                scope.spawn(move || self.read(&ranges, &records));
                sources.push(waiting);
            }
            self.merge(sources, factor, copied)
        })
    }

    fn read(&self, ranges: &ScanRanges, records: &SyncSender<anyhow::Result<Record>>) {
        let scanned = scan(&self.config, &self.source, ranges, &self.stop, &mut |_| (), &mut |record| {
            match records.send(Ok(record.to_record(&self.source))) {
                Ok(()) => ControlFlow::Continue(()),
                // The merger has enough.
                Err(_) => ControlFlow::Break(()),
            }
        });
        if let (Err(error), false) = (scanned, self.stop.is_cancelled()) {
            drop(records.send(Err(error.into())));
        }
    }

    fn merge(
        &self,
        sources: Vec<Receiver<anyhow::Result<Record>>>,
        factor: f64,
        copied: &mut u64,
    ) -> anyhow::Result<()> {
        let mut heads = Vec::new();
        for source in sources {
            if let Ok(record) = source.recv() {
                heads.push((record?, source));
            }
        }
        let (mut batch, mut done) = (Batch::begin(), 0);
        // A record may carry no time.
        let times = heads.iter().map(|(record, _)| record.timestamp_ms).filter(|millis| *millis > 0);
        let first = times.min().unwrap_or(0);
        let began = Instant::now();
        while let Some(next) = (0..heads.len()).min_by_key(|place| heads[*place].0.timestamp_ms) {
            if self.stop.is_cancelled() || *copied + batch.sent >= self.limit {
                break;
            }
            let after = Duration::from_millis(u64::try_from(heads[next].0.timestamp_ms - first).unwrap_or(0));
            let due = began + after.div_f64(factor);
            if due > Instant::now() {
                // Nothing is kept back while we wait.
                self.settle(&mut batch, copied, 1)?;
                std::thread::sleep(due.saturating_duration_since(Instant::now()).min(PAUSE_MAX));
                continue;
            }
            let record = match heads[next].1.recv() {
                Ok(following) => std::mem::replace(&mut heads[next].0, following?),
                Err(_) => heads.swap_remove(next).0,
            };
            if self.is_wanted(&record)? {
                self.send(&mut batch, record);
            }
            done += 1;
            self.bar.set("replaying", done, self.total);
            self.settle(&mut batch, copied, BATCH)?;
        }
        self.settle(&mut batch, copied, 1)
    }

    fn is_wanted(&self, record: &Record) -> anyhow::Result<bool> {
        let Some((sku, decoder)) = &self.filter else { return Ok(true) };
        match record.payload.as_deref().map(|payload| decoder.decode(payload)) {
            Some(Ok(value)) => Ok(value["sku"].as_str() == Some(sku)),
            Some(Err(error)) if !error.is_data_error() => Err(error).context("the schema registry does not answer"),
            _ => Ok(false),
        }
    }

    fn send(&self, batch: &mut Batch, mut record: Record) {
        record.headers.push((SOURCE.to_owned(), record.position.to_string().into_bytes()));
        let partition = self.keep_partitions.then_some(record.position.partition.number);
        self.producer.send_copy(&batch.delivery, &self.target, partition, &record);
        batch.sent += 1;
    }

    /// Waits for the acknowledgement of a batch that has `full` records.
    fn settle(&self, batch: &mut Batch, copied: &mut u64, full: u64) -> anyhow::Result<()> {
        if batch.sent < full {
            return Ok(());
        }
        let Batch { delivery, sent } = std::mem::replace(batch, Batch::begin());
        delivery.seal();
        self.runtime
            .block_on(delivery.wait())
            .with_context(|| format!("{copied} records are in {}, then the log took no more", self.target))?;
        *copied += sent;
        Ok(())
    }
}
