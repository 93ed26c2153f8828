//! The columns of each topic: name, kind, and where the value comes from. Every format is made from these.

use std::borrow::Cow;

use flashsale_core::Micros;
use flashsale_schemas::{
    Topic,
    events::{Challenge, ChangeKind, DecidedBy, Outcome, PurchaseDecision, SaleEvent, SaleState, SaleStatusRecord},
};
use serde::{Deserialize, Serialize};

use crate::{Row, Value, cell::Cell, hex};

/// Which columns a topic has, behind partition, offset, timestamp and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Those of a decision.
    PurchaseDecisions,
    /// Those of a change of a sale.
    SaleEvents,
    /// Those of a sale as it stood; all null for a tombstone.
    SaleStatus,
    /// One, `value`, with JSON in it.
    Values,
}

impl From<Topic> for Shape {
    fn from(topic: Topic) -> Self {
        match topic {
            Topic::PurchaseDecisions => Self::PurchaseDecisions,
            Topic::SaleEvents => Self::SaleEvents,
            Topic::SaleStatus => Self::SaleStatus,
            _ => Self::Values,
        }
    }
}

impl Shape {
    /// Whether there are columns for `value`.
    pub(crate) fn has_columns_for(self, value: &Value<'_>) -> bool {
        matches!(
            (self, value),
            (Self::PurchaseDecisions, Value::Decision(_))
                | (Self::SaleEvents, Value::SaleEvent(_))
                | (Self::SaleStatus, Value::SaleStatus(_) | Value::Tombstone)
                | (Self::Values, Value::Other(_) | Value::Tombstone)
        )
    }

    /// Whether a record without a value means something: that its key is removed.
    pub(crate) fn has_tombstones(self) -> bool {
        matches!(self, Self::SaleStatus | Self::Values)
    }

    /// All columns in order.
    pub(crate) fn columns(self) -> Vec<&'static Column> {
        let own = match self {
            Self::PurchaseDecisions => DECISION,
            Self::SaleEvents => EVENT,
            Self::SaleStatus => STATUS,
            Self::Values => VALUE,
        };
        RECORD.iter().chain(own).collect()
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Long,
    Flag,
    /// Text of which some comes again.
    Text,
    /// Text that hardly ever comes again, such as an id.
    Unique,
    Json,
    Millis,
    Micros,
}

/// One column.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether a row may have nothing here.
    pub(crate) optional: bool,
    source: Source,
}

/// A decision as it lies in its record.
type Decision<'a> = PurchaseDecision<Cow<'a, str>>;

#[derive(Clone, Copy)]
enum Source {
    Record(for<'a> fn(&'a Row<'a>) -> Cell<'a>),
    Decision(for<'a> fn(&'a Decision<'a>) -> Cell<'a>),
    Event(fn(&SaleEvent) -> Cell<'_>),
    Status(fn(&SaleStatusRecord) -> Cell<'_>),
}

impl Column {
    /// The value of `row` here.
    pub(crate) fn cell<'a>(&self, row: &'a Row<'a>) -> Cell<'a> {
        match (self.source, &row.value) {
            (Source::Record(get), _) => get(row),
            (Source::Decision(get), Value::Decision(decision)) => get(decision),
            (Source::Event(get), Value::SaleEvent(event)) => get(event),
            (Source::Status(get), Value::SaleStatus(status)) => get(status),
            _ => Cell::Null,
        }
    }

    const fn or_null(self) -> Self {
        Self { optional: true, ..self }
    }
}

const fn record(name: &'static str, kind: Kind, get: for<'a> fn(&'a Row<'a>) -> Cell<'a>) -> Column {
    Column { name, kind, optional: false, source: Source::Record(get) }
}

const fn decision(name: &'static str, kind: Kind, get: for<'a> fn(&'a Decision<'a>) -> Cell<'a>) -> Column {
    Column { name, kind, optional: false, source: Source::Decision(get) }
}

const fn event(name: &'static str, kind: Kind, get: fn(&SaleEvent) -> Cell<'_>) -> Column {
    Column { name, kind, optional: false, source: Source::Event(get) }
}

/// A tombstone has none of these.
const fn status(name: &'static str, kind: Kind, get: fn(&SaleStatusRecord) -> Cell<'_>) -> Column {
    Column { name, kind, optional: true, source: Source::Status(get) }
}

/// Where the record stands: the first columns of every table.
pub(crate) static RECORD: &[Column] = &[
    record("partition", Kind::Int, |row| Cell::Int(row.partition)),
    record("offset", Kind::Long, |row| Cell::Long(row.offset)),
    record("timestamp", Kind::Millis, timestamp).or_null(),
    record("key", Kind::Text, key).or_null(),
];

static DECISION: &[Column] = &[
    decision("decision_id", Kind::Unique, |one| text(&one.decision_id)),
    decision("sale_id", Kind::Text, |one| text(&one.sale_id)),
    decision("sku", Kind::Text, |one| text(&one.sku)),
    decision("user_id", Kind::Text, |one| text(&one.user_id)),
    decision("request_id", Kind::Unique, |one| text(&one.request_id)),
    decision("outcome", Kind::Text, |one| text(outcome(one.outcome))),
    decision("reason", Kind::Text, |one| text_or_null(one.reason.as_deref())).or_null(),
    decision("sequence", Kind::Long, |one| long_or_null(one.sequence)).or_null(),
    decision("as_of_sequence", Kind::Long, |one| long_or_null(one.as_of_sequence)).or_null(),
    decision("remaining_stock", Kind::Long, |one| long_or_null(one.remaining_stock)).or_null(),
    decision("decided_at", Kind::Micros, |one| micros(one.decided_at)),
    decision("received_at", Kind::Micros, |one| one.received_at.map_or(Cell::Null, micros)).or_null(),
    decision("decided_by", Kind::Text, |one| text(decided_by(one.decided_by))),
    decision("ingest_id", Kind::Text, |one| text(&one.ingest_id)),
];

static EVENT: &[Column] = &[
    event("event_id", Kind::Unique, |one| text(&one.event_id)),
    event("sale_id", Kind::Text, |one| text(&one.sale_id)),
    event("sku", Kind::Text, |one| text(&one.sku)),
    event("kind", Kind::Text, |one| text(change(one.kind))),
    event("event_number", Kind::Long, |one| Cell::Long(one.event_number)),
    event("occurred_at", Kind::Micros, |one| micros(one.occurred_at)),
    event("reason", Kind::Text, |one| text_or_null(one.reason.as_deref())).or_null(),
    event("state", Kind::Text, |one| text(state(one.state))),
    event("paused", Kind::Flag, |one| Cell::Flag(one.paused)),
    event("as_of_sequence", Kind::Long, |one| Cell::Long(one.as_of_sequence)),
    event("product_name", Kind::Text, |one| text(&one.product_name)),
    event("initial_stock", Kind::Long, |one| Cell::Long(one.initial_stock)),
    event("start_at", Kind::Millis, |one| millis(one.start_at)),
    event("end_at", Kind::Millis, |one| millis(one.end_at)),
    event("challenge", Kind::Text, |one| text(challenge(one.challenge))),
];

static STATUS: &[Column] = &[
    status("sku", Kind::Text, |one| text(&one.sku)),
    status("sale_id", Kind::Text, |one| text(&one.sale_id)),
    status("product_name", Kind::Text, |one| text(&one.product_name)),
    status("state", Kind::Text, |one| text(state(one.state))),
    status("paused", Kind::Flag, |one| Cell::Flag(one.paused)),
    status("stock", Kind::Long, |one| Cell::Long(one.stock)),
    status("initial_stock", Kind::Long, |one| Cell::Long(one.initial_stock)),
    status("sold", Kind::Long, |one| Cell::Long(one.sold)),
    status("start_at", Kind::Millis, |one| millis(one.start_at)),
    status("end_at", Kind::Millis, |one| millis(one.end_at)),
    status("end_reason", Kind::Text, |one| text_or_null(one.end_reason.as_deref())),
    status("as_of_sequence", Kind::Long, |one| Cell::Long(one.as_of_sequence)),
    status("as_of_event", Kind::Long, |one| Cell::Long(one.as_of_event)),
    status("as_of", Kind::Micros, |one| micros(one.as_of)),
    status("challenge", Kind::Text, |one| text(challenge(one.challenge))),
];

static VALUE: &[Column] = &[record("value", Kind::Json, value).or_null()];

fn timestamp<'a>(row: &'a Row<'a>) -> Cell<'a> {
    if row.timestamp_ms > 0 { Cell::Millis(row.timestamp_ms) } else { Cell::Null }
}

/// Our keys are text; should one not be, its bytes are shown.
fn key<'a>(row: &'a Row<'a>) -> Cell<'a> {
    let Some(key) = row.key.as_deref() else { return Cell::Null };
    match std::str::from_utf8(key) {
        Ok(key) => text(key),
        Err(_) => Cell::Text(Cow::Owned(format!("0x{}", hex(key)))),
    }
}

fn value<'a>(row: &'a Row<'a>) -> Cell<'a> {
    match &row.value {
        Value::Other(value) => Cell::Json(value),
        _ => Cell::Null,
    }
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn text_or_null(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Null, |text| Cell::Text(Cow::Borrowed(text)))
}

fn long_or_null(number: Option<i64>) -> Cell<'static> {
    number.map_or(Cell::Null, Cell::Long)
}

fn micros(at: Micros) -> Cell<'static> {
    Cell::Micros(at.0)
}

fn millis(at: Micros) -> Cell<'static> {
    Cell::Millis(at.as_millis())
}

pub(crate) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "ACCEPTED",
        Outcome::AlreadyPurchased => "ALREADY_PURCHASED",
        Outcome::SoldOut => "SOLD_OUT",
        Outcome::SaleNotActive => "SALE_NOT_ACTIVE",
        Outcome::Unknown => "UNKNOWN",
    }
}

const fn decided_by(who: DecidedBy) -> &'static str {
    match who {
        DecidedBy::Redis => "REDIS",
        DecidedBy::Edge => "EDGE",
        DecidedBy::Unknown => "UNKNOWN",
    }
}

const fn change(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Created => "CREATED",
        ChangeKind::Updated => "UPDATED",
        ChangeKind::Started => "STARTED",
        ChangeKind::Paused => "PAUSED",
        ChangeKind::Resumed => "RESUMED",
        ChangeKind::Ended => "ENDED",
        ChangeKind::Deleted => "DELETED",
        ChangeKind::Unknown => "UNKNOWN",
    }
}

const fn state(state: SaleState) -> &'static str {
    match state {
        SaleState::Upcoming => "UPCOMING",
        SaleState::Active => "ACTIVE",
        SaleState::Ended => "ENDED",
        SaleState::Unknown => "UNKNOWN",
    }
}

const fn challenge(challenge: Challenge) -> &'static str {
    match challenge {
        Challenge::None => "NONE",
        Challenge::ProofOfWork => "PROOF_OF_WORK",
        Challenge::Captcha => "CAPTCHA",
        Challenge::Unknown => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::{Challenge as H, ChangeKind as C, DecidedBy as D, Outcome as O, SaleState as S, *};

    /// What a schema calls its fields, in order.
    fn fields(topic: Topic) -> Vec<String> {
        let schema: serde_json::Value = serde_json::from_str(topic.schema_text().unwrap()).unwrap();
        let fields = schema["fields"].as_array().unwrap();
        fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn columns_are_the_fields_of_the_schema_in_their_order() {
        for topic in [Topic::PurchaseDecisions, Topic::SaleEvents, Topic::SaleStatus] {
            let columns: Vec<String> =
                Shape::from(topic).columns().iter().map(|column| column.name.to_owned()).collect();
            assert_eq!(columns[..4], ["partition", "offset", "timestamp", "key"]);
            assert_eq!(columns[4..], fields(topic), "{topic}");
        }
    }

    #[test]
    fn words_are_those_of_the_schemas() {
        let word = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        for one in [O::Accepted, O::AlreadyPurchased, O::SoldOut, O::SaleNotActive, O::Unknown] {
            assert_eq!(outcome(one), word(serde_json::to_value(one).unwrap()));
        }
        for one in [D::Redis, D::Edge, D::Unknown] {
            assert_eq!(decided_by(one), word(serde_json::to_value(one).unwrap()));
        }
        let changes = [C::Created, C::Updated, C::Started, C::Paused, C::Resumed, C::Ended, C::Deleted, C::Unknown];
        for one in changes {
            assert_eq!(change(one), word(serde_json::to_value(one).unwrap()));
        }
        for one in [S::Upcoming, S::Active, S::Ended, S::Unknown] {
            assert_eq!(state(one), word(serde_json::to_value(one).unwrap()));
        }
        for one in [H::None, H::ProofOfWork, H::Captcha, H::Unknown] {
            assert_eq!(challenge(one), word(serde_json::to_value(one).unwrap()));
        }
    }
}
