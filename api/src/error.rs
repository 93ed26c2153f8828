//! What can go wrong behind an answer.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use flashsale_platform::ApiError;

/// Seconds after which a caller may try again when a store was down.
const RETRY_AFTER_SECONDS: u64 = 1;

/// An answer that is no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// To be said as it is.
    #[error("refused")]
    Answer(ApiError),
    /// Redis failed.
    #[error("hot state")]
    Hot(#[from] flashsale_lua::Error),
    /// Postgres failed.
    #[error("store")]
    Store(#[from] flashsale_sql::Error),
    /// The log did not take what only it can tell.
    #[error("log")]
    Log(#[from] flashsale_streaming::NotDelivered),
    /// An operator's request failed.
    #[error("operations")]
    Operations(#[source] flashsale_operations::Error),
    /// What an operator ordered came to no end.
    #[error("an order of an operator")]
    Order(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The stores disagree; the reconciler or a repetition puts that right.
    #[error("{0}")]
    HalfDone(&'static str),
    /// The table of sales is not read yet.
    #[error("the table of sales is not read yet")]
    NotReady,
}

impl From<ApiError> for Error {
    fn from(answer: ApiError) -> Self {
        Self::Answer(answer)
    }
}

impl From<flashsale_operations::Error> for Error {
    fn from(error: flashsale_operations::Error) -> Self {
        use flashsale_operations::Error::{NotFound, Refused, Running};
        match error {
            NotFound(message) => ApiError::not_found(sentence(&message)).into(),
            Running(message) => ApiError::new(StatusCode::CONFLICT, "CONSUMER_RUNNING", sentence(&message)).into(),
            Refused(message) => ApiError::new(StatusCode::CONFLICT, "REFUSED", sentence(&message)).into(),
            error => Self::Operations(error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Answer(answer) => return answer.into_response(),
            // Not a failure: every start goes through it.
            Self::NotReady => tracing::debug!("asked before the table of sales was read"),
            error => tracing::error!(error = chain(&error), "request failed"),
        }
        ApiError::unavailable(RETRY_AFTER_SECONDS).into_response()
    }
}

/// What was made for the end of a line, as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['.']).collect()
}

/// An error with all its causes, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
