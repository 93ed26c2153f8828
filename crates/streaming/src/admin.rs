//! Creating topics.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::FromClientConfig,
    types::RDKafkaErrorCode,
};

use crate::{Config, Error};

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many copies; -1 leaves it to the broker.
    pub replication: i32,
    /// Broker settings such as `cleanup.policy`.
    pub settings: BTreeMap<String, String>,
}

/// Administration of the log.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
    config: Config,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// A client; it connects in the background.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let client = AdminClient::from_config(&config.client()).map_err(Error::Config)?;
        Ok(Self { client, config: config.clone() })
    }

    /// Creates the topics that do not exist yet; returns the names of the new ones. Existing ones are
    /// left as they are.
    pub async fn create_missing(&self, topics: &[TopicSpec]) -> Result<Vec<String>, Error> {
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| {
                let replication = TopicReplication::Fixed(topic.replication);
                let new = NewTopic::new(&topic.name, topic.partitions, replication);
                topic.settings.iter().fold(new, |new, (key, value)| new.set(key, value))
            })
            .collect();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(15)));
        let results = self.client.create_topics(&new, &options).await.map_err(self.config.failed("create topics"))?;
        let mut created = Vec::new();
        for result in results {
            match result {
                Ok(topic) => created.push(topic),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(Error::Topic { topic, reason: code.to_string() }),
            }
        }
        Ok(created)
    }
}
