//! The servers that tests share.

use anyhow::{Context, Result};
use flashsale_localstack::{Kind, psql};
use tokio::sync::OnceCell;

use crate::{
    Private,
    docker::{self, Container},
    private, unique,
};

/// A server for a whole run. Dropped, it is ended, unless it was there before.
#[derive(Debug)]
pub struct Running {
    url: String,
    _keep: Keep,
}

/// What ends the server when it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop")]
enum Keep {
    Given,
    Container(Container),
    Process(Private),
}

impl Running {
    /// Takes the server that the environment names, else starts a container, else a process.
    ///
    /// # Errors
    /// When no way is left; a container that fails is only a reason to try the next.
    pub async fn start(kind: Kind) -> Result<Self> {
        if let Some(url) = std::env::var(Self::variable(kind)).ok().filter(|url| !url.is_empty()) {
            return Ok(Self { url, _keep: Keep::Given });
        }
        if docker::answers().await {
            match docker::start(kind).await {
                Ok((url, container)) => return Ok(Self { url, _keep: Keep::Container(container) }),
                Err(error) => eprintln!("testkit: no container for {kind}, starting a process instead: {error:#}"),
            }
        }
        let process = private::start(kind, None).await?;
        Ok(Self { url: process.url().to_owned(), _keep: Keep::Process(process) })
    }

    /// The environment variable that names a server of this kind.
    pub fn variable(kind: Kind) -> &'static str {
        match kind {
            Kind::Kafka => "TEST_BROKERS",
            Kind::Redis => "TEST_REDIS_URL",
            Kind::Postgres => "TEST_DATABASE_URL",
        }
    }

    /// Where it answers, in the form of that variable.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The URL of the shared Redis. Keep to keys that begin with a [`unique`] prefix.
pub async fn redis() -> &'static str {
    static REDIS: OnceCell<Running> = OnceCell::const_new();
    shared(&REDIS, Kind::Redis).await
}

/// The URL of the shared Postgres. Make a [`database`] instead of writing to this one.
pub async fn postgres() -> &'static str {
    static POSTGRES: OnceCell<Running> = OnceCell::const_new();
    shared(&POSTGRES, Kind::Postgres).await
}

/// The bootstrap address of the shared Kafka. Keep to topics and groups with [`unique`] names.
pub async fn kafka() -> &'static str {
    static KAFKA: OnceCell<Running> = OnceCell::const_new();
    shared(&KAFKA, Kind::Kafka).await
}

async fn shared(cell: &'static OnceCell<Running>, kind: Kind) -> &'static str {
    let start = async || Running::start(kind).await.unwrap_or_else(|error| panic!("{error:#}"));
    cell.get_or_init(start).await.url()
}

/// Makes an empty database on the shared Postgres and returns its URL.
pub async fn database() -> String {
    let server = postgres().await;
    let name = unique("t");
    let statement = format!("CREATE DATABASE {name}");
    let made = tokio::task::spawn_blocking(move || psql(server, &statement)).await.context("run psql");
    match made {
        Ok(Ok(_)) => with_database(server, &name),
        failed => panic!("no database: {failed:?}"),
    }
}

/// The URL with another database. Parameters after a question mark stay.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) = url.split_at(url.find('?').unwrap_or(url.len()));
    let host = address.find("://").map_or(0, |scheme| scheme + 3);
    let server = address[host..].find('/').map_or(address, |slash| &address[..host + slash]);
    format!("{server}/{name}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        for (url, expected) in [
            ("postgres://u@h:1/old", "postgres://u@h:1/new"),
            ("postgres://u:p@h:1", "postgres://u:p@h:1/new"),
            ("postgres://h/old?sslmode=disable", "postgres://h/new?sslmode=disable"),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }
}
