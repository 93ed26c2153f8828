//! The servers of a run of drills, each behind a proxy that fails on command.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use flashsale_localstack::{Config, FaultProxy, Kind, Ports, Server, Stack, psql};
use tempfile::TempDir;

/// Kafka, Redis and Postgres of one run. Dropped, all is gone.
#[derive(Debug)]
pub struct Arena {
    /// The binary under test.
    pub(crate) binary: PathBuf,
    pub(crate) kafka: FaultProxy,
    pub(crate) redis: FaultProxy,
    pub(crate) postgres: FaultProxy,
    stack: Stack,
    // After the servers: fields are dropped in order.
    dir: TempDir,
}

fn port_of(url: &str) -> Result<SocketAddr> {
    let rest = url.split("://").last().unwrap_or(url);
    let rest = rest.rsplit('@').next().unwrap_or(rest);
    let address = rest.split('/').next().unwrap_or(rest);
    address.parse().with_context(|| format!("{url} names no address"))
}

fn free_port() -> Result<u16> {
    // Below the ephemeral range, so that no outgoing connection takes it meanwhile.
    for port in (12_000..20_000).step_by(7) {
        let shifted = port + u16::try_from(std::process::id() % 7)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, shifted)).is_ok() {
            return Ok(shifted);
        }
    }
    anyhow::bail!("no free port below 20000")
}

impl Arena {
    /// Starts the servers for drills of `binary`. Blocks until they answer.
    ///
    /// # Errors
    /// When a server does not start.
    pub fn start(binary: &Path) -> Result<Self> {
        // Postgres may run under a user of its own, who has to pass.
        let permissions = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        let dir = tempfile::Builder::new().prefix("flashsale-drills-").permissions(permissions).tempdir()?;
        let kafka_port = free_port()?;
        let kafka = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, kafka_port)))?;
        let config = Config {
            durable: false,
            ports: Ports { kafka: Some(kafka_port), ..Ports::default() },
            kafka_advertised: Some(kafka.address().port()),
            ..Config::new(dir.path().join("servers"))
        };
        let stack = Stack::start(&config, &Kind::ALL, &|_| ()).context("start the servers of the drills")?;
        let url = |kind| stack.url(kind).context("it was started");
        let redis = FaultProxy::start(port_of(url(Kind::Redis)?)?)?;
        let postgres = FaultProxy::start(port_of(url(Kind::Postgres)?)?)?;
        Ok(Self { binary: binary.to_owned(), kafka, redis, postgres, stack, dir })
    }

    /// One of the servers.
    pub(crate) fn server(&self, kind: Kind) -> Result<&Server> {
        self.stack.server(kind).context("it was started")
    }

    /// Where a server answers without its proxy.
    pub(crate) fn direct(&self, kind: Kind) -> Result<String> {
        Ok(self.stack.url(kind).context("it was started")?.to_owned())
    }

    /// Its data directory.
    pub(crate) fn home(&self, kind: Kind) -> PathBuf {
        self.dir.path().join("servers").join(kind.name())
    }

    /// A directory for what a drill needs besides.
    pub(crate) fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The brokers behind their proxy.
    pub(crate) fn brokers(&self) -> String {
        self.kafka.address().to_string()
    }

    /// Redis behind its proxy.
    pub(crate) fn redis_url(&self) -> String {
        format!("redis://{}", self.redis.address())
    }

    /// An empty database; its URL behind the proxy, and without.
    pub(crate) fn database(&self, name: &str) -> Result<(String, String)> {
        let direct = self.direct(Kind::Postgres)?;
        psql(&direct, &format!("CREATE DATABASE {name}"))?;
        let user = direct.split("://").last().and_then(|rest| rest.split('@').next()).unwrap_or("flashsale");
        let address = port_of(&direct)?;
        Ok((
            format!("postgres://{user}@{}/{name}", self.postgres.address()),
            format!("postgres://{user}@{address}/{name}"),
        ))
    }

    /// Makes everything well again: proxies pass, servers run with their own data.
    pub(crate) fn heal(&self) -> Result<()> {
        let redis = port_of(&self.direct(Kind::Redis)?)?;
        self.redis.set_upstream(redis);
        for proxy in [&self.kafka, &self.redis, &self.postgres] {
            proxy.heal();
        }
        for kind in Kind::ALL {
            let server = self.server(kind)?;
            signal(server.pid(), nix::sys::signal::Signal::SIGCONT);
            if !is_running(server.pid()) {
                server.restart()?;
            }
        }
        Ok(())
    }
}

/// Sends a signal to a process that this run started; one that is gone is no error.
pub(crate) fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    if let Ok(raw) = i32::try_from(pid)
        && let Err(errno) = nix::sys::signal::kill(nix::unistd::Pid::from_raw(raw), signal)
    {
        tracing::debug!(%errno, pid, ?signal, "signal");
    }
}

fn is_running(pid: u32) -> bool {
    // A zombie that nobody has reaped yet has no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}
