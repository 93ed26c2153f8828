use std::{fmt, path::PathBuf, time::Duration};

use crate::{Error, Ports};

/// Where the servers live and how careful they are.
#[derive(Clone, Debug)]
pub struct Config {
    /// Holds the data, the logs, the lock and the remembered ports. Made when absent.
    pub data_dir: PathBuf,
    /// Holds `kafka-<version>/*.jar`, as `deploy/local/setup.sh` leaves them.
    pub cache_dir: PathBuf,
    /// True: what Postgres acknowledged survives a power cut, and Kafka's JVM is tuned to run long.
    /// False, for tests: it survives a `kill -9`, and everything starts sooner.
    pub durable: bool,
    /// Ports that must be used; those not given are the remembered ones or free ones.
    pub ports: Ports,
    /// The port on loopback that Kafka tells its clients to use, where something stands in front of it.
    pub kafka_advertised: Option<u16>,
    /// Has the servers speak TLS only and ask for a login; for tests, and for a new data directory.
    pub tls: Option<Tls>,
}

/// Certificates, all PEM, and a login.
#[derive(Clone)]
pub struct Tls {
    /// Who has signed the certificates.
    pub ca_file: PathBuf,
    /// The certificate of every server.
    pub certificate_file: PathBuf,
    /// Its key, in PKCS #8.
    pub key_file: PathBuf,
    /// The host in the URLs, and the one that Kafka tells its clients to use.
    pub host: String,
    /// The login to Kafka, by SCRAM or PLAIN. To Postgres its password leads to `flashsale`.
    pub username: String,
    /// Its password. It stands in files and on command lines: only for tests.
    pub password: String,
    /// Whether Kafka asks its clients for a certificate of the same CA too.
    pub kafka_client_certificates: bool,
    /// Who may do what in Redis; none for everybody everything.
    pub redis_acl_file: Option<PathBuf>,
}

/// Without the password.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("host", &self.host).field("ca_file", &self.ca_file).finish_non_exhaustive()
    }
}

impl Config {
    /// The configuration of `flashsale up`: durable, any ports, the cache that `deploy/local/setup.sh` fills.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            cache_dir: cache_dir(),
            durable: true,
            ports: Ports::default(),
            kafka_advertised: None,
            tls: None,
        }
    }

    /// The same without relative paths: each server runs in a directory of its own.
    pub(crate) fn absolute(&self) -> Result<Self, Error> {
        let absolute =
            |dir: &PathBuf| std::path::absolute(dir).map_err(Error::io(format!("resolve {}", dir.display())));
        Ok(Self { data_dir: absolute(&self.data_dir)?, cache_dir: absolute(&self.cache_dir)?, ..self.clone() })
    }

    /// The directory of one server's data.
    pub(crate) fn home(&self, kind: Kind) -> PathBuf {
        self.data_dir.join(kind.name())
    }

    /// The file that takes one server's output.
    pub(crate) fn log(&self, kind: Kind) -> PathBuf {
        self.data_dir.join("logs").join(format!("{kind}.log"))
    }
}

/// The same rule as in `deploy/local/setup.sh`.
fn cache_dir() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FLASHSALE_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("flashsale")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/flashsale")))
        .unwrap_or_else(|| PathBuf::from("/var/cache/flashsale"))
}

/// One of the three servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Apache Kafka: one node, broker and controller in one.
    Kafka,
    /// Redis, with an append-only file.
    Redis,
    /// Postgres.
    Postgres,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kafka, Self::Redis, Self::Postgres];

    /// The lower-case name, as in the names of files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Told of each step of a start. Called from several threads.
pub type Progress<'a> = &'a (dyn Fn(Step) + Sync);

/// One step of a start.
#[derive(Clone, Debug)]
pub struct Step {
    /// The server that took it.
    pub server: Kind,
    /// What it is at.
    pub stage: Stage,
}

/// How far a server is.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Its empty data directory is being made; the first start only.
    Preparing,
    /// Its data cannot live below the data directory and lives here instead.
    MovedTo(PathBuf),
    /// Its process is about to start.
    Starting,
    /// It answers.
    Ready {
        /// Where.
        url: String,
        /// Since the process was started.
        took: Duration,
    },
}
