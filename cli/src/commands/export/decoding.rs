//! Records of any topic, as rows of an export.

use flashsale_export::{Row, Value};
use flashsale_ledger::{JsonDecoder, Ledger, decode, hex, schema_id};
use flashsale_schemas::{
    DecodeError, Decoder, Topic,
    events::{PurchaseDecision, SaleEvent, SaleStatusRecord},
};
use flashsale_streaming::Scanned;
use serde_json::{Map, json};

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

    /// The row of a record. Blocks while its schema is asked for.
    ///
    /// # Errors
    /// When the registry does not say in time what the schema is: the same record may be read later.
    pub(super) fn row(&self, record: &Scanned<'_>) -> Result<Row, DecodeError> {
        let is_letter = matches!(self, Self::Letters);
        let value = match record.payload {
            _ if is_letter => Value::Other(letter(record)),
            None => Value::Tombstone,
            Some(payload) => match self.value(payload) {
                Ok(value) => value,
                Err(error) if !error.is_data_error() => return Err(error),
                Err(error) => Value::Unreadable { problem: error.to_string(), bytes: payload.to_vec() },
            },
        };
        Ok(Row {
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            // A letter may begin with anything.
            schema_id: record.payload.filter(|_| !is_letter).and_then(schema_id),
            value,
        })
    }

    fn value(&self, payload: &[u8]) -> Result<Value, DecodeError> {
        Ok(match self {
            Self::Decisions(decoder) => Value::Decision(decode(decoder, payload)?),
            Self::Events(decoder) => Value::SaleEvent(decode(decoder, payload)?),
            Self::Statuses(decoder) => Value::SaleStatus(decode(decoder, payload)?),
            Self::Json(decoder) => Value::Other(decoder.decode(payload)?),
            Self::Letters => Value::Other(json!({ "value_hex": hex(payload) })),
        })
    }
}

/// As in the examples of the topic.
fn letter(record: &Scanned<'_>) -> serde_json::Value {
    let headers: Map<String, serde_json::Value> = record
        .headers()
        .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned().into()))
        .collect();
    json!({ "headers": headers, "value_hex": record.payload.map(hex) })
}
