//! Why there is no report, and the exit code for it.

use std::{fmt, process::ExitCode};

use flashsale_platform::config;

use crate::output::tell;

/// Exit code of a wrong command line or configuration (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// Exit code when the installation does not answer (`EX_UNAVAILABLE`).
const UNAVAILABLE: u8 = 69;

/// A failure with an exit code of its own; any other has 1.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for what cannot be.
    Usage(String),
    /// Nobody answers there.
    Unreachable(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => f.write_str(what),
            Self::Unreachable(url) => {
                write!(f, "cannot reach {url}; is it running (`make up`)? Give another with --url")
            }
        }
    }
}

impl std::error::Error for Failure {}

/// What makes a wrong command line of an error.
pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Usage(format!("{:#}", error.into()))
}

/// Tells of an error with its causes; returns the exit code for it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    tell(format_args!("error: {error:#}"));
    ExitCode::from(code_of(error))
}

fn code_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(Failure::Usage(_)) => USAGE,
        Some(Failure::Unreachable(_)) => UNAVAILABLE,
        None if error.is::<config::Error>() => USAGE,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn failures_have_their_exit_codes() {
        let lost: anyhow::Result<()> = Err(anyhow!("refused"));
        let lost = lost.context(Failure::Unreachable("http://127.0.0.1:1".to_owned())).context("set the sale up");
        assert_eq!(code_of(&lost.unwrap_err()), UNAVAILABLE);
        assert_eq!(code_of(&usage(anyhow!("--rate must be more")).into()), USAGE);
        assert_eq!(code_of(&config::Error("FLASHSALE_BROKERS".to_owned()).into()), USAGE);
        assert_eq!(code_of(&anyhow!("a full disk")), 1);
    }
}
