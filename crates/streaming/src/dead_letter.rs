//! Dead letters: the bytes as they came, and why nobody could use them.

use std::time::SystemTime;

use crate::{Header, NotDelivered, Producer, Record, Rejection};

/// Writes rejected records to the topic of dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    producer: Producer,
    topic: String,
    consumer: String,
}

impl DeadLetters {
    /// Writes to `topic` on behalf of `consumer`.
    pub fn new(producer: Producer, topic: impl Into<String>, consumer: impl Into<String>) -> Self {
        Self { producer, topic: topic.into(), consumer: consumer.into() }
    }

    /// Returns once the log holds the letter, so the offset may move on.
    pub async fn bury(&self, record: &Record, rejection: &Rejection) -> Result<(), NotDelivered> {
        let headers = headers(record, rejection, &self.consumer);
        let key = record.key.as_deref().unwrap_or_default();
        self.producer.deliver(&self.topic, key, record.payload.as_deref(), &headers).await
    }
}

/// Header of a letter: where the record stood first, however often it was sent again.
pub(crate) const ORIGIN: &str = "dlq.origin";

pub(crate) fn header(record: &Record, name: &str) -> Option<String> {
    let (_, value) = record.headers.iter().find(|(known, _)| known == name)?;
    String::from_utf8(value.clone()).ok()
}

/// The headers of a letter that `consumer` writes about `record`: the record's own, and in `dlq.*` where it was, why it
/// is here, how often and when.
pub fn headers(record: &Record, rejection: &Rejection, consumer: &str) -> Vec<Header> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis()).to_string();
    let attempts: u32 = header(record, "dlq.attempts").and_then(|n| n.parse().ok()).unwrap_or(0);
    let first_seen = header(record, "dlq.first_seen_ms").unwrap_or_else(|| now.clone());
    let origin = header(record, ORIGIN).unwrap_or_else(|| record.position.to_string());
    let ours = [
        ("dlq.topic", record.position.partition.topic.to_string()),
        ("dlq.partition", record.position.partition.number.to_string()),
        ("dlq.offset", record.position.offset.to_string()),
        ("dlq.class", rejection.class.to_owned()),
        ("dlq.message", rejection.message.chars().take(1_000).collect()),
        ("dlq.attempts", attempts.saturating_add(1).to_string()),
        ("dlq.first_seen_ms", first_seen),
        ("dlq.last_seen_ms", now),
        ("dlq.consumer", consumer.to_owned()),
        (ORIGIN, origin),
    ];
    let theirs = record.headers.iter().filter(|(name, _)| !name.starts_with("dlq.")).cloned();
    theirs.chain(ours.map(|(name, value)| (name.to_owned(), value.into_bytes()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Partition, Position};

    #[test]
    fn f_20_headers_say_where_the_record_was_and_count_the_tries() {
        let partition = Partition { topic: "t".into(), number: 3 };
        let mut record = Record {
            position: Position { partition, offset: 77 },
            key: None,
            payload: None,
            headers: vec![("traceparent".into(), b"00-1".to_vec())],
            timestamp_ms: 0,
        };
        let rejection = Rejection::new("bad_magic", "first byte is 7");
        record.headers = headers(&record, &rejection, "sink-postgres");
        let expected = [
            ("traceparent", "00-1"),
            ("dlq.topic", "t"),
            ("dlq.partition", "3"),
            ("dlq.offset", "77"),
            ("dlq.class", "bad_magic"),
            ("dlq.message", "first byte is 7"),
            ("dlq.attempts", "1"),
            ("dlq.consumer", "sink-postgres"),
        ];
        for (name, value) in expected {
            assert_eq!(header(&record, name).as_deref(), Some(value), "{name}");
        }
        let first_seen = header(&record, "dlq.first_seen_ms");
        record.headers = headers(&record, &rejection, "sink-postgres");
        assert_eq!(header(&record, "dlq.attempts").as_deref(), Some("2"));
        assert_eq!(header(&record, "dlq.first_seen_ms"), first_seen);
        assert_eq!(record.headers.len(), 11, "nothing twice");
        record.position.offset = 99;
        record.headers = headers(&record, &rejection, "sink-postgres");
        assert_eq!(header(&record, ORIGIN).as_deref(), Some("t[3]@77"), "where it stood first");
    }
}
