//! What can go wrong with Postgres, and whose fault it is.

use std::io::ErrorKind;

/// Whose fault a failure is. The one place that knows; everything else asks [`Error::fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The values can never be stored as they are; trying again cannot help.
    Data,
    /// Postgres, or the way to it; the same again may work later.
    Infrastructure,
}

/// A statement that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one.
    #[error("the address of postgres is not usable")]
    Address(#[source] sqlx::Error),
    /// Postgres refused, or did not answer.
    #[error("postgres: {doing}{advice}")]
    Postgres {
        /// What was being done.
        doing: &'static str,
        /// What to do about it, behind a semicolon; empty when nobody knows.
        advice: &'static str,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("postgres: migrating")]
    Migrate(#[source] sqlx::migrate::MigrateError),
}

impl Error {
    pub(crate) fn at(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Postgres { doing, advice: advice(&source), source }
    }

    /// Whether trying again would end the same way, until somebody corrects the settings on one side.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Address(_) => true,
            // A socket may be there soon.
            Self::Postgres { source: sqlx::Error::Io(error), .. } if error.kind() == ErrorKind::NotFound => false,
            Self::Postgres { source, .. } => !advice(source).is_empty(),
            Self::Migrate(_) => false,
        }
    }

    /// Whose fault it is; unknown failures are the infrastructure's, so that nothing good is thrown away.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Postgres { source: sqlx::Error::Database(refusal), .. } => {
                fault_of(refusal.code().as_deref().unwrap_or_default())
            }
            Self::Address(_) => Fault::Data,
            Self::Postgres { .. } | Self::Migrate(_) => Fault::Infrastructure,
        }
    }

    /// Whether the same again may work later.
    pub fn is_transient(&self) -> bool {
        self.fault() == Fault::Infrastructure
    }

    /// The whole chain of causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// What to do about errors of TLS and of the login.
fn advice(error: &sqlx::Error) -> &'static str {
    let text = error.to_string();
    let has = |part: &str| text.contains(part);
    match error {
        sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
            Some("28P01") => "; it refuses the login: correct user and password in database_url",
            Some("28000") if has("no encryption") => "; it wants TLS: add sslmode=verify-full to database_url",
            Some("28000") => "; it does not let this user in from here: correct database_url, or its pg_hba.conf",
            _ => "",
        },
        sqlx::Error::Tls(_) if has("does not support TLS") => "; it offers no TLS: set ssl = on there",
        sqlx::Error::Tls(_) => "; correct sslrootcert, sslcert and sslkey in database_url",
        sqlx::Error::Io(error) if error.kind() == ErrorKind::NotFound => {
            "; is a file (sslrootcert, sslcert, sslkey) or a socket that database_url names not there?"
        }
        _ if has("UnknownIssuer") || has("BadSignature") => "; nobody in sslrootcert has signed its certificate",
        _ if has("not valid for name") || has("NotValidForName") => {
            "; its certificate is for another name than the one in database_url"
        }
        _ if has("invalid peer certificate") => "; its certificate is not valid: renew it, or look at the clocks",
        _ => "",
    }
}

/// By class of the SQLSTATE: 22 is bad data, 23 a broken constraint. Deadlocks (40), lost connections (08),
/// shutdowns (57), exhaustion (53), locks (55) and all others pass.
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn fault_of(sqlstate: &str) -> Fault {
    match sqlstate.get(..2) {
        Some("22" | "23") => Fault::Data,
        _ => Fault::Infrastructure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_19_only_bad_values_are_the_fault_of_the_data() {
        for state in ["22021", "22P02", "22003", "23505", "23514", "23502"] {
            assert_eq!(fault_of(state), Fault::Data, "{state}");
        }
        for state in ["08006", "57P01", "57P03", "40001", "40P01", "53300", "55P03", "42P01", "XX000", ""] {
            assert_eq!(fault_of(state), Fault::Infrastructure, "{state}");
        }
        let timeout = Error::at("waiting")(sqlx::Error::PoolTimedOut);
        assert!(timeout.is_transient());
        assert_eq!(timeout.chain(), format!("postgres: waiting: {}", sqlx::Error::PoolTimedOut));
    }
}
