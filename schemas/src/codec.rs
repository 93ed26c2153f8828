//! Records as bytes: Confluent's wire format, `0x00 | schema id (u32, big-endian) | Avro datum`.
//!
//! A datum of our own schema version is read straight into the Rust type. One of another version
//! (around a deployment) goes through schema resolution, which is slower and therefore only then.

use std::{
    any::type_name,
    borrow::Cow,
    fmt,
    io::{self, Read},
    marker::PhantomData,
    sync::Once,
};

use apache_avro::{Schema, from_value, reader::datum::GenericDatumReader, writer::datum::GenericDatumWriter};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Registry, Topic,
    datum::{ByHand, Malformed},
    events::{PurchaseDecision, decision},
    registry::{Known, RegistryError},
};

const MAGIC: u8 = 0;
const HEADER_BYTES: usize = 5;
/// What one corrupt length may make the decoder allocate: the largest record that our brokers take.
const ALLOCATION_BYTES_MAX: usize = 1 << 20;

/// A value that a topic carries.
pub trait Event: Serialize + DeserializeOwned + 'static {
    /// The topic; it must have a schema.
    const TOPIC: Topic;
    /// How it is written and read where apache-avro would cost too much.
    const BY_HAND: Option<ByHand<Self>> = None;
}

/// Why a value could not become bytes: it does not match its schema, which is a bug here.
#[derive(Debug, thiserror::Error)]
#[error("encoding a {event}")]
pub struct EncodeError {
    event: &'static str,
    source: apache_avro::Error,
}

/// Why bytes did not become a value.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not even a header.
    #[error("a record of {0} bytes is too short for a schema id")]
    TooShort(usize),
    /// The first byte is not `0x00`.
    #[error("the record starts with the byte {0:#04x}, not with 0x00")]
    BadMagic(u8),
    /// The registry has no usable schema of this id.
    #[error("the registry has no usable schema {0}")]
    UnknownSchema(u32),
    /// The schema is not known yet and is being asked for: the same bytes may decode later.
    #[error("schema {0} is not known yet")]
    SchemaPending(u32),
    /// The datum is cut off, malformed, or followed by more bytes.
    #[error("the Avro datum does not match schema {id}")]
    Datum {
        /// The writer's schema.
        id: u32,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl DecodeError {
    /// Whether the bytes themselves are bad, so that trying again cannot help.
    pub fn is_data_error(&self) -> bool {
        !matches!(self, Self::SchemaPending(_))
    }

    /// A short, stable name for metrics and dead-letter headers.
    pub fn class(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "too_short",
            Self::BadMagic(_) => "bad_magic",
            Self::UnknownSchema(_) => "unknown_schema",
            Self::SchemaPending(_) => "schema_pending",
            Self::Datum { .. } => "malformed_datum",
        }
    }
}

/// Makes records of one topic; build one and share it.
pub struct Encoder<T> {
    header: [u8; HEADER_BYTES],
    writer: GenericDatumWriter<'static>,
    event: PhantomData<fn(&T)>,
}

impl<T: Event> Encoder<T> {
    /// An encoder that marks its records with `schema_id`, see [`Registry::id_of`].
    pub fn new(schema_id: u32) -> Self {
        let writer = GenericDatumWriter::builder(own_schema::<T>()).human_readable(false).build();
        Self {
            header: header(schema_id),
            writer: writer.expect("a compiled-in schema names no other"),
            event: PhantomData,
        }
    }

    /// Appends the record of `event` to `out`, which is left as it was on an error.
    pub fn encode_into(&self, event: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let before = out.len();
        out.extend_from_slice(&self.header);
        if let Some(ByHand { write, .. }) = T::BY_HAND {
            write(event, out);
            return Ok(());
        }
        self.writer.write_ser(out, event).map(drop).map_err(|source| {
            out.truncate(before);
            EncodeError { event: type_name::<T>(), source }
        })
    }

    /// The record of `event`.
    pub fn encode(&self, event: &T) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::with_capacity(256);
        self.encode_into(event, &mut out)?;
        Ok(out)
    }
}

impl Encoder<PurchaseDecision> {
    /// As [`Encoder::encode`], whoever owns the texts.
    pub fn encode_decision<Text: AsRef<str>>(&self, event: &PurchaseDecision<Text>) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&self.header);
        decision::write(event, &mut out);
        out
    }
}

impl<T> fmt::Debug for Encoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("event", &type_name::<T>())
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// Reads records of one topic; build one and share it.
pub struct Decoder<T> {
    own_id: u32,
    reader: GenericDatumReader<'static>,
    registry: Registry,
    event: PhantomData<fn() -> T>,
}

impl<T: Event> Decoder<T> {
    /// A decoder that asks `registry` about any schema but its own, `own_id`.
    pub fn new(own_id: u32, registry: Registry) -> Self {
        static LIMIT: Once = Once::new();
        LIMIT.call_once(|| {
            apache_avro::util::max_allocation_bytes(ALLOCATION_BYTES_MAX);
        });
        let reader = GenericDatumReader::builder(own_schema::<T>()).human_readable(false).build();
        Self { own_id, reader: reader.expect("a compiled-in schema names no other"), registry, event: PhantomData }
    }

    /// The value in `record`. Never blocks: an unknown schema is looked up in the background.
    pub fn decode(&self, record: &[u8]) -> Result<T, DecodeError> {
        let (id, datum) = split(record)?;
        if id != self.own_id {
            return self.resolve(id, datum);
        }
        whole(id, datum, |datum| match T::BY_HAND {
            Some(ByHand { read, .. }) => read(datum),
            None => Ok(self.reader.read_deser(datum)?),
        })
    }

    fn resolve(&self, id: u32, datum: &[u8]) -> Result<T, DecodeError> {
        let malformed = |source| DecodeError::Datum { id, source };
        match self.registry.known(id) {
            Known::Schema(writer) => resolve(&writer, own_schema::<T>(), datum).map_err(malformed),
            Known::Unusable => Err(DecodeError::UnknownSchema(id)),
            Known::NotYet => {
                self.registry.look_up_in_background(id);
                Err(DecodeError::SchemaPending(id))
            }
        }
    }
}

impl Decoder<PurchaseDecision> {
    /// As [`Decoder::decode`], with the texts left where they are in a record of our own schema.
    pub fn decode_borrowed<'a>(&self, record: &'a [u8]) -> Result<PurchaseDecision<Cow<'a, str>>, DecodeError> {
        let (id, datum) = split(record)?;
        if id != self.own_id {
            return self.resolve(id, datum).map(|event| event.map(Cow::Owned));
        }
        whole(id, datum, decision::read)
    }
}

/// A record's schema id and its datum.
fn split(record: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    let Some((header, datum)) = record.split_first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::TooShort(record.len()));
    };
    let [MAGIC, id @ ..] = *header else { return Err(DecodeError::BadMagic(header[0])) };
    Ok((u32::from_be_bytes(id), datum))
}

/// Reads a datum of schema `id` and checks that nothing follows.
fn whole<'a, T>(
    id: u32,
    mut datum: &'a [u8],
    read: impl FnOnce(&mut &'a [u8]) -> Result<T, Malformed>,
) -> Result<T, DecodeError> {
    let malformed = |source| DecodeError::Datum { id, source };
    let event = read(&mut datum).map_err(malformed)?;
    nothing_left(datum).map(|()| event).map_err(malformed)
}

impl<T> fmt::Debug for Decoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("event", &type_name::<T>())
            .field("own_id", &self.own_id)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// An encoder and a decoder of `T` for the topic called `topic_name` on the broker.
    pub async fn codec<T: Event>(&self, topic_name: &str) -> Result<(Encoder<T>, Decoder<T>), RegistryError> {
        let id = self.id_of(T::TOPIC, topic_name).await?;
        Ok((Encoder::new(id), Decoder::new(id, self.clone())))
    }
}

fn own_schema<T: Event>() -> &'static Schema {
    T::TOPIC.schema().expect("the topic of an event has a schema")
}

fn header(id: u32) -> [u8; HEADER_BYTES] {
    let [a, b, c, d] = id.to_be_bytes();
    [MAGIC, a, b, c, d]
}

/// Reads what `writer` describes as what `reader` wants. The resolving reader goes by way of
/// `Value`, because `read_deser` panics when a reader schema is set.
fn resolve<T: Event>(writer: &Schema, reader: &Schema, datum: &[u8]) -> Result<T, Malformed> {
    let mut datum = Exact { rest: datum, ran_out: false };
    let value = GenericDatumReader::builder(writer)
        .reader_schema(reader)
        .human_readable(false)
        .build()?
        .read_value(&mut datum)?;
    if datum.ran_out {
        return Err("the datum is cut off".into());
    }
    nothing_left(datum.rest)?;
    Ok(from_value(&value)?)
}

fn nothing_left(rest: &[u8]) -> Result<(), Malformed> {
    match rest.len() {
        0 => Ok(()),
        more => Err(format!("{more} bytes follow the datum").into()),
    }
}

/// Bytes that remember that more were wanted: apache-avro takes a cut-off union, string or boolean
/// for null, and a record would lose its last fields unnoticed.
struct Exact<'a> {
    rest: &'a [u8],
    ran_out: bool,
}

impl Read for Exact<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.rest.read(into)?;
        self.ran_out |= taken < into.len();
        Ok(taken)
    }
}
