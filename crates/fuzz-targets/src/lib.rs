//! What fuzzers feed with bytes: one function a parser, which panics where a promise is broken.
//!
//! `fuzz/fuzz_targets` hands them to libFuzzer; `tests/soak.rs` replays the corpus and makes more of it, on stable Rust
//! and with every run of the tests.
//!
//! Nothing depends on this crate. It may know services, because their parsers are what it is about.

mod avro;
mod control;
mod framing;
mod letters;
mod request;
mod wire;

pub use avro::avro;
pub use control::control;
pub use letters::letters;
pub use request::request;
pub use wire::wire;

/// Feeds one input to a parser, and panics when something that must hold does not.
pub type Target = fn(&[u8]);

/// Every target: its name, as in `fuzz/corpus/<name>`, and what to feed.
pub const TARGETS: [(&str, Target); 5] =
    [("avro", avro), ("control", control), ("letters", letters), ("request", request), ("wire", wire)];
