//! Records of any of our topics as JSON, for people.

use flashsale_schemas::{
    DecodeError, Event, Topic,
    events::{
        ConsumerControl, ConsumerPositions, OperatorAct, PurchaseDecision, Reconciliation, SaleEvent, SaleStatusRecord,
    },
};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::{Error, Ledger, passage::decode};

/// Makes JSON of the records of one topic, with the names of its schema.
pub struct JsonDecoder(Box<Decode>);

type Decode = dyn Fn(&[u8]) -> Result<Value, DecodeError> + Send + Sync;

impl std::fmt::Debug for JsonDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonDecoder").finish_non_exhaustive()
    }
}

impl JsonDecoder {
    /// The JSON of a record. Blocks while a schema is asked for.
    ///
    /// # Errors
    /// When the bytes are no record of the topic.
    pub fn decode(&self, record: &[u8]) -> Result<Value, DecodeError> {
        (self.0)(record)
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The schema id that a record names, if it has a header at all.
pub fn schema_id(record: &[u8]) -> Option<u32> {
    match record.first_chunk::<5>()? {
        [0, id @ ..] => Some(u32::from_be_bytes(*id)),
        _ => None,
    }
}

impl Ledger {
    /// A decoder of `topic`. Dead letters are decoded as what they were before they died.
    ///
    /// # Errors
    /// When its schema is not to be had.
    pub async fn json_decoder(&self, topic: Topic) -> Result<JsonDecoder, Error> {
        match topic {
            Topic::PurchaseDecisions | Topic::PurchaseDecisionsDlq => self.json::<PurchaseDecision>().await,
            Topic::SaleEvents => self.json::<SaleEvent>().await,
            Topic::SaleStatus => self.json::<SaleStatusRecord>().await,
            Topic::Reconciliations => self.json::<Reconciliation>().await,
            Topic::ConsumerControl => self.json::<ConsumerControl>().await,
            Topic::OperatorActs => self.json::<OperatorAct>().await,
            Topic::ConsumerPositions => self.json::<ConsumerPositions>().await,
        }
    }

    async fn json<T: Event>(&self) -> Result<JsonDecoder, Error> {
        let (decoder, runtime) = (self.decoder::<T>().await?, Handle::current());
        Ok(JsonDecoder(Box::new(move |record| {
            // The decoder looks unknown schemas up on this runtime.
            let _guard = runtime.enter();
            let event = decode(&decoder, record)?;
            // Our own types have text keys only, so that they always have a JSON form.
            Ok(serde_json::to_value(&event).unwrap_or_default())
        })))
    }
}
