//! Everything that speaks to the log. The only crate that names rdkafka.
//!
//! * [`Producer`] writes; one [`Delivery`] acknowledges a whole batch.
//! * [`Pipeline`] reads as a member of a group: source → stage → batch → write → commit, with the four
//!   [`Outcome`]s.
//! * [`scan`] passes once over a stretch of a topic, as fast as it can.
//! * [`View`] reads whole topics without a group, to keep a table in memory.
//! * [`Admin`] creates topics, [`topics`] looks at them, an [`Observer`] at groups.
//!
//! Point of no return of a pipeline: [`Sink::write`]. What was read but not written may be dropped at
//! any time, since offsets are committed only after it; what it does must be safe to repeat.

mod admin;
mod assignment;
mod breaker;
mod config;
mod dead_letter;
mod groups;
mod hold;
mod kafka_source;
mod local;
mod metrics;
mod pipeline;
mod producer;
mod record;
mod redrive;
mod scan;
mod security;
mod sink;
mod source;
mod stage;
mod topics;
mod trouble;
mod view;
mod watchdog;

pub use admin::{Admin, TopicSpec};
pub use breaker::jittered;
pub use config::{Config, ConsumerConfig};
pub use dead_letter::{DeadLetters, headers as letter_headers};
pub use groups::{Ends, Group, Member, Observer};
pub use hold::Hold;
pub use kafka_source::KafkaSource;
pub use local::{Conductor, LocalLog, LocalSource};
pub use metrics::{describe as describe_metrics, tell_held};
pub use pipeline::{Pipeline, PipelineConfig};
pub use producer::{Delivery, NotDelivered, Producer, ProducerConfig};
pub use record::{Header, Partition, Position, Record};
pub use redrive::{RedriveError, headers as redriven_headers, origin_of, redrive, redriven_from};
pub use scan::{
    From as ScanFrom, Offsets as ScanOffsets, Progress as ScanProgress, Ranges as ScanRanges, Scanned,
    Until as ScanUntil, partitions, read_all, resolve, scan,
};
pub use security::{Mechanism, Protocol, Security};
pub use sink::{Batch, Counts, Entry, Sink, Span, WriteError, Written};
pub use source::{Control, Source, SourceEvent};
pub use stage::{Outcome, Rejection};
pub use topics::{TopicState, replace_settings, topics};
pub use view::{View, ViewConfig};

/// What can go wrong with the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A client could not be built from its configuration.
    #[error("kafka client configuration")]
    Config(#[source] rdkafka::error::KafkaError),
    /// The configuration contradicts itself.
    #[error("{0}")]
    InvalidConfig(String),
    /// The brokers could not be reached, or refused.
    #[error("kafka: {doing}")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: rdkafka::error::KafkaError,
    },
    /// The brokers would not have us: TLS or the login failed.
    #[error("kafka: {doing}: {reason}")]
    Shut {
        /// What was being done.
        doing: &'static str,
        /// Why, and what to do about it.
        reason: String,
    },
    /// The broker refused something about one topic.
    #[error("topic {topic}: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// The broker's words.
        reason: String,
    },
    /// The source ended although nobody asked it to.
    #[error("the consumer stopped: {0}")]
    Stopped(String),
}

impl Error {
    /// Whether no broker could be talked to, nobody knows why.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Kafka { source, .. } if trouble::is_unreachable(source))
    }

    /// Whether trying again would end the same way.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Config(_) | Self::InvalidConfig(_))
    }
}
