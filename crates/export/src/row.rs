//! What an export is made of.

use std::borrow::Cow;

use flashsale_schemas::events::{PurchaseDecision, SaleEvent, SaleStatusRecord};

/// A record of a topic. Its key, and the texts and bytes of its value, may lie where it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970 as the producer or broker stamped it; 0 or less when unknown.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Cow<'a, [u8]>>,
    /// The schema that it was written with, by its id in the registry.
    pub schema_id: Option<u32>,
    /// Its value.
    pub value: Value<'a>,
}

/// The value of a record, decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// What became of an attempt.
    Decision(PurchaseDecision<Cow<'a, str>>),
    /// A change of a sale.
    SaleEvent(SaleEvent),
    /// A sale as it stood.
    SaleStatus(SaleStatusRecord),
    /// Of a topic without columns of its own.
    Other(serde_json::Value),
    /// There is none: the record removes its key from a compacted topic.
    Tombstone,
    /// No decoder could read it.
    Unreadable {
        /// Why not.
        problem: String,
        /// The bytes as they came.
        bytes: Cow<'a, [u8]>,
    },
}

impl Row<'_> {
    /// The SKU that the record is about, as far as it says.
    pub(crate) fn sku(&self) -> Option<&str> {
        match &self.value {
            Value::Decision(decision) => Some(&decision.sku),
            Value::SaleEvent(event) => Some(&event.sku),
            Value::SaleStatus(status) => Some(&status.sku),
            Value::Other(value) => value.get("sku").and_then(serde_json::Value::as_str),
            // Compacted topics of sales are keyed by SKU.
            Value::Tombstone => self.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()),
            Value::Unreadable { .. } => None,
        }
    }

    /// The unit that the record is about: sold now, or held already.
    pub(crate) fn sequence(&self) -> Option<i64> {
        match &self.value {
            Value::Decision(decision) => decision.sequence,
            _ => None,
        }
    }
}
