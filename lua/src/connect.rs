//! The hot state: where it is and how it is reached.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::{Keys, Result, link::Link};

/// How to reach Redis.
#[derive(Clone)]
pub struct Config {
    /// `redis://[user:password@]host:port/db`; by TLS with `rediss://`.
    pub url: String,
    /// Those who may have signed the server's certificate (PEM). None: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Prefix of every key; empty in production.
    pub key_prefix: String,
    /// How long one call may take. Its outcome is unknown after that, and the same request id
    /// finds out.
    pub response_timeout: Duration,
}

/// Without the address, which may hold a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("ca_file", &self.ca_file)
            .field("key_prefix", &self.key_prefix)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Defaults for `url`: the system's certificates, no prefix, 2 s a call.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ca_file: None, key_prefix: String::new(), response_timeout: Duration::from_secs(2) }
    }
}

/// The hot state in Redis. A clone shares the connection, which is made anew when it breaks.
#[derive(Clone)]
pub struct HotState {
    pub(crate) link: Arc<Link>,
    pub(crate) keys: Keys,
}

impl fmt::Debug for HotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotState").field("keys", &self.keys).field("link", &self.link).finish_non_exhaustive()
    }
}

impl HotState {
    /// Connects. Whether the server is verified, so that something can be decided, is another question:
    /// see [`HotState::is_open`].
    pub async fn connect(config: &Config) -> Result<Self> {
        let keys = Keys::new(&config.key_prefix);
        let link = Link::new(config, keys.fence())?;
        link.any().await?;
        Ok(Self { link: Arc::new(link), keys })
    }

    /// The same server by a connection of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { link: Arc::new(self.link.apart()), keys: self.keys.clone() }
    }

    /// The names of its keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether the server was verified when it was last looked at.
    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Asks the server for a sign of life.
    pub async fn ping(&self) -> Result<()> {
        self.link.command("ping", &redis::cmd("PING")).await
    }

    /// The server's clock, which is the only clock that decides anything.
    pub async fn now(&self) -> Result<flashsale_core::Micros> {
        let (seconds, micros): (i64, i64) = self.link.command("read the time", &redis::cmd("TIME")).await?;
        Ok(flashsale_core::Micros(seconds * 1_000_000 + micros))
    }

    /// An error unless decisions are possible now.
    pub async fn check_open(&self) -> Result<()> {
        self.link.open().await.map(drop)
    }
}
