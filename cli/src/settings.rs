//! The configuration of the whole binary: defaults, file, environment, flags.

use std::path::PathBuf;

use flashsale_api::ADMIN_KEY_CHARS_MIN;
use flashsale_identity::Shoppers;
use flashsale_localstack::Kind;
use flashsale_platform::{
    TrustedProxies,
    config::{self, Flag},
    server, trace,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// The admin key of a local stack, known to everybody.
pub(crate) const LOCAL_ADMIN_KEY: &str = "dev-admin-key-12345678";
/// Variables with our prefix that are read elsewhere.
const NOT_SETTINGS: [&str; 5] = ["CONFIG", "CACHE_DIR", "URL", "DATA_DIR", "OPERATOR"];

/// A record that waits longer than this for company is no longer told "soon".
const PRODUCER_LINGER_MS_MAX: u64 = 1_000;

const DEFAULTS: &str = include_str!("../config.default.toml");

/// Settings of the Postgres sink.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sink {
    /// Most records of one transaction.
    pub(crate) batch_max: usize,
    /// Transactions begin so far apart, and fill meanwhile.
    pub(crate) linger_ms: u64,
    /// Most connections of this process to Postgres.
    pub(crate) pool_max: u32,
}

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) brokers: String,
    pub(crate) redis_url: SecretString,
    pub(crate) redis_ca_file: String,
    pub(crate) database_url: SecretString,
    pub(crate) schema_registry_url: String,
    pub(crate) topic_prefix: String,
    pub(crate) redis_prefix: String,
    pub(crate) replication: i32,
    pub(crate) producer_linger_ms: u64,
    pub(crate) http_address: String,
    pub(crate) trusted_proxies: String,
    pub(crate) admin_key: SecretString,
    pub(crate) admin_keys_file: String,
    pub(crate) allow_delete: bool,
    pub(crate) instance: String,
    pub(crate) log_filter: String,
    pub(crate) log_json: bool,
    pub(crate) drain_delay_ms: u64,
    pub(crate) shutdown_grace_ms: u64,
    pub(crate) kafka: flashsale_streaming::Security,
    pub(crate) http: server::Config,
    pub(crate) ingest: flashsale_ingest::Config,
    pub(crate) identity: flashsale_identity::Config,
    pub(crate) challenge: flashsale_challenge::Config,
    pub(crate) processor: flashsale_processor::Config,
    pub(crate) sink: Sink,
    pub(crate) sse: flashsale_sinks::sse::Config,
    pub(crate) tracing: trace::Config,
}

/// Where settings come from, besides the defaults and the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub(crate) file: Option<PathBuf>,
    pub(crate) flags: Vec<Flag>,
}

impl Settings {
    /// Reads and checks all settings. A `local` stack has a known admin key and may delete.
    pub(crate) fn load(sources: &Sources, local: bool) -> Result<Self, config::Error> {
        let defaults = if local {
            DEFAULTS
                .replace("admin_key = \"\"", &format!("admin_key = \"{LOCAL_ADMIN_KEY}\""))
                .replace("allow_delete = false", "allow_delete = true")
                .replace("drain_delay_ms = 1000", "drain_delay_ms = 0")
        } else {
            DEFAULTS.to_owned()
        };
        let mut settings: Self = config::load(&defaults, sources.file.as_deref(), &NOT_SETTINGS, &sources.flags)?;
        if settings.schema_registry_url.is_empty() {
            settings.schema_registry_url = std::env::var("SCHEMA_REGISTRY_URL").unwrap_or_default();
        }
        settings.kafka.check().map_err(config::Error)?;
        settings.check_redis_ca_file()?;
        settings.http.check().map_err(config::Error)?;
        settings.ingest.check().map_err(config::Error)?;
        settings.identity.check().map_err(config::Error)?;
        settings.challenge.check().map_err(config::Error)?;
        settings.sse.check().map_err(config::Error)?;
        settings.tracing.check().map_err(config::Error)?;
        settings.trusted_proxies()?;
        if settings.producer_linger_ms > PRODUCER_LINGER_MS_MAX {
            let message = format!(
                "`producer_linger_ms` must be at most {PRODUCER_LINGER_MS_MAX}, or every answer waits for it; correct FLASHSALE_PRODUCER_LINGER_MS"
            );
            return Err(config::Error(message));
        }
        if settings.sink.batch_max == 0 || settings.sink.pool_max == 0 {
            let message = "`sink.batch_max` and `sink.pool_max` must be 1 or more; correct FLASHSALE_SINK__BATCH_MAX and FLASHSALE_SINK__POOL_MAX";
            return Err(config::Error(message.into()));
        }
        Ok(settings)
    }

    fn check_redis_ca_file(&self) -> Result<(), config::Error> {
        let (file, url) = (&self.redis_ca_file, self.redis_url.expose_secret());
        let wrong = if file.is_empty() {
            return Ok(());
        } else if let Err(error) = std::fs::File::open(file) {
            format!("cannot read {file}: {error}")
        } else if !url.is_empty() && !url.starts_with("rediss://") {
            "is set, but `redis_url` does not begin with rediss://, which is the way by TLS".into()
        } else {
            return Ok(());
        };
        Err(config::Error(format!("`redis_ca_file`: {wrong}; correct FLASHSALE_REDIS_CA_FILE or FLASHSALE_REDIS_URL")))
    }

    /// The proxies whose word on the client's address is taken.
    pub(crate) fn trusted_proxies(&self) -> Result<TrustedProxies, config::Error> {
        let wrong = |why| config::Error(format!("`trusted_proxies`: {why}; correct FLASHSALE_TRUSTED_PROXIES"));
        self.trusted_proxies.parse().map_err(wrong)
    }

    /// Names the servers of the local stack where the settings name none, so that the tools work beside `up`.
    pub(crate) fn fill_from_local_stack(&mut self) {
        let folder = std::env::var_os("FLASHSALE_DATA_DIR").unwrap_or_else(|| ".flashsale".into());
        let Some(servers) = flashsale_localstack::running(&PathBuf::from(folder)) else { return };
        for (kind, url) in servers {
            let set = match kind {
                Kind::Kafka => self.brokers.as_str(),
                Kind::Redis => self.redis_url.expose_secret(),
                Kind::Postgres => self.database_url.expose_secret(),
            };
            if set.is_empty() {
                self.use_local(kind, &url);
            }
        }
    }

    /// Takes a server of the local stack, which speaks no TLS and knows no login.
    pub(crate) fn use_local(&mut self, kind: Kind, url: &str) {
        match kind {
            Kind::Kafka => (self.brokers, self.kafka) = (url.to_owned(), flashsale_streaming::Security::default()),
            Kind::Redis => (self.redis_url, self.redis_ca_file) = (url.into(), String::new()),
            Kind::Postgres => self.database_url = url.into(),
        }
    }

    /// The settings of the API.
    pub(crate) fn api(&self) -> flashsale_api::Config {
        flashsale_api::Config {
            admin_key: self.admin_key.clone(),
            admin_keys_file: (!self.admin_keys_file.is_empty()).then(|| PathBuf::from(&self.admin_keys_file)),
            allow_delete: self.allow_delete,
            has_captcha: self.challenge.has_captcha(),
        }
    }

    /// An error for the first of `keys` that is not set, or names what cannot be used.
    pub(crate) fn require(&self, keys: &[&str]) -> Result<(), config::Error> {
        for key in keys {
            let value = match *key {
                "brokers" => self.brokers.as_str(),
                "redis_url" => self.redis_url.expose_secret(),
                "database_url" => self.database_url.expose_secret(),
                "admin_key" if self.admin_keys_file.is_empty() => self.admin_key.expose_secret(),
                "admin_key" => {
                    self.api().check().map_err(|error| config::Error(error.to_string()))?;
                    continue;
                }
                "identity" => {
                    drop(Shoppers::new(&self.identity)?);
                    continue;
                }
                _ => continue,
            };
            let variable = format!("{}{}", config::ENV_PREFIX, key.to_uppercase());
            if value.is_empty() {
                let message = format!("`{key}` is not set; set {variable}, or start everything with `flashsale up`");
                return Err(config::Error(message));
            }
            if *key == "admin_key" && value.chars().count() < ADMIN_KEY_CHARS_MIN {
                let message =
                    format!("`admin_key` is shorter than {ADMIN_KEY_CHARS_MIN} characters; set a longer {variable}");
                return Err(config::Error(message));
            }
        }
        Ok(())
    }

    /// All settings as TOML, secrets blacked out.
    pub(crate) fn redacted(&self) -> String {
        let secret = |value: &SecretString| if value.expose_secret().is_empty() { "" } else { "[redacted]" };
        let mut document = toml::Table::new();
        let mut put = |key: &str, value: toml::Value| drop(document.insert(key.to_owned(), value));
        put("brokers", self.brokers.clone().into());
        put("redis_url", redact_url(self.redis_url.expose_secret()).into());
        put("redis_ca_file", self.redis_ca_file.clone().into());
        put("database_url", redact_url(self.database_url.expose_secret()).into());
        put("schema_registry_url", redact_url(&self.schema_registry_url).into());
        put("topic_prefix", self.topic_prefix.clone().into());
        put("redis_prefix", self.redis_prefix.clone().into());
        put("replication", self.replication.into());
        put("producer_linger_ms", i64::try_from(self.producer_linger_ms).unwrap_or(i64::MAX).into());
        put("http_address", self.http_address.clone().into());
        put("trusted_proxies", self.trusted_proxies.clone().into());
        put("admin_key", secret(&self.admin_key).into());
        put("admin_keys_file", self.admin_keys_file.clone().into());
        put("allow_delete", self.allow_delete.into());
        put("instance", self.instance.clone().into());
        put("log_filter", self.log_filter.clone().into());
        put("log_json", self.log_json.into());
        put("drain_delay_ms", i64::try_from(self.drain_delay_ms).unwrap_or(i64::MAX).into());
        put("shutdown_grace_ms", i64::try_from(self.shutdown_grace_ms).unwrap_or(i64::MAX).into());
        let otlp_endpoint = redact_url(&self.tracing.otlp_endpoint);
        let sections = [
            ("kafka", toml::Value::try_from(&self.kafka)),
            ("http", toml::Value::try_from(&self.http)),
            ("ingest", toml::Value::try_from(&self.ingest)),
            ("identity", toml::Value::try_from(&self.identity)),
            ("challenge", toml::Value::try_from(&self.challenge)),
            ("processor", toml::Value::try_from(&self.processor)),
            ("sink", toml::Value::try_from(&self.sink)),
            ("sse", toml::Value::try_from(&self.sse)),
            ("tracing", toml::Value::try_from(trace::Config { otlp_endpoint, ..self.tracing.clone() })),
        ];
        for (key, section) in sections {
            match section {
                Ok(section) => put(key, section),
                Err(error) => put(key, format!("cannot be shown: {error}").into()),
            }
        }
        toml::to_string(&document).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
    }
}

/// A URL without the password in front of its host, or behind the question mark.
pub(crate) fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // The last one: a password that was not escaped may have any of `/?#@` in it.
    let shown = match rest.rfind('@') {
        Some(at) => {
            let user = rest[..at].split([':', '/', '?', '#']).next().unwrap_or_default();
            format!("{scheme}://{user}:[redacted]{}", &rest[at..])
        }
        None => url.to_owned(),
    };
    let mut parts = shown.split("password=");
    let before = parts.next().unwrap_or_default().to_owned();
    parts.fold(before, |text, part| {
        let behind = part.find('&').map_or("", |end| &part[end..]);
        format!("{text}password=[redacted]{behind}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(flags: &[(&str, &str)]) -> Sources {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Sources { file: None, flags }
    }

    #[test]
    fn the_defaults_are_valid_and_those_of_the_services() {
        let settings = Settings::load(&sources(&[]), false).unwrap();
        assert_eq!(format!("{:?}", settings.kafka), format!("{:?}", flashsale_streaming::Security::default()));
        assert_eq!(format!("{:?}", settings.http), format!("{:?}", server::Config::default()));
        assert_eq!(format!("{:?}", settings.ingest), format!("{:?}", flashsale_ingest::Config::default()));
        assert_eq!(format!("{:?}", settings.identity), format!("{:?}", flashsale_identity::Config::default()));
        assert_eq!(format!("{:?}", settings.challenge), format!("{:?}", flashsale_challenge::Config::default()));
        assert_eq!(format!("{:?}", settings.processor), format!("{:?}", flashsale_processor::Config::default()));
        assert_eq!(format!("{:?}", settings.sse), format!("{:?}", flashsale_sinks::sse::Config::default()));
        assert_eq!(format!("{:?}", settings.tracing), format!("{:?}", trace::Config::default()));
        let error = settings.require(&["brokers"]).unwrap_err().to_string();
        assert!(error.contains("FLASHSALE_BROKERS"), "{error}");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (key, value, named) in [
            ("trusted_proxies", "10.0.0.0/8,somewhere", "FLASHSALE_TRUSTED_PROXIES"),
            ("kafka.security", "sasl_ssl", "FLASHSALE_KAFKA__USERNAME"),
            ("kafka.security", "tls", "FLASHSALE_KAFKA__SECURITY"),
            ("kafka.password", "hunter2", "FLASHSALE_KAFKA__SECURITY"),
            ("producer_linger_ms", "1001", "FLASHSALE_PRODUCER_LINGER_MS"),
            ("redis_ca_file", "/nowhere.pem", "FLASHSALE_REDIS_CA_FILE"),
            ("http.connections_max", "0", "FLASHSALE_HTTP__CONNECTIONS_MAX"),
            ("http.cors_origins", "https://shop.example/", "FLASHSALE_HTTP__CORS_ORIGINS"),
            ("ingest.latency_target_ms", "0", "FLASHSALE_INGEST__LATENCY_TARGET_MS"),
            ("challenge.secret", "short", "FLASHSALE_CHALLENGE__SECRET"),
            ("challenge.difficulty_bits", "23", "FLASHSALE_CHALLENGE__DIFFICULTY_BITS_MAX"),
            ("challenge.captcha_site_key", "site", "FLASHSALE_CHALLENGE__CAPTCHA_VERIFY_URL"),
            ("identity.issuer", "https://id.example", "FLASHSALE_IDENTITY__JWKS_FILE"),
            ("identity.leeway_ms", "900000", "FLASHSALE_IDENTITY__LEEWAY_MS"),
            ("sse.clients_per_ip_max", "0", "FLASHSALE_SSE__CLIENTS_PER_IP_MAX"),
            ("sse.heartbeat_ms", "0", "FLASHSALE_SSE__HEARTBEAT_MS"),
            ("tracing.otlp_endpoint", "https://collector:4318", "FLASHSALE_TRACING__OTLP_ENDPOINT"),
            ("tracing.sample_ratio", "2", "FLASHSALE_TRACING__SAMPLE_RATIO"),
        ] {
            let error = Settings::load(&sources(&[(key, value)]), false).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let flags = [
            ("admin_key", "a-very-secret-admin-key"),
            ("database_url", "postgres://bob:hunter2@db:5432/shop?sslmode=require"),
            ("redis_url", "redis://:hunter2@cache:6379/0"),
            ("kafka.security", "sasl_plaintext"),
            ("kafka.username", "shop"),
            ("kafka.password", "hunter2"),
            ("challenge.secret", "a-very-secret-text-of-many-characters"),
            ("challenge.captcha_verify_url", "https://api.hcaptcha.com/siteverify"),
            ("challenge.captcha_site_key", "site"),
            ("challenge.captcha_secret", "hunter2"),
        ];
        let settings = Settings::load(&sources(&flags), false).unwrap();
        let shown = settings.redacted() + &format!("{settings:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("very-secret"), "{shown}");
        assert!(shown.contains("postgres://bob:[redacted]@db:5432/shop"), "{shown}");
        assert!(shown.contains("username = \"shop\"\n") && shown.contains("password = \"[redacted]\"\n"), "{shown}");
        let url = redact_url("postgres://db/shop?user=bob&password=hunter2&sslmode=verify-full");
        assert_eq!(url, "postgres://db/shop?user=bob&password=[redacted]&sslmode=verify-full");
    }

    #[test]
    fn a_short_admin_key_is_refused() {
        let settings = Settings::load(&sources(&[("admin_key", "short")]), false).unwrap();
        assert!(settings.require(&["admin_key"]).is_err());
        let local = Settings::load(&sources(&[]), true).unwrap();
        assert!(local.require(&["admin_key"]).is_ok() && local.allow_delete);
        let named = Settings::load(&sources(&[("admin_keys_file", "nowhere.toml")]), false).unwrap();
        let error = named.require(&["admin_key"]).unwrap_err().to_string();
        assert!(error.contains("nowhere.toml") && error.contains("FLASHSALE_ADMIN_KEYS_FILE"), "{error}");
    }
}
