use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use crate::Kind;

/// Why the servers do not run, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program or its files are not on this machine.
    #[error("{what} is not installed; run: make setup")]
    Missing {
        /// The program, or the files and where they should be.
        what: String,
    },
    /// Another process has the data directory.
    #[error("another flashsale up runs here (pid {pid}); stop it with: make down")]
    Owned {
        /// Its process id.
        pid: u32,
    },
    /// The owner of the data directory did not end in time.
    #[error("flashsale up (pid {pid}) still runs after {after:?}; end it with: kill -9 {pid}")]
    StillOwned {
        /// Its process id.
        pid: u32,
        /// How long it was waited for.
        after: Duration,
    },
    /// A port that was asked for is taken.
    #[error("port {port}, set for {server}, is taken; stop what listens there or set another")]
    PortTaken {
        /// Whose port it is.
        server: &'static str,
        /// The port.
        port: u16,
    },
    /// The data directory of a server could not be made.
    #[error("could not prepare {server} by {program}: {output}")]
    Prepare {
        /// Whose directory it is.
        server: Kind,
        /// The program that failed.
        program: String,
        /// The last lines it wrote.
        output: String,
    },
    /// A server's process ended by itself.
    #[error(
        "{server} ended with {status}; if its data is damaged, remove {home} and start again; {log} ends with:\n{tail}"
    )]
    Ended {
        /// The server.
        server: Kind,
        /// Its exit status.
        status: ExitStatus,
        /// The directory of its data.
        home: PathBuf,
        /// Its log file.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },
    /// A server runs and does not answer.
    #[error("{server} does not answer after {after:?} ({last}); is the machine overloaded? {log} ends with:\n{tail}")]
    NotReady {
        /// The server.
        server: Kind,
        /// How long it was waited for.
        after: Duration,
        /// What the last attempt saw.
        last: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of that file.
        tail: String,
    },
    /// Postgres refused, or could not be reached.
    #[error("psql: {output}; check the statement and the server's address")]
    Sql {
        /// The last lines `psql` wrote.
        output: String,
    },
    /// A file or a process could not be handled.
    #[error("could not {what}; check the permissions and the free space there")]
    Io {
        /// What was being done, and to which path.
        what: String,
        /// The reason.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: names what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }
}
