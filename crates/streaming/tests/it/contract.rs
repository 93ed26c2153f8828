//! One suite over both sources: the scripted log and a live broker must look the same to a pipeline.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use flashsale_streaming::{
    Admin, Conductor, Config, ConsumerConfig, DeadLetters, Delivery, Hold, KafkaSource, LocalLog, LocalSource,
    Partition, Pipeline, PipelineConfig, Producer, ProducerConfig, Source, TopicSpec,
};
use flashsale_testkit::{unique, wait_until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::memory::{Memory, stage};

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A log that the suite can write to and read with a group.
#[async_trait]
pub(crate) trait Log {
    type Source: Source + 'static;
    async fn append(&self, texts: &[String]);
    async fn join(&self) -> Self::Source;
}

/// A topic of two partitions on a live broker.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) config: Config,
    pub(crate) topic: String,
    pub(crate) producer: Producer,
}

impl Live {
    pub(crate) async fn open() -> Self {
        Self::at(Config::new(flashsale_testkit::kafka().await, "test")).await
    }

    pub(crate) async fn at(config: Config) -> Self {
        let topic = unique("contract");
        let settings = [("cleanup.policy".to_owned(), "delete".to_owned())].into();
        let spec = |name: &str| TopicSpec {
            name: name.into(),
            partitions: 2,
            replication: 1,
            settings: Clone::clone(&settings),
        };
        let admin = Admin::new(&config).unwrap();
        assert_eq!(admin.create_missing(&[spec(&topic)]).await.unwrap(), std::slice::from_ref(&topic));
        assert!(admin.create_missing(&[spec(&topic)]).await.unwrap().is_empty(), "there already");
        let producer = Producer::new(&config, &ProducerConfig::default()).unwrap();
        Self { config, topic, producer }
    }

    pub(crate) fn partition(&self, number: i32) -> Partition {
        Partition { topic: self.topic.as_str().into(), number }
    }

    pub(crate) fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.producer.clone(), &self.topic, "test")
    }
}

#[async_trait]
impl Log for Live {
    type Source = KafkaSource;

    async fn append(&self, texts: &[String]) {
        let delivery = Delivery::begin();
        for text in texts {
            self.producer.send(&delivery, &self.topic, text.as_bytes(), Some(text.as_bytes()), &[]);
        }
        delivery.seal();
        delivery.wait().await.unwrap();
    }

    async fn join(&self) -> KafkaSource {
        let consumer = ConsumerConfig::new(format!("{}-group", self.topic), [self.topic.clone()]);
        KafkaSource::start(&self.config, &consumer, Hold::never()).unwrap()
    }
}

/// The scripted log; its conductor gives both partitions to whoever joined last.
#[derive(Clone, Default)]
struct Scripted {
    log: LocalLog,
    conductors: Arc<tokio::sync::Mutex<Vec<Conductor>>>,
}

fn local(number: i32) -> Partition {
    Partition { topic: "local".into(), number }
}

#[async_trait]
impl Log for Scripted {
    type Source = LocalSource;

    async fn append(&self, texts: &[String]) {
        for (n, text) in texts.iter().enumerate() {
            self.log.append(&local(i32::from(n % 2 == 1)), text.clone());
        }
    }

    async fn join(&self) -> LocalSource {
        let (source, conductor) = LocalSource::new(&self.log);
        conductor.assign(&[local(0), local(1)]).await;
        self.conductors.lock().await.push(conductor);
        source
    }
}

/// A running pipeline into `memory`.
pub(crate) struct Member {
    stop: CancellationToken,
    task: JoinHandle<Result<(), flashsale_streaming::Error>>,
}

impl Member {
    pub(crate) fn start(source: impl Source + 'static, memory: &Memory, dead_letters: DeadLetters) -> Self {
        let mut config = PipelineConfig::new("contract");
        config.batch_max = 50;
        config.linger = Duration::from_millis(5);
        let stop = CancellationToken::new();
        let pipeline = Pipeline::new(config, source, stage, memory.clone(), dead_letters);
        Self { task: tokio::spawn(pipeline.run(stop.clone())), stop }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    pub(crate) async fn ended(self) -> flashsale_streaming::Error {
        self.task.await.unwrap().unwrap_err()
    }
}

pub(crate) fn texts(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("text-{n:05}")).collect()
}

async fn everything_once_and_on_from_the_commit<L: Log>(log: L, memory: Memory, dead_letters: DeadLetters) {
    log.append(&texts(0, 300)).await;
    let first = Member::start(log.join().await, &memory, dead_letters.clone());
    wait_until(PATIENCE, "what was there", async || memory.len() == 300).await;
    log.append(&texts(300, 400)).await;
    wait_until(PATIENCE, "what came later", async || memory.len() == 400).await;
    // A graceful stop commits: the next member repeats nothing.
    first.stop().await;
    log.append(&texts(400, 450)).await;
    let second = Member::start(log.join().await, &memory, dead_letters);
    wait_until(PATIENCE, "what came between", async || memory.len() == 450).await;
    second.stop().await;
    assert_eq!(memory.repeats(), 0, "nothing was read twice");
    let mut seen = memory.texts();
    seen.sort();
    assert_eq!(seen, texts(0, 450));
}

#[tokio::test(flavor = "multi_thread")]
async fn i_10_a_scripted_log_is_read_once_and_on_from_the_commit() {
    let live = Live::open().await;
    everything_once_and_on_from_the_commit(Scripted::default(), Memory::default(), live.dead_letters()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i_10_a_live_log_is_read_once_and_on_from_the_commit() {
    let live = Live::open().await;
    everything_once_and_on_from_the_commit(live.clone(), Memory::default(), live.dead_letters()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i_10_a_live_log_is_read_on_from_offsets_that_the_sink_keeps() {
    let live = Live::open().await;
    everything_once_and_on_from_the_commit(live.clone(), Memory::with_own_offsets(), live.dead_letters()).await;
}
