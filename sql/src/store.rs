//! The pool of connections.

use std::{fmt, str::FromStr, time::Duration};

use sqlx::{
    Connection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::Error;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// A connection that rested longer is tried before it is used: Postgres may have restarted meanwhile.
const REST_MAX: Duration = Duration::from_secs(1);

/// How to reach Postgres.
#[derive(Clone)]
pub struct Config {
    /// `postgres://user:password@host:port/database`; by TLS with `?sslmode=verify-full&sslrootcert=<file>`.
    pub url: String,
    /// Most connections.
    pub pool_max: u32,
    /// Longest wait for one of them.
    pub acquire_timeout: Duration,
}

impl Config {
    /// Defaults: 8 connections, 2 s.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), pool_max: 8, acquire_timeout: Duration::from_secs(2) }
    }
}

/// Without the address, which may hold a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("pool_max", &self.pool_max)
            .field("acquire_timeout", &self.acquire_timeout)
            .finish_non_exhaustive()
    }
}

/// Everything that is kept in Postgres; clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: PgPool,
}

impl Store {
    /// Connects on first use, so that a service can start before Postgres does.
    pub fn lazy(config: &Config) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(&config.url).map_err(Error::Address)?.application_name("flashsale");
        let pool = PgPoolOptions::new()
            .max_connections(config.pool_max)
            .acquire_timeout(config.acquire_timeout)
            // The test of the pool itself costs a round trip each time.
            .test_before_acquire(false)
            .before_acquire(|connection, rest| {
                Box::pin(async move {
                    if rest.idle_for > REST_MAX {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// Connects now, or says why not.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        let store = Self::lazy(config)?;
        store.ping().await?;
        Ok(store)
    }

    /// Brings the schema up to date. Several at once wait for each other.
    pub async fn migrate(&self) -> Result<(), Error> {
        MIGRATIONS.run(&self.pool).await.map_err(Error::Migrate)
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop).map_err(Error::at("asking whether it answers"))
    }
}
