//! Settings of clients, and the traps behind each.

use std::time::Duration;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel, error::KafkaError};

use crate::{Error, Security, trouble::Trouble};

/// How many bytes a broker gathers for a consumer, as long as it may wait.
pub(crate) const FETCH_BYTES_MIN: &str = "65536";

/// How long a client whose queue was full waits before it fetches again; by itself it would wait a second.
pub(crate) const FETCH_BACKOFF_MS: &str = "10";

/// How to reach the log.
#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port,host:port`.
    pub brokers: String,
    /// Shown in the brokers' logs.
    pub client_id: String,
    /// Who we are to the brokers, and whether the way to them is encrypted.
    pub security: Security,
    /// Shared by all clients of this configuration.
    pub(crate) trouble: Trouble,
}

impl Config {
    /// Brokers and a client id; neither TLS nor a login.
    pub fn new(brokers: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: client_id.into(),
            security: Security::default(),
            trouble: Trouble::default(),
        }
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            // Loopback names resolve to ::1 first while brokers listen on IPv4.
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "2000")
            // A broker that is gone without a word is found out, and a request without an answer repeated, in
            // seconds rather than a minute.
            .set("socket.keepalive.enable", "true")
            .set("socket.timeout.ms", "10000")
            .set("topic.metadata.refresh.interval.ms", "60000");
        self.security.apply(&mut config);
        // A broker that hangs up on us is told of by a line of this level alone. Where lines go is another setting.
        if (config.log_level as u8) < RDKafkaLogLevel::Info as u8 {
            config.set_log_level(RDKafkaLogLevel::Info);
        }
        config
    }

    /// For `map_err`: names what was being done, and why the brokers would not have us if they said so.
    pub(crate) fn failed(&self, doing: &'static str) -> impl Fn(KafkaError) -> Error + use<> {
        self.trouble.failed(doing)
    }
}

/// How a group member reads.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// The group.
    pub group: String,
    /// Name of this member for static membership; empty for none.
    pub instance: String,
    /// Topics to read.
    pub topics: Vec<String>,
    /// Without a heartbeat for this long the group gives the partitions to others.
    pub session_timeout: Duration,
    /// How long a revocation may wait for the write under way; shorter than the session.
    pub drain_timeout: Duration,
}

impl ConsumerConfig {
    /// Defaults: 18 s session, so that the partitions of a member that was killed are read again within 30 s; 12 s
    /// drain; dynamic membership.
    pub fn new(group: impl Into<String>, topics: impl IntoIterator<Item = String>) -> Self {
        Self {
            group: group.into(),
            instance: String::new(),
            topics: topics.into_iter().collect(),
            session_timeout: Duration::from_secs(18),
            drain_timeout: Duration::from_secs(12),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.drain_timeout >= self.session_timeout {
            return Err(Error::InvalidConfig(format!(
                "drain timeout {:?} must be shorter than session timeout {:?}, or a drain loses the group",
                self.drain_timeout, self.session_timeout
            )));
        }
        if self.topics.is_empty() || self.group.is_empty() {
            return Err(Error::InvalidConfig("a consumer needs a group and a topic".into()));
        }
        Ok(())
    }

    pub(crate) fn client(&self, config: &Config) -> ClientConfig {
        let mut client = config.client();
        client
            .set("group.id", &self.group)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            // Under load many records an answer instead of few: a broker answers at once when there is so much, and
            // else when the wait is over.
            .set("fetch.min.bytes", FETCH_BYTES_MIN)
            .set("fetch.wait.max.ms", "10")
            .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS)
            // Of records that are not handed over yet; the client takes twice as much for them.
            .set("queued.max.messages.kbytes", "4096");
        if !self.instance.is_empty() {
            client.set("group.instance.id", &self.instance);
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_longer_than_the_session_is_refused() {
        let mut config = ConsumerConfig::new("g", ["t".to_owned()]);
        assert!(config.check().is_ok());
        config.drain_timeout = config.session_timeout;
        assert!(matches!(config.check(), Err(Error::InvalidConfig(_))));
    }
}
