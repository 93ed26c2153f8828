//! Dead letters: what no consumer could use, by cause, and what became of each.

mod book;
mod settle;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::ControlFlow,
    sync::Arc,
};

use flashsale_core::Micros;
use flashsale_schemas::Topic;
use flashsale_streaming::{Record, ScanFrom, ScanRanges, ScanUntil, Scanned, resolve, scan};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

pub(crate) use book::LetterBook;
pub use settle::{DiscardPlan, LetterVerdict, PlannedLetter, RedrivePlan, Selection, Trial};

use crate::{Error, Message, Operations, messages::message, metrics};

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LetterState {
    /// Nothing yet.
    Open,
    /// It was sent again.
    Redriven,
    /// It was given up.
    Discarded,
}

/// Where a record was when it could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LetterSource)]
pub struct Source {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What an operator did about a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LetterAct)]
pub struct LetterAct {
    /// `REDRIVE` or `DISCARD`.
    #[schema(example = "REDRIVE")]
    pub action: String,
    /// Who.
    pub by: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Why.
    #[schema(required = true)]
    pub reason: Option<String>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Its partition and offset among the dead letters.
    #[schema(example = "3-17")]
    pub id: String,
    /// What became of it.
    pub state: LetterState,
    /// Why it could not be used, in a word.
    #[schema(example = "bad_magic")]
    pub class: String,
    /// Why, in a sentence.
    pub message: String,
    /// Which consumer could not use it.
    pub consumer: String,
    /// How often that was tried.
    pub attempts: u32,
    /// When it was rejected first.
    #[schema(format = DateTime)]
    pub first_seen: String,
    /// When it was rejected last.
    #[schema(format = DateTime)]
    pub last_seen: String,
    /// Where it was; `null` when it does not say, and then it cannot be sent again.
    #[schema(required = true)]
    pub source: Option<Source>,
    /// Its key.
    #[schema(required = true)]
    pub key: Option<String>,
    /// What was done about it.
    #[schema(required = true)]
    pub act: Option<LetterAct>,
}

/// Open letters that have a cause in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LetterCause)]
pub struct Cause {
    /// The cause in a word.
    pub class: String,
    /// Which consumer.
    pub consumer: String,
    /// What the newest of them says.
    pub message: String,
    /// How many.
    pub count: u64,
    /// When the first was rejected.
    #[schema(format = DateTime)]
    pub first_seen: String,
    /// When the last was.
    #[schema(format = DateTime)]
    pub last_seen: String,
}

/// Dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Letters {
    /// How many are open.
    pub open: u64,
    /// How many were sent again.
    pub redriven: u64,
    /// How many were given up.
    pub discarded: u64,
    /// The causes of the open ones, the most frequent first.
    pub groups: Vec<Cause>,
    /// Letters, the newest first.
    pub letters: Vec<Letter>,
    /// Whether there are more.
    pub more: bool,
}

/// A dead letter and what is in it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LetterDetails {
    /// The letter.
    #[serde(flatten)]
    pub letter: Letter,
    /// Its record.
    #[serde(flatten)]
    pub record: LetterRecord,
}

/// What is in a dead letter.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LetterRecord {
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// What it says; `null` when it cannot be decoded.
    #[schema(required = true, value_type = Option<Object>)]
    pub value: Option<serde_json::Value>,
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

/// Letters that one look goes over, the newest of them.
const LOOKED_AT_MAX: i64 = 200_000;

/// Where a letter stands: partition and offset.
pub(crate) type Id = (i32, i64);

pub(crate) fn id_text((partition, offset): Id) -> String {
    format!("{partition}-{offset}")
}

/// The place that an id names.
pub(crate) fn parse_id(text: &str) -> Option<Id> {
    let (partition, offset) = text.split_once('-')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// What the headers of a letter say.
pub(crate) fn letter(record: &Scanned<'_>, act: Option<&(LetterState, LetterAct)>) -> Letter {
    let id = (record.partition, record.offset);
    said(id, record.timestamp_ms, record.key, record.headers(), act)
}

/// What a record among the dead letters says of itself, as long as nobody has done anything about it.
pub fn letter_of(record: &Record) -> Letter {
    let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let id = (record.position.partition.number, record.position.offset);
    said(id, record.timestamp_ms, record.key.as_deref(), headers, None)
}

fn said<'a>(
    id: Id,
    timestamp_ms: i64,
    key: Option<&[u8]>,
    all: impl Iterator<Item = (&'a str, &'a [u8])>,
    act: Option<&(LetterState, LetterAct)>,
) -> Letter {
    let mut headers: HashMap<&str, &[u8]> = HashMap::new();
    for (name, value) in all.filter(|(name, _)| name.starts_with("dlq.")) {
        // Of a header that is there twice the first counts, as for who sends the letter again.
        headers.entry(name).or_insert(value);
    }
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let time = |name: &str| {
        let millis = text(name).and_then(|millis| millis.parse().ok()).unwrap_or(timestamp_ms);
        Micros::from_millis(millis).to_string()
    };
    let source = || {
        let partition = text("dlq.partition")?.parse().ok()?;
        Some(Source { topic: text("dlq.topic")?, partition, offset: text("dlq.offset")?.parse().ok()? })
    };
    Letter {
        id: id_text(id),
        state: act.map_or(LetterState::Open, |(state, _)| *state),
        class: text("dlq.class").unwrap_or_else(|| "unknown".into()),
        message: text("dlq.message").unwrap_or_default(),
        consumer: text("dlq.consumer").unwrap_or_else(|| "unknown".into()),
        attempts: text("dlq.attempts").and_then(|attempts| attempts.parse().ok()).unwrap_or(1),
        first_seen: time("dlq.first_seen_ms"),
        last_seen: time("dlq.last_seen_ms"),
        source: source(),
        key: key.filter(|key| !key.is_empty()).map(|key| String::from_utf8_lossy(key).into_owned()),
        act: act.map(|(_, act)| act.clone()),
    }
}

/// Counts letters, groups the open ones, and keeps the newest that are asked for.
struct Listing {
    state: Option<LetterState>,
    class: Option<String>,
    limit: usize,
    letters: Letters,
    causes: HashMap<(String, String), Cause>,
    /// By partition, where they stand in order.
    newest: HashMap<i32, VecDeque<Letter>>,
}

impl Listing {
    fn take(&mut self, partition: i32, letter: Letter) {
        match letter.state {
            LetterState::Open => self.letters.open += 1,
            LetterState::Redriven => self.letters.redriven += 1,
            LetterState::Discarded => self.letters.discarded += 1,
        }
        if letter.state == LetterState::Open {
            let key = (letter.class.clone(), letter.consumer.clone());
            let cause = self.causes.entry(key).or_insert_with(|| Cause {
                class: letter.class.clone(),
                consumer: letter.consumer.clone(),
                message: letter.message.clone(),
                count: 0,
                first_seen: letter.first_seen.clone(),
                last_seen: letter.last_seen.clone(),
            });
            cause.count += 1;
            if letter.first_seen < cause.first_seen {
                cause.first_seen.clone_from(&letter.first_seen);
            }
            if letter.last_seen >= cause.last_seen {
                cause.last_seen.clone_from(&letter.last_seen);
                cause.message.clone_from(&letter.message);
            }
        }
        let is_wanted = self.state.is_none_or(|state| state == letter.state)
            && self.class.as_ref().is_none_or(|class| *class == letter.class);
        if is_wanted {
            let newest = self.newest.entry(partition).or_default();
            if newest.len() >= self.limit {
                newest.pop_front();
                self.letters.more = true;
            }
            newest.push_back(letter);
        }
    }

    fn finish(self) -> Letters {
        let mut letters = self.letters;
        letters.letters = self.newest.into_values().flatten().collect();
        letters.letters.sort_by(|one, other| (&other.last_seen, &other.id).cmp(&(&one.last_seen, &one.id)));
        letters.more |= letters.letters.len() > self.limit;
        letters.letters.truncate(self.limit);
        letters.groups = self.causes.into_values().collect();
        letters.groups.sort_by(|one, other| (other.count, &one.class).cmp(&(one.count, &other.class)));
        letters
    }
}

impl Operations {
    /// Dead letters, of one state and class or of all. Of very many only the newest 200,000 are looked at.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn letters(
        &self,
        state: Option<LetterState>,
        class: Option<String>,
        limit: usize,
    ) -> Result<Letters, Error> {
        let listing = Listing {
            state,
            class,
            limit,
            letters: Letters::default(),
            causes: HashMap::new(),
            newest: HashMap::new(),
        };
        let mut ranges = self.letter_ranges().await?;
        let each = LOOKED_AT_MAX / i64::try_from(ranges.len().max(1)).unwrap_or(1);
        let mut is_cut = false;
        for range in ranges.values_mut().filter(|range| range.end - range.start > each) {
            range.start = range.end - each;
            is_cut = true;
        }
        let listing = self
            .each_letter(ranges, listing, |listing, record, letter| {
                listing.take(record.partition, letter);
                ControlFlow::Continue(())
            })
            .await?;
        let mut letters = listing.finish();
        letters.more |= is_cut;
        Ok(letters)
    }

    /// One dead letter and what is in it.
    ///
    /// # Errors
    /// When there is none of that id, or the log does not answer.
    pub async fn letter(&self, id: &str) -> Result<LetterDetails, Error> {
        let none = || Error::NotFound(format!("there is no dead letter {id}; `flashsale ops dlq list` shows them"));
        let (partition, offset) = parse_id(id).ok_or_else(none)?;
        let mut ranges = self.letter_ranges().await?;
        let whole = ranges.remove(&partition).filter(|range| range.contains(&offset)).ok_or_else(none)?;
        let ranges = ScanRanges::from([(partition, offset..(offset + 1).min(whole.end))]);
        let topic: Arc<str> = self.ledger.topic(Topic::PurchaseDecisionsDlq).into();
        let found = self
            .each_letter(ranges, None, move |found, record, letter| {
                *found = Some((record.to_record(&topic), letter));
                ControlFlow::Break(())
            })
            .await?;
        let (record, letter) = found.ok_or_else(none)?;
        let record = self.readable(record).await?;
        let Message { headers, value, hex, schema_id, problem, .. } = record;
        Ok(LetterDetails { letter, record: LetterRecord { headers, value, hex, schema_id, problem } })
    }

    /// How many dead letters are open.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn letters_open(&self) -> Result<u64, Error> {
        let ranges = self.letter_ranges().await?;
        self.letters.known().await?;
        let all: u64 = ranges.values().map(|range| u64::try_from(range.end - range.start).unwrap_or(0)).sum();
        let settled = self.letters.settled_in(&ranges);
        let open = all.saturating_sub(settled);
        metrics::letters_open(open);
        Ok(open)
    }

    async fn readable(&self, record: Record) -> Result<Message, Error> {
        let decoder = self.ledger.json_decoder(Topic::PurchaseDecisionsDlq).await?;
        let reading = tokio::task::spawn_blocking(move || message(&record, Some(&decoder)));
        reading.await.map_err(|error| Error::Interrupted(error.to_string()))
    }

    async fn letter_ranges(&self) -> Result<ScanRanges, Error> {
        let topic = self.ledger.topic(Topic::PurchaseDecisionsDlq);
        Ok(resolve(self.ledger.streaming(), topic, &ScanFrom::Beginning, &ScanUntil::End).await?)
    }

    /// Folds letters, with what became of each, into `state` on a thread of its own.
    async fn each_letter<S: Send + 'static>(
        &self,
        ranges: ScanRanges,
        mut state: S,
        each: impl Fn(&mut S, &Scanned<'_>, Letter) -> ControlFlow<()> + Send + 'static,
    ) -> Result<S, Error> {
        self.letters.known().await?;
        let (config, book) = (self.ledger.streaming().clone(), self.letters.clone());
        let topic = self.ledger.topic(Topic::PurchaseDecisionsDlq).to_owned();
        // Who asked may go away.
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        let folding = tokio::task::spawn_blocking(move || {
            scan(&config, &topic, &ranges, &stop, &mut |_| (), &mut |record| {
                let act = book.act((record.partition, record.offset));
                let letter = letter(&record, act.as_ref());
                each(&mut state, &record, letter)
            })?;
            Ok::<_, flashsale_streaming::Error>(state)
        });
        Ok(folding.await.map_err(|error| Error::Interrupted(error.to_string()))??)
    }
}

#[cfg(test)]
mod tests {
    use flashsale_streaming::{Partition, Position};

    use super::*;

    #[test]
    fn nf_5_a_letter_is_shown_whatever_another_producer_wrote_into_it() {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let letter = letter_of(&Record {
            position: Position { partition: Partition { topic: "dlq".into(), number: 3 }, offset: 17 },
            key: None,
            payload: None,
            headers: vec![
                header("dlq.topic", "first"),
                header("dlq.topic", "second"),
                header("dlq.partition", "1"),
                header("dlq.offset", "7"),
                header("dlq.attempts", "-1"),
                header("dlq.first_seen_ms", "9223372036854775807"),
            ],
            timestamp_ms: i64::MIN,
        });
        let source = Source { topic: "first".into(), partition: 1, offset: 7 };
        assert_eq!((letter.id.as_str(), letter.source), ("3-17", Some(source)), "where it would be sent again");
        assert_eq!((letter.attempts, letter.state), (1, LetterState::Open));
        assert_eq!([letter.first_seen, letter.last_seen], ["1970-01-01T00:00:00.000Z"; 2], "no time that there is");
    }
}
