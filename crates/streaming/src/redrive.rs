//! Dead letters, sent once more to where they came from.

use std::time::SystemTime;

use crate::{
    Header, NotDelivered, Position, Producer, Record,
    dead_letter::{ORIGIN, header},
};

/// Header of a record that was sent again: when, in milliseconds since 1970.
pub(crate) const REDRIVEN_AT: &str = "dlq.redriven_at_ms";
/// Header of a letter: the topic that the record was read from.
const TOPIC: &str = "dlq.topic";

/// Where the record of a letter stood first; letters of earlier versions say only where it stood last.
pub fn origin_of(letter: &Record) -> Option<String> {
    let last = || {
        let (topic, partition) = (header(letter, TOPIC)?, header(letter, "dlq.partition")?);
        Some(format!("{topic}[{partition}]@{}", header(letter, "dlq.offset")?))
    };
    header(letter, ORIGIN).or_else(last)
}

/// Of a record that was a dead letter and sent again: where it stood first.
pub fn redriven_from(record: &Record) -> Option<String> {
    if record.headers.is_empty() {
        return None;
    }
    header(record, REDRIVEN_AT).and_then(|_| header(record, ORIGIN))
}

/// Why a letter was not sent again.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// It does not say where it came from.
    #[error("the record at {0} is no dead letter: it lacks the header dlq.topic")]
    NoLetter(Position),
    /// Whether the log has it is not known; sending it once more does no harm.
    #[error("send a dead letter again")]
    NotDelivered(#[from] NotDelivered),
}

/// Sends the bytes of `letter` to the topic they came from, and returns once the log has them. Its headers go along,
/// so a letter that comes back has one attempt more and the time when it was first seen.
///
/// May be repeated: who reads the topic takes repeats without effect.
///
/// # Errors
/// When `letter` is none, or the log does not take it.
pub async fn redrive(producer: &Producer, letter: &Record) -> Result<(), RedriveError> {
    let no_letter = || RedriveError::NoLetter(letter.position.clone());
    let topic = topic_of(letter).ok_or_else(no_letter)?;
    let key = letter.key.as_deref().unwrap_or_default();
    producer.deliver(topic, key, letter.payload.as_deref(), &headers(letter)).await?;
    Ok(())
}

fn topic_of(letter: &Record) -> Option<&str> {
    let (_, topic) = letter.headers.iter().find(|(name, _)| name == TOPIC)?;
    std::str::from_utf8(topic).ok()
}

/// The headers that a letter goes back with.
pub fn headers(letter: &Record) -> Vec<Header> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let known = letter.headers.iter().filter(|(name, _)| name != REDRIVEN_AT && name != ORIGIN).cloned();
    let origin = origin_of(letter).map(|origin| (ORIGIN.to_owned(), origin.into_bytes()));
    known.chain(origin).chain([(REDRIVEN_AT.to_owned(), now.to_string().into_bytes())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Partition, Rejection, dead_letter};

    fn values<'a>(record: &'a Record, name: &str) -> Vec<&'a str> {
        let found = record.headers.iter().filter(|(known, _)| known == name);
        found.map(|(_, value)| std::str::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn f_25_a_letter_that_comes_back_has_one_attempt_more() {
        let partition = Partition { topic: "t".into(), number: 3 };
        let mut record = Record {
            position: Position { partition, offset: 77 },
            key: None,
            payload: None,
            headers: vec![("traceparent".into(), b"00-1".to_vec())],
            timestamp_ms: 0,
        };
        let rejection = Rejection::new("bad_magic", "first byte is 7");
        for attempt in ["1", "2", "3"] {
            record.headers = dead_letter::headers(&record, &rejection, "sink-postgres");
            assert_eq!(values(&record, "dlq.attempts"), [attempt]);
            assert!(values(&record, REDRIVEN_AT).is_empty(), "of the way there, not of the letter");
            assert_eq!(topic_of(&record), Some("t"));
            record.headers = headers(&record);
            assert_eq!(values(&record, REDRIVEN_AT).len(), 1);
            assert_eq!(values(&record, "traceparent"), ["00-1"]);
        }
    }

    #[test]
    fn a_record_without_a_topic_is_no_letter() {
        let partition = Partition { topic: "t".into(), number: 0 };
        let position = Position { partition, offset: 1 };
        let record = Record { position, key: None, payload: None, headers: Vec::new(), timestamp_ms: 0 };
        assert_eq!(topic_of(&record), None);
    }
}
