//! What a stage may say of a record: one of four things, no other.

/// Why a record can never be applied. It goes to the dead letters, and the offset moves on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Short class such as `bad_magic`, for grouping and as a metric label.
    pub class: &'static str,
    /// What was wrong with this one.
    pub message: String,
}

impl Rejection {
    /// A class and what was wrong.
    pub fn new(class: &'static str, message: impl std::fmt::Display) -> Self {
        Self { class, message: message.to_string() }
    }
}

/// The outcome of a stage for one record.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Goes on to the sink.
    Emit(T),
    /// Does not concern this consumer; the offset moves on.
    Skip,
    /// The data is bad; to the dead letters, and the offset moves on.
    Reject(Rejection),
    /// The infrastructure is bad; the offset stays and the record is tried again.
    Fail(String),
}
