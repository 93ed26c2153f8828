//! The stores of the installation under load, found as its tools find them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use flashsale_ledger::Ledger;
use flashsale_localstack::Kind;
use flashsale_lua::HotState;
use flashsale_platform::config;
use flashsale_sql::Store;
use serde::Deserialize;

/// As in the defaults of the services; every other setting of theirs is none of this tool's.
const DEFAULTS: &str = r#"
brokers = ""
redis_url = ""
redis_ca_file = ""
database_url = ""
schema_registry_url = ""
topic_prefix = ""
redis_prefix = ""

[kafka]
security = "plaintext"
sasl_mechanism = "SCRAM-SHA-512"
username = ""
password = ""
ca_file = ""
certificate_file = ""
key_file = ""
"#;

/// Where the stores are. Without `Debug`: addresses may hold passwords.
#[derive(Deserialize)]
struct Places {
    brokers: String,
    redis_url: String,
    redis_ca_file: String,
    database_url: String,
    schema_registry_url: String,
    topic_prefix: String,
    redis_prefix: String,
    kafka: flashsale_streaming::Security,
}

/// The three stores, open.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The log.
    pub ledger: Ledger,
    /// Redis.
    pub hot: HotState,
    /// Postgres.
    pub store: Store,
}

impl Stores {
    /// Opens the stores that `FLASHSALE_BROKERS`, `FLASHSALE_REDIS_URL` and `FLASHSALE_DATABASE_URL` name; those that
    /// are not named are looked for in the local stack.
    ///
    /// # Errors
    /// When one is named nowhere, or does not answer.
    pub async fn find() -> Result<Self> {
        let mut places: Places = config::load(DEFAULTS, None, &[], &[])?;
        if places.schema_registry_url.is_empty() {
            places.schema_registry_url = std::env::var("SCHEMA_REGISTRY_URL").unwrap_or_default();
        }
        places.fill_from_local_stack();
        for (name, value) in [
            ("FLASHSALE_BROKERS", &places.brokers),
            ("FLASHSALE_REDIS_URL", &places.redis_url),
            ("FLASHSALE_DATABASE_URL", &places.database_url),
        ] {
            if value.is_empty() {
                let message = format!(
                    "{name} is not set and no local stack runs here, so nothing can be proven; \
                     set it, run where `flashsale up` runs, or give --no-verdict"
                );
                return Err(config::Error(message).into());
            }
        }
        places.open().await
    }
}

impl Places {
    /// A server of the local stack speaks no TLS and knows no login.
    fn fill_from_local_stack(&mut self) {
        let folder = std::env::var_os("FLASHSALE_DATA_DIR").unwrap_or_else(|| ".flashsale".into());
        let servers = flashsale_localstack::running(&PathBuf::from(folder)).unwrap_or_default();
        for (kind, url) in servers {
            match kind {
                Kind::Kafka if self.brokers.is_empty() => {
                    (self.brokers, self.kafka) = (url, flashsale_streaming::Security::default());
                }
                Kind::Redis if self.redis_url.is_empty() => {
                    (self.redis_url, self.redis_ca_file) = (url, String::new());
                }
                Kind::Postgres if self.database_url.is_empty() => self.database_url = url,
                Kind::Kafka | Kind::Redis | Kind::Postgres => {}
            }
        }
    }

    async fn open(self) -> Result<Stores> {
        let mut log = flashsale_ledger::Config::new(self.brokers, "flashsale-load");
        log.streaming.security = self.kafka;
        log.topic_prefix = self.topic_prefix;
        log.registry_url = Some(self.schema_registry_url).filter(|url| !url.is_empty());
        let mut hot = flashsale_lua::Config::new(self.redis_url);
        hot.key_prefix = self.redis_prefix;
        hot.ca_file = Some(self.redis_ca_file).filter(|file| !file.is_empty()).map(PathBuf::from);
        Ok(Stores {
            ledger: Ledger::open(log).await.context("open the log")?,
            hot: HotState::connect(&hot).await.context("connect to Redis")?,
            store: Store::connect(&flashsale_sql::Config::new(self.database_url))
                .await
                .context("connect to Postgres")?,
        })
    }
}
