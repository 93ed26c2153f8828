//! Settings of topics that exist.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    config::FromClientConfig,
};

use crate::{Config, Error};

/// How long the brokers may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

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
    let answers = client
        .alter_configs([&wanted], &options)
        .await
        .map_err(|source| Error::Kafka { doing: "change the settings of a topic", source })?;
    for answer in answers {
        if let Err((_, code)) = answer {
            return Err(Error::Topic { topic: topic.to_owned(), reason: code.to_string() });
        }
    }
    Ok(())
}
