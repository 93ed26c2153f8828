//! The pipeline over a scripted log: the four outcomes, rebalances, stops.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::*;
use crate::{Config, LocalLog, LocalSource, Position, Producer, ProducerConfig, Written, local::Conductor};

/// Keeps what was written; fails, finds poison or takes its time on command.
#[derive(Clone, Default)]
struct TestSink {
    rows: Arc<Mutex<Vec<(Position, String)>>>,
    down: Arc<AtomicBool>,
    takes: Arc<Mutex<Duration>>,
    /// When each try to write began.
    began: Arc<Mutex<Vec<Instant>>>,
}

impl TestSink {
    fn tries(&self) -> usize {
        self.began.lock().unwrap().len()
    }

    fn texts(&self) -> Vec<String> {
        self.rows.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }
}

#[async_trait]
impl Sink for TestSink {
    type Item = String;

    async fn resume(&mut self, _: &[Partition]) -> Result<HashMap<Partition, i64>, String> {
        if self.down.load(Ordering::SeqCst) { Err("down".into()) } else { Ok(HashMap::new()) }
    }

    async fn write(&mut self, batch: &Batch<String>) -> Result<Written, WriteError> {
        self.began.lock().unwrap().push(Instant::now());
        let takes = *self.takes.lock().unwrap();
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(WriteError::Fail("down".into()));
        }
        let poison: Vec<_> = batch
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.item == "poison")
            .map(|(index, _)| (index, Rejection::new("constraint", "no")))
            .collect();
        if !poison.is_empty() {
            return Err(WriteError::Poison(poison));
        }
        let mut written = Written::new();
        for entry in &batch.entries {
            self.rows.lock().unwrap().push((entry.record.position.clone(), entry.item.clone()));
            written.entry(entry.record.position.partition.clone()).or_default().applied += 1;
        }
        Ok(written)
    }
}

fn stage(record: &Record) -> Outcome<String> {
    let text = String::from_utf8(record.payload.clone().unwrap_or_default().to_vec()).unwrap();
    match text.as_str() {
        "skip" => Outcome::Skip,
        "bad" => Outcome::Reject(Rejection::new("bad", "bad")),
        _ => Outcome::Emit(text),
    }
}

fn partition(number: i32) -> Partition {
    Partition { topic: "t".into(), number }
}

struct Running {
    log: LocalLog,
    sink: TestSink,
    /// Records that came to the stage.
    staged: Arc<AtomicU32>,
    conductor: Conductor,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
    _cluster: rdkafka::mocking::MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    cluster_up: Producer,
}

impl Running {
    /// A pipeline over `texts` in partition 0, with dead letters in a mock cluster.
    async fn start(texts: &[&str], down: bool) -> Self {
        Self::with_linger(texts, down, Duration::from_millis(2)).await
    }

    async fn with_linger(texts: &[&str], down: bool, linger: Duration) -> Self {
        let run = Self::idle(down, linger);
        for text in texts {
            run.log.append(&partition(0), text.to_string());
        }
        run.conductor.assign(&[partition(0)]).await;
        run
    }

    /// One that owns nothing yet.
    fn idle(down: bool, linger: Duration) -> Self {
        let log = LocalLog::default();
        let cluster = rdkafka::mocking::MockCluster::new(1).unwrap();
        cluster.create_topic("dlq", 1, 1).unwrap();
        let config = Config::new(cluster.bootstrap_servers(), "test");
        let settings = ProducerConfig { delivery_timeout: Duration::from_millis(300), ..Default::default() };
        let producer = Producer::new(&config, &settings).unwrap();
        let dead_letters = DeadLetters::new(producer.clone(), "dlq", "test");
        let sink = TestSink::default();
        sink.down.store(down, Ordering::SeqCst);
        let (source, conductor) = LocalSource::new(&log);
        let mut settings = PipelineConfig::new("test");
        settings.batch_max = 3;
        settings.linger = linger;
        settings.backoff_min = Duration::from_millis(2);
        settings.backoff_max = Duration::from_millis(10);
        let shutdown = CancellationToken::new();
        let staged = Arc::<AtomicU32>::default();
        let counted = staged.clone();
        let stage = move |record: &Record| {
            counted.fetch_add(1, Ordering::SeqCst);
            stage(record)
        };
        let pipeline = Pipeline::new(settings, source, stage, sink.clone(), dead_letters);
        let task = tokio::spawn(pipeline.run(shutdown.clone()));
        Self { log, sink, staged, conductor, shutdown, task, _cluster: cluster, cluster_up: producer }
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        flashsale_testkit::wait_until(Duration::from_secs(10), what, async || done(self)).await;
    }

    async fn stop(self) -> (LocalLog, TestSink) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
        drop(self.cluster_up);
        (self.log, self.sink)
    }
}

#[tokio::test]
async fn i_10_emit_skip_and_reject_all_move_the_offset() {
    let run = Running::start(&["a", "skip", "bad", "b"], false).await;
    run.until("all committed", |run| run.log.committed(&partition(0)) == Some(4)).await;
    let (_, sink) = run.stop().await;
    assert_eq!(sink.texts(), ["a", "b"]);
}

#[tokio::test]
async fn a_lone_record_is_written_at_once_and_what_follows_gathers() {
    // Longer than anything here is waited for.
    let run = Running::with_linger(&["a"], false, Duration::from_secs(600)).await;
    run.until("the first", |run| run.log.committed(&partition(0)) == Some(1)).await;
    for text in ["b", "c", "d"] {
        run.log.append(&partition(0), text);
    }
    run.until("a full batch", |run| run.log.committed(&partition(0)) == Some(4)).await;
    assert_eq!(run.sink.tries(), 2);
    assert_eq!(run.stop().await.1.texts(), ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn what_came_during_a_long_write_is_written_right_after_it() {
    let (takes, linger) = (Duration::from_secs(10), Duration::from_secs(8));
    let run = Running::idle(false, linger);
    *run.sink.takes.lock().unwrap() = takes;
    run.log.append(&partition(0), "a");
    run.conductor.assign(&[partition(0)]).await;
    run.until("the first write", |run| run.sink.tries() == 1).await;
    run.log.append(&partition(0), "b");
    run.until("the second", |run| run.sink.tries() == 2).await;
    let apart = {
        let began = run.sink.began.lock().unwrap();
        began[1] - began[0]
    };
    assert!(apart >= takes && apart < takes + linger, "{apart:?}: the linger counts from when a write begins");
    run.stop().await;
}

#[tokio::test]
async fn what_is_there_already_goes_into_one_batch() {
    let run = Running::idle(false, Duration::from_secs(600));
    let both = [partition(0), partition(1)];
    for partition in &both {
        run.log.append(partition, "a");
    }
    // By then a batch may be written as soon as there is one.
    tokio::time::sleep(Duration::from_millis(20)).await;
    run.conductor.assign(&both).await;
    run.until("both", |run| both.iter().all(|partition| run.log.committed(partition) == Some(1))).await;
    assert_eq!(run.sink.tries(), 1);
    run.stop().await;
}

#[tokio::test]
async fn f_18_an_outage_keeps_the_offset_and_loses_nothing() {
    let run = Running::start(&["a", "b"], false).await;
    run.until("first batch", |run| run.log.committed(&partition(0)) == Some(2)).await;
    run.sink.down.store(true, Ordering::SeqCst);
    let before = run.sink.tries();
    run.log.append(&partition(0), "c");
    run.until("several tries", |run| run.sink.tries() > before + 3).await;
    assert_eq!(run.log.committed(&partition(0)), Some(2), "the offset stays");
    run.sink.down.store(false, Ordering::SeqCst);
    run.until("the rest", |run| run.log.committed(&partition(0)) == Some(3)).await;
    assert_eq!(run.stop().await.1.texts(), ["a", "b", "c"]);
}

#[tokio::test]
async fn f_21_poison_goes_alone() {
    let run = Running::start(&["a", "poison", "b", "poison", "c"], false).await;
    run.until("all committed", |run| run.log.committed(&partition(0)) == Some(5)).await;
    assert_eq!(run.stop().await.1.texts(), ["a", "b", "c"]);
}

#[tokio::test]
async fn f_22_without_dead_letters_the_offset_does_not_move() {
    let run = Running::start(&["a"], false).await;
    run.until("first", |run| run.log.committed(&partition(0)) == Some(1)).await;
    run._cluster.broker_down(1).unwrap();
    run.log.append(&partition(0), "bad");
    run.log.append(&partition(0), "b");
    // Two delivery timeouts later the letter is still not written.
    let began = Instant::now();
    run.until("two timeouts", |_| began.elapsed() > Duration::from_millis(900)).await;
    assert_eq!(run.log.committed(&partition(0)), Some(1));
    run._cluster.broker_up(1).unwrap();
    run.until("all committed", |run| run.log.committed(&partition(0)) == Some(3)).await;
    assert_eq!(run.stop().await.1.texts(), ["a", "b"]);
}

#[tokio::test]
async fn f_16_a_revocation_writes_what_was_read_first() {
    let run = Running::start(&["a", "b", "c"], false).await;
    run.until("read", |run| !run.sink.texts().is_empty()).await;
    let done = run.conductor.revoke(&[partition(0)]).await.unwrap();
    let reached = done.get(&partition(0)).copied().unwrap_or(0);
    assert_eq!(run.sink.texts().len() as i64, reached, "told = written");
    run.log.append(&partition(0), "d");
    run.conductor.assign(&[partition(0)]).await;
    run.until("the rest", |run| run.log.committed(&partition(0)) == Some(4)).await;
    assert_eq!(run.stop().await.1.texts(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn f_16_a_revocation_writes_a_batch_that_is_not_full() {
    let run = Running::with_linger(&["a"], false, Duration::from_secs(600)).await;
    run.until("the first", |run| run.log.committed(&partition(0)) == Some(1)).await;
    run.log.append(&partition(0), "b");
    run.until("b in the batch", |run| run.staged.load(Ordering::SeqCst) == 2).await;
    assert_eq!(run.sink.texts(), ["a"], "b gathers");
    let done = run.conductor.revoke(&[partition(0)]).await.unwrap();
    assert_eq!(done.get(&partition(0)), Some(&2));
    assert_eq!(run.stop().await.1.texts(), ["a", "b"]);
}

#[tokio::test]
async fn f_16_a_revocation_during_an_outage_forgets_and_answers_at_once() {
    let run = Running::start(&["a"], false).await;
    run.until("first", |run| run.log.committed(&partition(0)) == Some(1)).await;
    run.sink.down.store(true, Ordering::SeqCst);
    let before = run.sink.tries();
    run.log.append(&partition(0), "b");
    run.until("a failed try", |run| run.sink.tries() > before).await;
    let done = run.conductor.revoke(&[partition(0)]).await.unwrap();
    assert_eq!(done.get(&partition(0)), Some(&1), "b was not written");
    run.sink.down.store(false, Ordering::SeqCst);
    run.conductor.assign(&[partition(0)]).await;
    run.until("b once", |run| run.log.committed(&partition(0)) == Some(2)).await;
    assert_eq!(run.stop().await.1.texts(), ["a", "b"]);
}

#[tokio::test]
async fn f_16_i_10_a_partition_that_leaves_and_returns_during_an_outage_is_read_again_whole() {
    let run = Running::start(&["a"], false).await;
    run.until("first", |run| run.log.committed(&partition(0)) == Some(1)).await;
    run.sink.down.store(true, Ordering::SeqCst);
    let before = run.sink.tries();
    // More than one chunk of the source and, with a batch of three, a write in the middle of a chunk.
    for n in 0..20 {
        run.log.append(&partition(0), format!("n{n}"));
    }
    run.until("a failed try", |run| run.sink.tries() > before).await;
    assert_eq!(run.conductor.revoke(&[partition(0)]).await.unwrap().get(&partition(0)), Some(&1));
    run.conductor.assign(&[partition(0)]).await;
    run.sink.down.store(false, Ordering::SeqCst);
    run.until("all committed", |run| run.log.committed(&partition(0)) == Some(21)).await;
    let expected: Vec<String> = std::iter::once("a".to_owned()).chain((0..20).map(|n| format!("n{n}"))).collect();
    assert_eq!(run.stop().await.1.texts(), expected, "nothing is left out, nothing written twice");
}

#[tokio::test]
async fn a_dead_source_ends_the_pipeline_with_its_reason() {
    let run = Running::start(&["a"], false).await;
    run.conductor.stop("fenced").await;
    let ended = run.task.await.unwrap();
    assert!(matches!(ended, Err(Error::Stopped(reason)) if reason == "fenced"));
}
