//! Records of any topic, as rows of an export.

use std::borrow::Cow;

use flashsale_export::{Row, Value};
use flashsale_ledger::{JsonDecoder, Ledger, decode, decode_borrowed, hex, schema_id};
use flashsale_schemas::{
    DecodeError, Decoder, Topic,
    events::{PurchaseDecision, SaleEvent, SaleStatusRecord},
};
use serde_json::json;

use super::chunk::Carried;

/// How records of one topic become rows.
pub(super) enum Decoding {
    Decisions(Decoder<PurchaseDecision>),
    Events(Decoder<SaleEvent>),
    Statuses(Decoder<SaleStatusRecord>),
    /// Of topics without columns of their own.
    Json(JsonDecoder),
    /// Records that a consumer could not use: as they came, with their headers.
    Letters,
}

impl Decoding {
    /// A decoder for the records of `topic`.
    pub(super) async fn open(ledger: &Ledger, topic: Topic) -> Result<Self, flashsale_ledger::Error> {
        Ok(match topic {
            Topic::PurchaseDecisions => Self::Decisions(ledger.decoder().await?),
            Topic::SaleEvents => Self::Events(ledger.decoder().await?),
            Topic::SaleStatus => Self::Statuses(ledger.decoder().await?),
            Topic::PurchaseDecisionsDlq => Self::Letters,
            _ => Self::Json(ledger.json_decoder(topic).await?),
        })
    }

    /// Whether rows tell of the headers.
    pub(super) fn takes_headers(&self) -> bool {
        matches!(self, Self::Letters)
    }

    /// The row of a record. Blocks while its schema is asked for.
    ///
    /// # Errors
    /// When the registry does not say in time what the schema is: the same record may be read later.
    pub(super) fn row<'a>(&self, record: &Carried<'a>) -> Result<Row<'a>, DecodeError> {
        let is_letter = matches!(self, Self::Letters);
        let value = match record.payload {
            _ if is_letter => Value::Other(letter(record)),
            None => Value::Tombstone,
            Some(payload) => match self.value(payload) {
                Ok(value) => value,
                Err(error) if !error.is_data_error() => return Err(error),
                Err(error) => Value::Unreadable { problem: error.to_string(), bytes: Cow::Borrowed(payload) },
            },
        };
        Ok(Row {
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(Cow::Borrowed),
            // A letter may begin with anything.
            schema_id: record.payload.filter(|_| !is_letter).and_then(schema_id),
            value,
        })
    }

    fn value<'a>(&self, payload: &'a [u8]) -> Result<Value<'a>, DecodeError> {
        Ok(match self {
            Self::Decisions(decoder) => Value::Decision(decode_borrowed(decoder, payload)?),
            Self::Events(decoder) => Value::SaleEvent(decode(decoder, payload)?),
            Self::Statuses(decoder) => Value::SaleStatus(decode(decoder, payload)?),
            Self::Json(decoder) => Value::Other(decoder.decode(payload)?),
            Self::Letters => Value::Other(json!({ "value_hex": hex(payload) })),
        })
    }
}

/// As in the examples of the topic.
fn letter(record: &Carried<'_>) -> serde_json::Value {
    json!({ "headers": record.headers, "value_hex": record.payload.map(hex) })
}
