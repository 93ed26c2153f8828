//! Servers of one test alone, to be killed and started again.

use std::ops::Deref;

use anyhow::{Context, Result};
use flashsale_localstack::{Config, Kind, Server, Stack, Tls};
use tempfile::TempDir;

use crate::{Authority, TLS_PASSWORD, scratch};

/// What we publish for installations.
const ACL: &str = include_str!("../../../deploy/redis/users.acl");

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
    pub(crate) fn start(kind: Kind, tls: Option<Tls>) -> Result<Self> {
        let dir = scratch::directory().context("make a temporary directory")?;
        let config = Config { durable: false, tls, ..Config::new(dir.path()) };
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

/// A Kafka that speaks TLS and asks for the login [`crate::TLS_USERNAME`], and for a certificate too if told so.
pub async fn private_kafka_tls(authority: &Authority, host: &str, client_certificates: bool) -> Private {
    let tls = Tls { kafka_client_certificates: client_certificates, ..authority.tls(host) };
    private_tls(Kind::Kafka, tls).await
}

/// A Redis that speaks TLS, with the users of `deploy/redis/users.acl` for keys that begin with `prefix`, and one called
/// `admin` who may do everything. Its URL has the login.
pub async fn private_redis_tls(authority: &Authority, host: &str, prefix: &str) -> Private {
    let password = format!(">{TLS_PASSWORD}");
    let ours = ACL.replace("#SHA256-OF-THE-PASSWORD", &password).replace('~', &format!("~{prefix}"));
    let acl = format!("{ours}user admin on {password} ~* &* +@all\n");
    let redis_acl_file = Some(authority.write("users.acl", &acl));
    private_tls(Kind::Redis, Tls { redis_acl_file, ..authority.tls(host) }).await
}

/// A Postgres that speaks TLS and asks for a password. Its URL has the login and verifies the server.
pub async fn private_postgres_tls(authority: &Authority, host: &str) -> Private {
    private_tls(Kind::Postgres, authority.tls(host)).await
}

async fn private(kind: Kind) -> Private {
    start(kind, None).await.unwrap_or_else(|error| panic!("{error:#}"))
}

async fn private_tls(kind: Kind, tls: Tls) -> Private {
    start(kind, Some(tls)).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// [`Private::start`] for async callers.
pub(crate) async fn start(kind: Kind, tls: Option<Tls>) -> Result<Private> {
    tokio::task::spawn_blocking(move || Private::start(kind, tls)).await.context("start a server")?
}
