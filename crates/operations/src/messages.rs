//! What is in a topic, decoded.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use flashsale_core::Micros;
use flashsale_ledger::{JsonDecoder, hex, schema_id};
use flashsale_streaming::{Record, ScanFrom, ScanRanges, ScanUntil, resolve, scan};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{Error, Operations};

/// Records that one look may go over in search of those that are wanted.
const SCANNED_MAX: u64 = 200_000;
/// The newest records of a partition that a look backwards takes first; each further look takes four times as many.
const BACKWARDS_MIN: i64 = 500;
/// Bytes of a value that is shown as hexadecimal digits.
const HEX_BYTES_MAX: usize = 64 * 1024;

/// Where looking begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the newest records, backwards.
    Newest,
    /// At this offset.
    Offset(i64),
    /// At this time, in milliseconds since 1970.
    Time(i64),
}

/// Which records are wanted; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In the key.
    pub key: Option<String>,
    /// The field `sku`.
    pub sku: Option<String>,
    /// The field `user_id`.
    pub user: Option<String>,
    /// The field `outcome`.
    pub outcome: Option<String>,
    /// A header and its value.
    pub header: Option<(String, String)>,
}

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct Browse {
    /// The topic.
    pub topic: String,
    /// One partition, or all.
    pub partition: Option<i32>,
    /// Where to begin.
    pub start: Start,
    /// Most records.
    pub limit: usize,
    /// Which of them.
    pub filter: Filter,
}

/// A record, readable.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// When it was written; `null` when it carries no time.
    #[schema(required = true, format = DateTime)]
    pub timestamp: Option<String>,
    /// Its key.
    #[schema(required = true)]
    pub key: Option<String>,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// What it says; `null` when it says nothing or cannot be decoded.
    #[schema(required = true, value_type = Option<Object>)]
    pub value: Option<Value>,
    /// Its bytes, when they cannot be decoded.
    #[schema(required = true)]
    pub hex: Option<String>,
    /// The id of its schema, when it names one.
    #[schema(required = true)]
    pub schema_id: Option<u32>,
    /// Why it cannot be decoded.
    #[schema(required = true)]
    pub problem: Option<String>,
}

/// A look into a topic.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Messages {
    /// The topic.
    pub topic: String,
    /// What was found: the newest first, or in the order of the log.
    pub messages: Vec<Message>,
    /// Records that were gone over.
    pub scanned: u64,
    /// Where to look on, by partition; `null` when that was all.
    #[schema(required = true)]
    pub next: Option<BTreeMap<i32, i64>>,
}

/// The bytes as hexadecimal digits; where they get too many, an ellipsis stands for the rest.
fn shortened(bytes: &[u8]) -> String {
    match bytes.get(..HEX_BYTES_MAX) {
        Some(first) if bytes.len() > HEX_BYTES_MAX => hex(first) + "…",
        _ => hex(bytes),
    }
}

/// A record, readable; blocks while a schema is asked for.
pub(crate) fn message(record: &Record, decoder: Option<&JsonDecoder>) -> Message {
    let payload = record.payload.as_deref();
    let (value, problem) = match (payload, decoder) {
        (None, _) => (None, None),
        (Some(_), None) => (None, Some("the topic is not ours, so its schema is not known".to_owned())),
        (Some(payload), Some(decoder)) => match decoder.decode(payload) {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(crate::chain(&error))),
        },
    };
    let header = |(name, value): &(String, Vec<u8>)| (name.clone(), String::from_utf8_lossy(value).into_owned());
    Message {
        partition: record.position.partition.number,
        offset: record.position.offset,
        timestamp: Some(record.timestamp_ms).filter(|ms| *ms > 0).map(|ms| Micros::from_millis(ms).to_string()),
        key: record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
        headers: record.headers.iter().map(header).collect(),
        hex: payload.filter(|_| value.is_none()).map(shortened),
        schema_id: payload.and_then(schema_id),
        value,
        problem,
    }
}

impl Filter {
    fn takes(&self, message: &Message) -> bool {
        let field = |name: &str, wanted: &Option<String>| {
            let is = |wanted: &String| message.value.as_ref().and_then(|value| value[name].as_str()) == Some(wanted);
            wanted.as_ref().is_none_or(is)
        };
        let key = |wanted: &String| message.key.as_ref().is_some_and(|key| key.contains(wanted));
        let header = |(name, value): &(String, String)| message.headers.get(name) == Some(value);
        self.key.as_ref().is_none_or(key)
            && self.header.as_ref().is_none_or(header)
            && field("sku", &self.sku)
            && field("user_id", &self.user)
            && field("outcome", &self.outcome)
    }

    fn takes_all(&self) -> bool {
        let Self { key, sku, user, outcome, header } = self;
        [key, sku, user, outcome].into_iter().all(Option::is_none) && header.is_none()
    }
}

/// What a look needs on its thread.
struct Looker {
    config: flashsale_streaming::Config,
    topic: Arc<str>,
    decoder: Option<JsonDecoder>,
    filter: Filter,
    limit: usize,
}

impl Operations {
    /// Looks into a topic without any effect on those who read it.
    ///
    /// # Errors
    /// When there is no such topic or partition, or the brokers do not answer.
    pub async fn messages(&self, browse: &Browse) -> Result<Messages, Error> {
        let config = self.ledger.streaming();
        let topic = &browse.topic;
        let decoder = match self.ledger.topic_called(topic) {
            Some(ours) => Some(self.ledger.json_decoder(ours).await?),
            None => None,
        };
        // Also tells whether there is such a topic.
        self.topics(Some(topic)).await?;
        let mut whole = resolve(config, topic, &ScanFrom::Beginning, &ScanUntil::End).await?;
        if let Some(partition) = browse.partition {
            whole.retain(|number, _| *number == partition);
            if whole.is_empty() {
                return Err(Error::NotFound(format!("{topic} has no partition {partition}")));
            }
        }
        let looker = Looker {
            config: config.clone(),
            topic: topic.as_str().into(),
            decoder,
            filter: browse.filter.clone(),
            limit: browse.limit,
        };
        let forwards = match browse.start {
            Start::Newest => None,
            Start::Offset(offset) => Some(ScanFrom::Offsets(whole.keys().map(|number| (*number, offset)).collect())),
            Start::Time(millis) => Some(ScanFrom::Time(millis)),
        };
        let ranges = match &forwards {
            Some(from) => {
                let mut ranges = resolve(config, topic, from, &ScanUntil::End).await?;
                ranges.retain(|number, _| whole.contains_key(number));
                ranges
            }
            None => whole,
        };
        // Who asked may go away.
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        let looking = tokio::task::spawn_blocking(move || match forwards {
            Some(_) => looker.forwards(&ranges, &stop),
            None => looker.backwards(&ranges, &stop),
        });
        Ok(looking.await.map_err(|error| Error::Interrupted(error.to_string()))??)
    }
}

impl Looker {
    fn forwards(&self, ranges: &ScanRanges, stop: &CancellationToken) -> Result<Messages, flashsale_streaming::Error> {
        let (mut messages, mut scanned) = (Vec::new(), 0);
        let reached = scan(&self.config, &self.topic, ranges, stop, &mut |_| (), &mut |record| {
            scanned += 1;
            let message = message(&record.to_record(&self.topic), self.decoder.as_ref());
            if self.filter.takes(&message) {
                messages.push(message);
            }
            if messages.len() >= self.limit || scanned >= SCANNED_MAX {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        let is_end = reached.iter().all(|(number, next)| ranges.get(number).is_none_or(|range| *next >= range.end));
        let next = (!is_end).then_some(reached);
        Ok(Messages { topic: self.topic.to_string(), messages, scanned, next })
    }

    fn backwards(&self, whole: &ScanRanges, stop: &CancellationToken) -> Result<Messages, flashsale_streaming::Error> {
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let mut step = if self.filter.takes_all() { limit } else { BACKWARDS_MIN.max(limit) };
        let mut left = whole.clone();
        let (mut messages, mut scanned): (Vec<Message>, u64) = (Vec::new(), 0);
        // How far back in time each partition was looked at.
        let mut oldest: BTreeMap<i32, i64> = BTreeMap::new();
        while scanned < SCANNED_MAX {
            // The last of those that would be shown: whoever may have a newer one is looked at further.
            let bar = messages.get(self.limit - 1).and_then(|last| last.timestamp.clone());
            let may_have = |number: &i32| match (&bar, oldest.get(number)) {
                (Some(bar), Some(millis)) => Micros::from_millis(*millis).to_string() > *bar,
                _ => true,
            };
            let newest: ScanRanges = left
                .iter()
                .filter(|(number, range)| !range.is_empty() && may_have(number))
                .map(|(number, range)| (*number, range.end.saturating_sub(step).max(range.start)..range.end))
                .collect();
            if newest.is_empty() {
                break;
            }
            scan(&self.config, &self.topic, &newest, stop, &mut |_| (), &mut |record| {
                scanned += 1;
                let first = oldest.entry(record.partition).or_insert(record.timestamp_ms);
                *first = (*first).min(record.timestamp_ms);
                let message = message(&record.to_record(&self.topic), self.decoder.as_ref());
                if self.filter.takes(&message) {
                    messages.push(message);
                }
                ControlFlow::Continue(())
            })?;
            for (number, looked) in newest {
                if let Some(range) = left.get_mut(&number) {
                    range.end = looked.start;
                }
            }
            step = step.saturating_mul(4);
            messages.sort_by(|one, other| (&other.timestamp, other.offset).cmp(&(&one.timestamp, one.offset)));
            messages.truncate(self.limit);
        }
        Ok(Messages { topic: self.topic.to_string(), messages, scanned, next: None })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_condition_must_hold() {
        let message = Message {
            partition: 0,
            offset: 1,
            timestamp: None,
            key: Some("06C5HN3T8Q2Z:ann".into()),
            headers: [("a".to_owned(), "b".to_owned())].into(),
            value: Some(json!({ "sku": "DEMO", "user_id": "ann", "outcome": "ACCEPTED" })),
            hex: None,
            schema_id: Some(1),
            problem: None,
        };
        let some = |text: &str| Some(text.to_owned());
        let all = Filter {
            key: some(":ann"),
            sku: some("DEMO"),
            user: some("ann"),
            outcome: some("ACCEPTED"),
            header: Some(("a".into(), "b".into())),
        };
        assert!(all.takes(&message) && Filter::default().takes(&message) && Filter::default().takes_all());
        for one in [
            Filter { key: some("bob"), ..all.clone() },
            Filter { sku: some("OTHER"), ..all.clone() },
            Filter { user: some("an"), ..all.clone() },
            Filter { outcome: some("SOLD_OUT"), ..all.clone() },
            Filter { header: Some(("a".into(), "c".into())), ..all.clone() },
        ] {
            assert!(!one.takes(&message) && !one.takes_all(), "{one:?}");
        }
        assert!(!all.takes(&Message { value: None, ..message }), "what cannot be decoded has no fields");
    }
}
