//! Opening the log.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flashsale_schemas::{
    CleanupPolicy, Decoder, Encoder, Event, Registry, Topic,
    events::{
        ConsumerControl, ConsumerPositions, OperatorAct, PurchaseDecision, Reconciliation, SaleEvent, SaleStatusRecord,
    },
};
use flashsale_streaming::{Admin, DeadLetters, Producer, ProducerConfig, TopicSpec};

use crate::Error;

/// How long brokers may be away before refusals are lost.
const REFUSALS_PATIENCE: Duration = Duration::from_secs(300);
/// Nothing that Redis said is sent to the log later than this after Redis was asked; who is later, because the
/// process stood still, must leave it to the outbox. Longer than one call to Redis may take.
pub const DECIDED_TO_SENT_MAX: Duration = Duration::from_millis(2_500);

/// The client looks once a second for records that are to be given up.
const GIVEN_UP_WITHIN: Duration = Duration::from_millis(1_500);
/// The consumer group of the Postgres sink, and its name in Postgres, behind the prefix of the topics.
pub const SINK_POSTGRES: &str = "flashsale-sink-postgres";
/// The consumer group that folds decisions and sale events into the status, behind the prefix of the topics.
pub const PROCESSOR_STATUS: &str = "flashsale-processor-status";

/// How to reach the log and what our topics are called there.
#[derive(Debug, Clone)]
pub struct Config {
    /// The brokers.
    pub streaming: flashsale_streaming::Config,
    /// How to write what somebody waits for, or what the outbox keeps until it is written. Not patient: a
    /// recovery of Redis has to wait until nothing of it can be under way any more.
    pub producer: ProducerConfig,
    /// How to write refusals, which nobody else would write if this producer gave them up.
    pub refusals: ProducerConfig,
    /// In front of every topic; empty in production, tells tests apart.
    pub topic_prefix: String,
    /// A Confluent-compatible registry; none means the compiled-in schemas.
    pub registry_url: Option<String>,
}

impl Config {
    /// Defaults for `brokers`.
    pub fn new(brokers: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            streaming: flashsale_streaming::Config::new(brokers, client_id),
            producer: ProducerConfig::default(),
            refusals: ProducerConfig { delivery_timeout: REFUSALS_PATIENCE, ..ProducerConfig::default() },
            topic_prefix: String::new(),
            registry_url: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Encoders {
    pub(crate) decision: Encoder<PurchaseDecision>,
    pub(crate) event: Encoder<SaleEvent>,
    pub(crate) status: Encoder<SaleStatusRecord>,
    pub(crate) reconciliation: Encoder<Reconciliation>,
    pub(crate) control: Encoder<ConsumerControl>,
    pub(crate) act: Encoder<OperatorAct>,
    pub(crate) positions: Encoder<ConsumerPositions>,
}

/// The log, open for writing and reading. A clone shares the producer.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) config: Arc<Config>,
    pub(crate) producer: Producer,
    pub(crate) refusals: Producer,
    pub(crate) encoders: Arc<Encoders>,
    pub(crate) topics: Arc<BTreeMap<Topic, String>>,
    registry: Registry,
}

impl Ledger {
    /// Opens the log: registers our schemas and starts a producer.
    pub async fn open(config: Config) -> Result<Self, Error> {
        crate::scribe::metrics_begin();
        let topics: BTreeMap<Topic, String> =
            Topic::ALL.into_iter().map(|topic| (topic, format!("{}{topic}", config.topic_prefix))).collect();
        let registry = match &config.registry_url {
            None => Registry::builtin(),
            Some(url) => Registry::connect(url).map_err(|source| Error::Registry { topic: "any topic", source })?,
        };
        let producer = Producer::new(&config.streaming, &config.producer).map_err(Error::Streaming)?;
        let refusals = Producer::new(&config.streaming, &config.refusals).map_err(Error::Streaming)?;
        let encoders = Encoders {
            decision: encoder(&registry, &topics).await?,
            event: encoder(&registry, &topics).await?,
            status: encoder(&registry, &topics).await?,
            reconciliation: encoder(&registry, &topics).await?,
            control: encoder(&registry, &topics).await?,
            act: encoder(&registry, &topics).await?,
            positions: encoder(&registry, &topics).await?,
        };
        Ok(Self {
            config: Arc::new(config),
            producer,
            refusals,
            encoders: Arc::new(encoders),
            topics: Arc::new(topics),
            registry,
        })
    }

    /// What `topic` is called on the brokers.
    pub fn topic(&self, topic: Topic) -> &str {
        &self.topics[&topic]
    }

    /// The topic of ours that the brokers call `name`.
    pub fn topic_called(&self, name: &str) -> Option<Topic> {
        self.topics.iter().find(|(_, called)| *called == name).map(|(topic, _)| *topic)
    }

    /// What `group` is called on the brokers: groups are shared by all topics of a cluster, so the prefix of the
    /// topics tells them apart too.
    pub fn group(&self, group: &str) -> String {
        format!("{}{group}", self.config.topic_prefix)
    }

    /// How the brokers are reached.
    pub fn streaming(&self) -> &flashsale_streaming::Config {
        &self.config.streaming
    }

    /// The producer behind all writes but refusals.
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    /// The producer of refusals.
    pub fn refusals(&self) -> &Producer {
        &self.refusals
    }

    /// How long after its decision a record may still arrive in the log.
    pub fn in_flight_max(&self) -> Duration {
        DECIDED_TO_SENT_MAX + self.config.producer.delivery_timeout + GIVEN_UP_WITHIN
    }

    /// A decoder of the events of one topic.
    pub async fn decoder<T: Event>(&self) -> Result<Decoder<T>, Error> {
        let id = schema_id::<T>(&self.registry, &self.topics).await?;
        Ok(Decoder::new(id, self.registry.clone()))
    }

    /// Dead letters of `consumer`.
    pub fn dead_letters(&self, consumer: &str) -> DeadLetters {
        DeadLetters::new(self.producer.clone(), self.topic(Topic::PurchaseDecisionsDlq), consumer)
    }

    /// Creates the topics that do not exist, as their papers say; returns the names of the new ones.
    pub async fn create_topics(&self, replication: i32) -> Result<Vec<String>, Error> {
        let specs: Vec<TopicSpec> = Topic::ALL
            .into_iter()
            .map(|topic| TopicSpec {
                name: self.topic(topic).to_owned(),
                partitions: i32::try_from(topic.paper().partitions).unwrap_or(i32::MAX),
                replication,
                settings: settings_of(topic),
            })
            .collect();
        let admin = Admin::new(self.streaming()).map_err(Error::Streaming)?;
        admin.create_missing(&specs).await.map_err(Error::Streaming)
    }
}

/// The settings that the paper of a topic asks for.
pub fn settings_of(topic: Topic) -> BTreeMap<String, String> {
    let paper = topic.paper();
    let mut settings = BTreeMap::from([("cleanup.policy".into(), paper.cleanup_policy.as_str().into())]);
    if let Some(retention) = paper.retention_ms {
        settings.insert("retention.ms".into(), retention.to_string());
    }
    if paper.cleanup_policy == CleanupPolicy::Compact {
        // A reader starts by reading the whole topic: keep it short.
        settings.insert("segment.ms".into(), "3600000".into());
    }
    settings
}

async fn schema_id<T: Event>(registry: &Registry, topics: &BTreeMap<Topic, String>) -> Result<u32, Error> {
    let topic = T::TOPIC;
    let id = registry.id_of(topic, &topics[&topic]).await;
    id.map_err(|source| Error::Registry { topic: topic.name(), source })
}

async fn encoder<T: Event>(registry: &Registry, topics: &BTreeMap<Topic, String>) -> Result<Encoder<T>, Error> {
    schema_id::<T>(registry, topics).await.map(Encoder::new)
}
