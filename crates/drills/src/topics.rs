//! Topics, made to refuse records and looked into.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use flashsale_schemas::Topic;
use flashsale_streaming::{Record, View, ViewConfig, read_all, replace_settings};
use tokio_util::sync::CancellationToken;

use crate::{stage::Stage, verdict};

/// How long it may take to read a topic of a drill.
const READ_MAX: Duration = Duration::from_secs(20);

/// What the paper of a topic says of its settings.
fn settings(topic: Topic) -> BTreeMap<String, String> {
    let paper = topic.paper();
    let policy = paper.cleanup_policy.as_str().to_owned();
    let retention = paper.retention_ms.map(|retention| ("retention.ms".to_owned(), retention.to_string()));
    [("cleanup.policy".to_owned(), policy)].into_iter().chain(retention).collect()
}

/// From now on the brokers refuse every record of `topic`. No record is as short as this allows; to ask for more
/// copies than there are brokers does not help, since Kafka never wants more than a topic has.
pub(crate) async fn refuse_records(stage: &Stage, topic: Topic) -> Result<()> {
    let mut settings = settings(topic);
    settings.insert("max.message.bytes".to_owned(), "1".to_owned());
    let ledger = &stage.shop.ledger;
    Ok(replace_settings(ledger.streaming(), ledger.topic(topic), &settings).await?)
}

/// They take records again.
pub(crate) async fn take_records(stage: &Stage, topic: Topic) -> Result<()> {
    let ledger = &stage.shop.ledger;
    Ok(replace_settings(ledger.streaming(), ledger.topic(topic), &settings(topic)).await?)
}

/// Partition, offset and value of every record of a topic.
pub(crate) async fn records(stage: &Stage, topic: Topic) -> Result<Vec<(i32, i64, Vec<u8>)>> {
    let (config, topic) = (stage.shop.ledger.streaming().clone(), stage.shop.ledger.topic(topic).to_owned());
    let reading = tokio::task::spawn_blocking(move || {
        let (mut records, stop) = (Vec::new(), CancellationToken::new());
        read_all(&config, &topic, &stop, &mut |record| {
            records.push((record.partition, record.offset, record.payload.unwrap_or_default().to_vec()));
        })?;
        Ok::<_, flashsale_streaming::Error>(records)
    });
    Ok(reading.await??)
}

/// Where in a topic the record with this value stands: partition and offset.
pub(crate) async fn place_of(stage: &Stage, topic: Topic, value: &[u8]) -> Result<(i32, i64)> {
    let records = records(stage, topic).await?;
    let found = records.iter().find(|(.., bytes)| bytes == value);
    found.map(|(partition, offset, _)| (*partition, *offset)).with_context(|| format!("{topic} has no such record"))
}

/// How many dead letters there are.
pub(crate) async fn letters_buried(stage: &Stage) -> Result<u64> {
    verdict::count(stage, Topic::PurchaseDecisionsDlq, &CancellationToken::new()).await
}

/// All dead letters with their headers.
pub(crate) async fn letters(stage: &Stage) -> Result<Vec<Record>> {
    let ledger = &stage.shop.ledger;
    let config =
        ViewConfig { name: "drill".to_owned(), topics: vec![ledger.topic(Topic::PurchaseDecisionsDlq).to_owned()] };
    let read = Arc::new(Mutex::new(Vec::new()));
    let into = read.clone();
    let view = View::start(ledger.streaming(), config, move |record| {
        into.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    })?;
    tokio::time::timeout(READ_MAX, view.caught_up()).await.context("read the dead letters")?;
    // Its end is that of its thread.
    tokio::task::block_in_place(|| drop(view));
    let letters = std::mem::take(&mut *read.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(letters)
}

/// A header of a record, as text.
pub(crate) fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let (_, value) = record.headers.iter().find(|(known, _)| known == name)?;
    std::str::from_utf8(value).ok()
}
