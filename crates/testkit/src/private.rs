//! Servers of one test alone, to be killed and started again.

use std::ops::Deref;

use anyhow::{Context, Result};
use flashsale_localstack::{Config, Kind, Server, Stack};
use tempfile::TempDir;

use crate::scratch;

/// A child process with its own data directory; both are gone when it is dropped.
///
/// The calls of [`Server`] block: `kill` and `check` for a moment, `stop` and `restart` until they are done. Where
/// other tasks of the test must go on meanwhile, use a multi-threaded runtime and `tokio::task::block_in_place`.
#[derive(Debug)]
pub struct Private {
    // Before its directory: fields are dropped in order.
    stack: Stack,
    kind: Kind,
    _dir: TempDir,
}

impl Private {
    /// Starts a server. Blocks until it answers.
    pub(crate) fn start(kind: Kind) -> Result<Self> {
        let dir = scratch::directory().context("make a temporary directory")?;
        let config = Config { durable: false, ..Config::new(dir.path()) };
        let stack = Stack::start(&config, &[kind], &|_| ()).with_context(|| format!("start {kind}"))?;
        Ok(Self { stack, kind, _dir: dir })
    }
}

impl Deref for Private {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.stack.server(self.kind).expect("it was started with this kind")
    }
}

/// A Redis for one test alone, always a child process.
pub async fn private_redis() -> Private {
    private(Kind::Redis).await
}

/// A Postgres for one test alone, always a child process.
pub async fn private_postgres() -> Private {
    private(Kind::Postgres).await
}

/// A Kafka for one test alone, always a child process.
pub async fn private_kafka() -> Private {
    private(Kind::Kafka).await
}

async fn private(kind: Kind) -> Private {
    start(kind).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// [`Private::start`] for async callers.
pub(crate) async fn start(kind: Kind) -> Result<Private> {
    tokio::task::spawn_blocking(move || Private::start(kind)).await.context("start a server")?
}
