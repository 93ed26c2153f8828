//! Records on their way from the thread that reads to the one that writes.

use flashsale_streaming::Scanned;
use serde_json::{Map, Value};

/// Records of a chunk, at most.
const RECORDS_MAX: usize = 1_000;
/// Bytes of their keys, values and headers, at most; a larger record has a chunk of its own.
const BYTES_MAX: usize = 256 * 1024;

/// Headers by name, as text.
pub(super) type Headers = Map<String, Value>;

/// Copies of records, in their order. They lie in one buffer: an allocation for each would cost more than the copy.
pub(super) struct Chunk {
    records: Vec<Copied>,
    /// The key and the value of each record, one after the other.
    bytes: Vec<u8>,
    /// About what the headers take.
    header_bytes: usize,
}

/// What a chunk has of a record besides its bytes.
struct Copied {
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key_bytes: Option<usize>,
    payload_bytes: Option<usize>,
    headers: Option<Headers>,
}

/// A record as it lies in its chunk.
pub(super) struct Carried<'a> {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
    /// Nothing when they were not asked for.
    pub(super) headers: Option<&'a Headers>,
}

impl Chunk {
    pub(super) fn new() -> Self {
        Self { records: Vec::with_capacity(RECORDS_MAX), bytes: Vec::with_capacity(BYTES_MAX), header_bytes: 0 }
    }

    /// Whether `record` fits in as well.
    pub(super) fn has_room_for(&self, record: &Scanned<'_>) -> bool {
        let length = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let bytes = self.header_bytes + self.bytes.len() + length(record.key) + length(record.payload);
        self.records.is_empty() || (self.records.len() < RECORDS_MAX && bytes <= BYTES_MAX)
    }

    /// Copies a record, its headers only when they are asked for: taking these apart costs more than all the rest.
    pub(super) fn push(&mut self, record: &Scanned<'_>, with_headers: bool) {
        let key_bytes = self.copy(record.key);
        let payload_bytes = self.copy(record.payload);
        let headers = with_headers.then(|| headers(record));
        let taken = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(0, str::len);
        self.header_bytes += headers.iter().flatten().map(taken).sum::<usize>();
        self.records.push(Copied {
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key_bytes,
            payload_bytes,
            headers,
        });
    }

    fn copy(&mut self, part: Option<&[u8]>) -> Option<usize> {
        let part = part?;
        self.bytes.extend_from_slice(part);
        Some(part.len())
    }

    /// The records in the order in which they came.
    pub(super) fn records(&self) -> impl Iterator<Item = Carried<'_>> {
        let mut rest = self.bytes.as_slice();
        self.records.iter().map(move |copied| Carried {
            partition: copied.partition,
            offset: copied.offset,
            timestamp_ms: copied.timestamp_ms,
            key: take(&mut rest, copied.key_bytes),
            payload: take(&mut rest, copied.payload_bytes),
            headers: copied.headers.as_ref(),
        })
    }
}

/// Takes so many bytes from the front.
fn take<'a>(rest: &mut &'a [u8], length: Option<usize>) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at(length?);
    *rest = left;
    Some(taken)
}

fn headers(record: &Scanned<'_>) -> Headers {
    let text = |value: &[u8]| Value::from(String::from_utf8_lossy(value).into_owned());
    record.headers().map(|(name, value)| (name.to_owned(), text(value))).collect()
}
