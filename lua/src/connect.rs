//! The connection to Redis.

use std::{fmt, time::Duration};

use redis::{
    Client, IntoConnectionInfo,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};

use crate::{Error, Keys, Result, script};

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct Config {
    /// `redis://[user:password@]host:port/db`.
    pub url: String,
    /// Prefix of every key; empty in production.
    pub key_prefix: String,
    /// How long one call may take. Its outcome is unknown after that, and the same request id
    /// finds out.
    pub response_timeout: Duration,
}

impl Config {
    /// Defaults for `url`: no prefix, 2 s a call.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), key_prefix: String::new(), response_timeout: Duration::from_secs(2) }
    }
}

/// The hot state in Redis. A clone shares the connection, which reconnects by itself.
#[derive(Clone)]
pub struct HotState {
    pub(crate) connection: ConnectionManager,
    pub(crate) keys: Keys,
}

impl fmt::Debug for HotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotState").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// A host that acknowledges nothing for this long is gone, and the connection is made anew. The kernel by
/// itself would hope for a quarter of an hour.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// Redis 7 brought stream ids of the form `<ms>-*`, which the outbox needs.
const MAJOR_VERSION_MIN: u32 = 7;

async fn check_version(connection: &mut ConnectionManager) -> Result<()> {
    let info: String =
        redis::cmd("INFO").arg("server").query_async(connection).await.map_err(Error::redis("ask for the version"))?;
    // Valkey counts on from 7.2 under this very name.
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or_default().trim();
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < MAJOR_VERSION_MIN { Err(Error::TooOld(version.to_owned())) } else { Ok(()) }
}

impl HotState {
    /// Connects and loads the scripts.
    pub async fn connect(config: &Config) -> Result<Self> {
        let settings = ConnectionManagerConfig::new()
            .set_pipeline_buffer_size(4_096)
            .set_write_backpressure_boundary(128 * 1024)
            .set_response_timeout(Some(config.response_timeout))
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_number_of_retries(2)
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(500));
        // Without this Nagle's algorithm delays every small command.
        let info = config
            .url
            .as_str()
            .into_connection_info()
            .map_err(Error::redis("read the address"))?
            .set_tcp_settings(TcpSettings::default().set_nodelay(true).set_user_timeout(DEAD_AFTER));
        let client = Client::open(info).map_err(Error::redis("read the address"))?;
        let mut connection =
            ConnectionManager::new_with_config(client, settings).await.map_err(Error::redis("connect"))?;
        check_version(&mut connection).await?;
        for script in script::all() {
            script.load(&mut connection).await?;
        }
        Ok(Self { connection, keys: Keys::new(&config.key_prefix) })
    }

    /// The names of its keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Asks the server for a sign of life.
    pub async fn ping(&self) -> Result<()> {
        redis::cmd("PING").query_async(&mut self.connection.clone()).await.map_err(Error::redis("ping"))
    }

    /// The server's clock, which is the only clock that decides anything.
    pub async fn now(&self) -> Result<flashsale_core::Micros> {
        let (seconds, micros): (i64, i64) = redis::cmd("TIME")
            .query_async(&mut self.connection.clone())
            .await
            .map_err(Error::redis("read the time"))?;
        Ok(flashsale_core::Micros(seconds * 1_000_000 + micros))
    }
}
