//! Records of every topic that has a schema, read by the reader of every topic: who writes to a log may write anything
//! anywhere.

use std::{fmt::Debug, sync::LazyLock};

use flashsale_core::SaleStatus;
use flashsale_ledger::schema_id;
use flashsale_schemas::{
    DecodeError, Decoder, Encoder, Event, Registry,
    events::{
        ConsumerControl, ConsumerPositions, OperatorAct, PurchaseDecision, Reconciliation, SaleEvent, SaleStatusRecord,
    },
};
use futures_util::FutureExt;

/// Most bytes of JSON that a record makes: names of fields for each entry of a list that takes four bytes, and escapes.
const JSON_BYTES_PER_BYTE: usize = 16;
const JSON_BYTES_MIN: usize = 1_024;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::builtin);

/// A decoder that knows the compiled-in schemas, and the id of its own.
pub(crate) fn decoder<T: Event>() -> (u32, Decoder<T>) {
    let id = REGISTRY.id_of(T::TOPIC, T::TOPIC.name()).now_or_never();
    let id = id.expect("the compiled-in registry does no IO").expect("the topic of an event has a schema");
    (id, Decoder::new(id, REGISTRY.clone()))
}

/// Reads and writes the events of one topic.
pub(crate) struct Codec<T> {
    id: u32,
    encoder: Encoder<T>,
    decoder: Decoder<T>,
}

impl<T: Event + PartialEq + Debug> Codec<T> {
    pub(crate) fn new() -> Self {
        let (id, decoder) = decoder();
        Self { id, encoder: Encoder::new(id), decoder }
    }

    /// The event in a record. What can be read can be written, in Avro and in JSON, and is the same when it is read
    /// again; what cannot be read says why.
    pub(crate) fn read(&self, record: &[u8]) -> Option<T> {
        let event = match self.decoder.decode(record) {
            Ok(event) => event,
            Err(error) => {
                refused(record, &error);
                return None;
            }
        };
        let written = self.encoder.encode(&event).expect("what was read can be written");
        assert_eq!(self.decoder.decode(&written).expect("what was written can be read"), event);
        if schema_id(record) == Some(self.id) {
            assert!(written.len() <= record.len(), "{} bytes became {}", record.len(), written.len());
        }
        let json = serde_json::to_vec(&event).expect("an event has a JSON form");
        let json_max = JSON_BYTES_MIN + JSON_BYTES_PER_BYTE * record.len();
        assert!(json.len() <= json_max, "{} bytes became {} of JSON", record.len(), json.len());
        assert_eq!(serde_json::from_slice::<T>(&json).expect("the JSON of an event can be read"), event);
        Some(event)
    }
}

/// A refusal is about these bytes and stays one.
fn refused(record: &[u8], error: &DecodeError) {
    assert!(error.is_data_error(), "nothing has to be waited for: {error}");
    assert!(!error.class().is_empty() && !error.to_string().is_empty());
    match error {
        DecodeError::TooShort(bytes) => assert!(*bytes == record.len() && *bytes < 5),
        DecodeError::BadMagic(byte) => assert!(*byte != 0 && record.first() == Some(byte)),
        DecodeError::UnknownSchema(id) | DecodeError::Datum { id, .. } => assert_eq!(schema_id(record), Some(*id)),
        DecodeError::SchemaPending(_) => {}
    }
}

struct Codecs {
    decision: Codec<PurchaseDecision>,
    event: Codec<SaleEvent>,
    status: Codec<SaleStatusRecord>,
    reconciliation: Codec<Reconciliation>,
    control: Codec<ConsumerControl>,
    act: Codec<OperatorAct>,
    positions: Codec<ConsumerPositions>,
}

static CODECS: LazyLock<Codecs> = LazyLock::new(|| Codecs {
    decision: Codec::new(),
    event: Codec::new(),
    status: Codec::new(),
    reconciliation: Codec::new(),
    control: Codec::new(),
    act: Codec::new(),
    positions: Codec::new(),
});

/// Feeds a record, with its header, to the readers of all topics.
pub fn avro(data: &[u8]) {
    CODECS.decision.read(data);
    CODECS.reconciliation.read(data);
    CODECS.control.read(data);
    CODECS.act.read(data);
    CODECS.positions.read(data);
    if let Some(event) = CODECS.event.read(data) {
        SaleStatus::try_from(&event).map_or_else(|error| invalid(&error), |status| sale(&status));
    }
    if let Some(record) = CODECS.status.read(data) {
        SaleStatus::try_from(&record).map_or_else(|error| invalid(&error), |status| sale(&status));
    }
}

/// A sale that was read can be told on, and is the same there.
fn sale(status: &SaleStatus) {
    let record = SaleStatusRecord::from(status);
    assert_eq!(SaleStatus::try_from(&record).as_ref(), Ok(status));
    assert!(status.stock() <= status.config.initial_stock);
}

fn invalid(error: &flashsale_schemas::events::InvalidEvent) {
    assert!(!error.field.is_empty() && !error.problem.is_empty());
}
