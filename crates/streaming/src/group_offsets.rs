//! The offsets that a group has committed on the brokers.

use rdkafka::{
    Offset, TopicPartitionList,
    config::FromClientConfig,
    consumer::{BaseConsumer, CommitMode, Consumer},
};

use crate::{Config, Error, partitions};

/// Puts `group` back to the first record of every partition of `topic`. The group must have no members.
///
/// # Errors
/// When the brokers do not answer, know no such topic, or the group has members.
pub async fn rewind_group(config: &Config, group: &str, topic: &str) -> Result<(), Error> {
    let numbers = partitions(config, topic).await?;
    let mut client = config.client();
    client.set("group.id", group).set("enable.auto.commit", "false");
    let topic = topic.to_owned();
    let committing = tokio::task::spawn_blocking(move || {
        let failed = |source| Error::Kafka { doing: "set the offsets of a group", source };
        let consumer: BaseConsumer = BaseConsumer::from_config(&client).map_err(Error::Config)?;
        let mut start = TopicPartitionList::with_capacity(numbers.len());
        for number in numbers.into_keys() {
            start.add_partition_offset(&topic, number, Offset::Offset(0)).map_err(failed)?;
        }
        consumer.commit(&start, CommitMode::Sync).map_err(failed)
    });
    committing.await.map_err(|error| Error::Stopped(format!("setting the offsets of a group: {error}")))?
}
