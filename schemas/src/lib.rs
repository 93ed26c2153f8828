//! The contract of the topics: Avro schemas, topic papers, Rust types, codec and schema registry.
//!
//! The `.avsc` files come first; [`events`] mirrors them and tests hold the two together. A topic's
//! facts (who writes, who reads, how it is kept) are its [`topic::Paper`].

pub mod codec;
mod datum;
pub mod events;
pub mod registry;
pub mod topic;

pub use codec::{DecodeError, Decoder, EncodeError, Encoder, Event};
pub use datum::{ByHand, Malformed};
pub use registry::{Registry, RegistryError};
pub use topic::{CleanupPolicy, Paper, Topic};
