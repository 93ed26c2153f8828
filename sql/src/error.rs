//! What can go wrong with Postgres, and whose fault it is.

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
    #[error("postgres: {doing}")]
    Postgres {
        /// What was being done.
        doing: &'static str,
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
        move |source| Self::Postgres { doing, source }
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
