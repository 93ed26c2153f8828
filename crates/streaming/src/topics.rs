//! Topics as the brokers have them: partitions, copies, settings.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, OwnedResourceSpecifier, ResourceSpecifier},
    client::DefaultClientContext,
    config::{FromClientConfig, FromClientConfigAndContext},
    consumer::Consumer,
    error::RDKafkaErrorCode,
};

use crate::{
    Config, Error,
    scan::once_led,
    view::{Client, Context},
};

/// How long the brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    /// Its name.
    pub name: String,
    /// The first offset of each partition and the one after its last.
    pub partitions: BTreeMap<i32, (i64, i64)>,
    /// How many copies of its first partition there are.
    pub replication: usize,
    /// Settings of its own and those that the brokers set for all.
    pub settings: BTreeMap<String, String>,
    /// Names of `settings` that were set for this topic alone.
    pub own_settings: Vec<String>,
}

/// The topics of the brokers; one of that name, or all but the brokers' own.
///
/// # Errors
/// When the brokers do not answer, or know no such topic.
pub async fn topics(config: &Config, name: Option<&str>) -> Result<Vec<TopicState>, Error> {
    let (asked, wanted) = (config.clone(), name.map(str::to_owned));
    let looking = tokio::task::spawn_blocking(move || states(&asked, wanted.as_deref()));
    let mut topics = looking.await.map_err(|error| Error::Stopped(format!("listing topics: {error}")))??;
    let client: AdminClient<DefaultClientContext> =
        AdminClient::from_config(&config.client()).map_err(Error::Config)?;
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let resources: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER_MAX));
    let answers = client.describe_configs(&resources, &options).await;
    let answers = answers.map_err(config.failed("read the settings of topics"))?;
    for answer in answers {
        let refused = |code: RDKafkaErrorCode| Error::Topic { topic: "settings".into(), reason: code.to_string() };
        let resource = answer.map_err(refused)?;
        let is_it = |topic: &&mut TopicState| matches!(&resource.specifier, OwnedResourceSpecifier::Topic(name) if *name == topic.name);
        let Some(topic) = topics.iter_mut().find(is_it) else { continue };
        for entry in resource.entries.into_iter().filter(|entry| !entry.is_sensitive) {
            let Some(value) = entry.value else { continue };
            if matches!(entry.source, ConfigSource::DynamicTopic) {
                topic.own_settings.push(entry.name.clone());
            }
            topic.settings.insert(entry.name, value);
        }
    }
    Ok(topics)
}

fn states(config: &Config, wanted: Option<&str>) -> Result<Vec<TopicState>, Error> {
    let kafka = config.failed("list topics");
    let mut client = config.client();
    client.set("group.id", "flashsale-topics");
    let client = Client::from_config_and_context(&client, Context::of(config)).map_err(Error::Config)?;
    let metadata = client.fetch_metadata(None, ANSWER_MAX).map_err(&kafka)?;
    let is_wanted = |name: &str| wanted.map_or(!name.starts_with("__"), |wanted| wanted == name);
    let mut topics = Vec::new();
    for topic in metadata.topics().iter().filter(|topic| is_wanted(topic.name())) {
        let mut partitions = BTreeMap::new();
        for partition in topic.partitions() {
            let ends =
                once_led(|| client.fetch_watermarks(topic.name(), partition.id(), ANSWER_MAX)).map_err(&kafka)?;
            partitions.insert(partition.id(), ends);
        }
        topics.push(TopicState {
            name: topic.name().to_owned(),
            partitions,
            replication: topic.partitions().first().map_or(0, |first| first.replicas().len()),
            settings: BTreeMap::new(),
            own_settings: Vec::new(),
        });
    }
    if let (Some(wanted), true) = (wanted, topics.is_empty()) {
        return Err(Error::Topic { topic: wanted.to_owned(), reason: "the brokers know no such topic".into() });
    }
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(topics)
}

/// Replaces the settings of `topic`. Those that are not named go back to the defaults of the brokers.
///
/// # Errors
/// When the brokers do not answer, or refuse a setting.
pub async fn replace_settings(config: &Config, topic: &str, settings: &BTreeMap<String, String>) -> Result<(), Error> {
    let client: AdminClient<DefaultClientContext> =
        AdminClient::from_config(&config.client()).map_err(Error::Config)?;
    let wanted = settings
        .iter()
        .fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |wanted, (key, value)| wanted.set(key, value));
    let options = AdminOptions::new().request_timeout(Some(ANSWER_MAX));
    let answers =
        client.alter_configs([&wanted], &options).await.map_err(config.failed("change the settings of a topic"))?;
    for answer in answers {
        if let Err((_, code)) = answer {
            return Err(Error::Topic { topic: topic.to_owned(), reason: code.to_string() });
        }
    }
    Ok(())
}
