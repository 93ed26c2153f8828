//! Records and where they stand in the log.

use std::{fmt, sync::Arc};

use bytes::Bytes;

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// Its number, from 0.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.number)
    }
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)
    }
}

/// A header: name and bytes.
pub type Header = (String, Vec<u8>);

/// One record, owned.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; none is a tombstone.
    pub payload: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<Header>,
    /// Milliseconds since 1970 as the producer or broker stamped it; 0 when unknown.
    pub timestamp_ms: i64,
}
