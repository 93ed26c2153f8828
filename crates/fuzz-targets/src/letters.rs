//! Dead letters: the headers with which a record is buried, shown, sent again and buried once more.

use bytes::Bytes;
use flashsale_operations::{Letter, LetterState, Source, letter_of};
use flashsale_schemas::events::PurchaseDecision;
use flashsale_sinks::postgres::stage;
use flashsale_streaming::{
    Header, Outcome, Partition, Position, Record, Rejection, letter_headers, origin_of, redriven_from, redriven_headers,
};

use crate::{avro::decoder, framing::parts};

const CONSUMER: &str = "flashsale-sink-postgres";
const TOPIC: &str = "flashsale.purchase-decisions.v1";
const DLQ: &str = "flashsale.purchase-decisions.dlq.v1";
/// Longest message of a letter, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;
/// Most bytes of JSON that a byte of a letter makes, and what every letter takes.
const JSON_BYTES_PER_BYTE: usize = 6;
const JSON_BYTES_MIN: usize = 1_024;

/// Feeds a record, its headers as lines and its value as the body, to all that has to do with dead letters.
pub fn letters(data: &[u8]) {
    let (lines, value) = parts(data);
    let header = |(name, value): (&[u8], &[u8])| (String::from_utf8_lossy(name).into_owned(), value.to_vec());
    let record = Record {
        position: at(TOPIC, 3, 17),
        key: Some(Bytes::copy_from_slice(value)),
        payload: (!value.is_empty()).then(|| Bytes::copy_from_slice(value)),
        headers: lines.into_iter().map(header).collect(),
        timestamp_ms: i64::MAX,
    };
    // Whoever writes to the topic of dead letters may write anything: it is shown all the same.
    shown(&record, data.len());
    let sent = Record { headers: redriven_headers(&record), ..record.clone() };
    assert_eq!(redriven_from(&sent), origin_of(&record));

    let rejection = rejection(&record);
    let letter = buried(&record, &rejection);
    let said = shown(&letter, data.len());
    let source = Source { topic: TOPIC.to_owned(), partition: 3, offset: 17 };
    assert_eq!((said.source.as_ref(), said.consumer.as_str()), (Some(&source), CONSUMER));
    let message: String = rejection.message.chars().take(MESSAGE_CHARS_MAX).collect();
    assert_eq!((said.class.as_str(), said.message.as_str()), (rejection.class, message.as_str()));
    let origin = origin_of(&letter).expect("a letter says where it comes from");

    let sent = Record { headers: redriven_headers(&letter), ..record.clone() };
    assert_eq!(redriven_from(&sent).as_ref(), Some(&origin));
    let letter = buried(&sent, &rejection);
    let again = shown(&letter, data.len());
    assert_eq!(again.attempts, said.attempts.saturating_add(1));
    assert_eq!((origin_of(&letter), again.first_seen), (Some(origin), said.first_seen), "it is still the first time");
}

fn at(topic: &str, number: i32, offset: i64) -> Position {
    Position { partition: Partition { topic: topic.into(), number }, offset }
}

/// Why the Postgres sink cannot use a record; of one that it can, a reason of ours.
fn rejection(record: &Record) -> Rejection {
    let (_, decoder) = decoder::<PurchaseDecision>();
    match stage(decoder)(record) {
        Outcome::Reject(rejection) => {
            assert!(!rejection.class.is_empty() && !rejection.message.is_empty());
            rejection
        }
        Outcome::Fail(reason) => panic!("no record is a fault of the infrastructure: {reason}"),
        Outcome::Emit(_) | Outcome::Skip => Rejection::new("made_up", "a reason"),
    }
}

/// The letter about a record: its own headers as they were, ours once each.
fn buried(record: &Record, rejection: &Rejection) -> Record {
    let headers = letter_headers(record, rejection, CONSUMER);
    assert_eq!(theirs(&headers), theirs(&record.headers));
    let mut ours: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).filter(|name| is_ours(name)).collect();
    ours.sort_unstable();
    assert!(ours.windows(2).all(|pair| pair[0] != pair[1]), "{ours:?}");
    Record { position: at(DLQ, 1, 5), headers, ..record.clone() }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("dlq.")
}

fn theirs(headers: &[Header]) -> Vec<&Header> {
    headers.iter().filter(|(name, _)| !is_ours(name)).collect()
}

/// What is shown of a letter: bounded, and of the source what it would be sent to.
fn shown(record: &Record, input_bytes: usize) -> Letter {
    let letter = letter_of(record);
    assert_eq!((letter.state, letter.act.as_ref()), (LetterState::Open, None));
    let bytes = serde_json::to_vec(&letter).expect("a letter has a JSON form").len();
    let bytes_max = JSON_BYTES_MIN + JSON_BYTES_PER_BYTE * (input_bytes + 4 * MESSAGE_CHARS_MAX);
    assert!(bytes <= bytes_max, "{input_bytes} bytes became {bytes} of JSON");
    if let Some(source) = &letter.source {
        let first = record.headers.iter().find(|(name, _)| name == "dlq.topic").map(|(_, topic)| topic);
        let first = first.map(|topic| String::from_utf8_lossy(topic).into_owned());
        assert_eq!(Some(&source.topic), first.as_ref(), "shown is where it would be sent to");
    }
    letter
}
