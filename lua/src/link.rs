//! The way to one Redis server, and the fence on it.
//!
//! A connection is never renewed under its users' feet: it belongs to one server process for as long as it
//! lives, and whoever finds it broken drops it. A new one is looked at before anybody decides through it: its
//! server's `run_id` must be the one that a recovery has verified against the log (see [`crate::fence`]).
//! Only then does it get the scripts, in a transaction that fails when the fence closes meanwhile. So a Redis
//! that restarted, or a replica that took over, decides nothing until it was verified.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    ServerErrorKind, TlsCertificates, Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};

use crate::{Config, Error, Result, script};

/// A host that acknowledges nothing for this long is gone. The kernel by itself would hope for a quarter of
/// an hour.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// Redis 7 brought stream ids of the form `<ms>-*`, which the outbox needs.
const MAJOR_VERSION_MIN: u32 = 7;
/// Pauses between two tries to connect; they double.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Pause between two looks at a closed fence.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const CONNECT_MAX: Duration = Duration::from_secs(1);
const HUNG_UP: &str = "; it hung up at once: does it speak TLS only, by a URL that begins with rediss://?";

/// A connection to one server process.
#[derive(Clone)]
pub(crate) struct Connected {
    pub(crate) connection: MultiplexedConnection,
    /// Tells connections of one link apart.
    number: u64,
    /// Whether its server was verified, and has the scripts.
    pub(crate) open: bool,
}

#[derive(Default)]
struct State {
    current: Option<Connected>,
    dialled: u64,
    /// No new try before this.
    not_before: Option<Instant>,
    failures: u32,
}

pub(crate) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    fence_key: String,
    state: Mutex<State>,
    dialling: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

/// Whether the connection is to be dropped after `error`: it is gone, nobody knows what will still come on
/// it, or its server is not the one it was.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::NoScript | ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
        )
}

/// The client for the address, by TLS where its URL says so.
fn client(config: &Config) -> Result<Client> {
    let info = config.url.as_str().into_connection_info().map_err(Error::redis("read the address"))?;
    // The client would tell the server its name. Our ACL does not permit that, and Redis 7.0 does not know it.
    let login = info.redis_settings().clone().set_skip_set_lib_name();
    // Without `nodelay` Nagle's algorithm delays every small command. Under TLS both settings hold too.
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(DEAD_AFTER);
    let info = info.set_redis_settings(login).set_tcp_settings(tcp);
    let client = match &config.ca_file {
        None => Client::open(info),
        Some(file) => {
            let trusted = std::fs::read(file).map_err(|error| Error::redis("read the CA file")(error.into()))?;
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(trusted) })
        }
    };
    client.map_err(Error::redis("read the address"))
}

/// For `map_err`, as long as the server has not answered anything.
fn at_first(doing: &'static str) -> impl FnOnce(RedisError) -> Error {
    move |source| match Error::redis(doing)(source) {
        Error::Redis { doing, advice: "", source }
            if source.is_connection_dropped() && !source.is_connection_refusal() =>
        {
            Error::Redis { doing, advice: HUNG_UP, source }
        }
        error => error,
    }
}

impl Link {
    pub(crate) fn new(config: &Config, fence_key: String) -> Result<Self> {
        let client = client(config)?;
        let config = AsyncConnectionConfig::new()
            .set_pipeline_buffer_size(4_096)
            .set_write_backpressure_boundary(128 * 1024)
            .set_response_timeout(Some(config.response_timeout))
            .set_connection_timeout(Some(CONNECT_MAX));
        Ok(Self { client, config, fence_key, state: Mutex::default(), dialling: tokio::sync::Mutex::default() })
    }

    /// Another link to the same address.
    pub(crate) fn apart(&self) -> Self {
        Self {
            client: self.client.clone(),
            config: self.config.clone(),
            fence_key: self.fence_key.clone(),
            state: Mutex::default(),
            dialling: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Valid after every statement, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether decisions were possible when the server was last looked at.
    pub(crate) fn is_open(&self) -> bool {
        self.state().current.as_ref().is_some_and(|connected| connected.open)
    }

    /// A connection, verified or not: for looking, and for recovering.
    pub(crate) async fn any(&self) -> Result<Connected> {
        self.get(false).await
    }

    /// A connection through which may be decided.
    pub(crate) async fn open(&self) -> Result<Connected> {
        let connected = self.get(true).await?;
        if connected.open { Ok(connected) } else { Err(Error::Closed) }
    }

    async fn get(&self, must_be_open: bool) -> Result<Connected> {
        let usable = |state: &State| state.current.clone().filter(|connected| connected.open || !must_be_open);
        if let Some(connected) = usable(&self.state()) {
            return Ok(connected);
        }
        // One dials; the others wait for what it brings.
        let _turn = self.dialling.lock().await;
        {
            let state = self.state();
            if let Some(connected) = usable(&state) {
                return Ok(connected);
            }
            if state.not_before.is_some_and(|at| Instant::now() < at) {
                return state.current.clone().ok_or(Error::Unreachable);
            }
        }
        match self.dial().await {
            Ok((connection, open)) => {
                let mut state = self.state();
                state.dialled += 1;
                state.failures = 0;
                state.not_before = (!open).then(|| Instant::now() + LOOK_AGAIN);
                let connected = Connected { connection, number: state.dialled, open };
                state.current = Some(connected.clone());
                Ok(connected)
            }
            Err(error) => {
                let mut state = self.state();
                let pause = PAUSE_MIN.saturating_mul(1 << state.failures.min(8)).min(PAUSE_MAX);
                state.failures += 1;
                // The low bits of the clock are jitter enough for a handful of instances.
                let jitter = 0.5 + f64::from(Instant::now().elapsed().subsec_nanos() % 512) / 1_024.0;
                state.not_before = Some(Instant::now() + pause.mul_f64(jitter));
                Err(error)
            }
        }
    }

    /// A new connection, and whether its server is verified.
    async fn dial(&self) -> Result<(MultiplexedConnection, bool)> {
        let dialling = self.client.get_multiplexed_async_connection_with_config(&self.config);
        let mut connection = dialling.await.map_err(at_first("connect"))?;
        let (info, verified): (String, Option<String>) = redis::pipe()
            .cmd("WATCH")
            .arg(&self.fence_key)
            .ignore()
            .cmd("INFO")
            .arg("server")
            .get(&self.fence_key)
            .query_async(&mut connection)
            .await
            .map_err(at_first("look at the fence"))?;
        check_version(&info)?;
        if verified.as_deref() != Some(field(&info, "run_id")) {
            redis::cmd("UNWATCH").exec_async(&mut connection).await.map_err(Error::redis("look at the fence"))?;
            return Ok((connection, false));
        }
        let mut load = redis::pipe();
        load.atomic();
        for script in script::all() {
            load.cmd("SCRIPT").arg("LOAD").arg(script.text());
        }
        let loaded: Value = load.query_async(&mut connection).await.map_err(Error::redis("load the scripts"))?;
        // Nothing: the fence was touched in between.
        Ok((connection, !matches!(loaded, Value::Nil)))
    }

    /// Drops the connection when `error` says that it is of no use any more.
    pub(crate) fn note(&self, connected: &Connected, error: &RedisError) {
        if is_broken(error) {
            let mut state = self.state();
            if state.current.as_ref().is_some_and(|current| current.number == connected.number) {
                state.current = None;
            }
        }
    }

    /// Drops the connection, so that the next use looks at the server again.
    pub(crate) fn look_again(&self) {
        let mut state = self.state();
        (state.current, state.not_before) = (None, None);
    }

    /// Runs one command through any connection; once more through a new one when it was cut, so it must be one
    /// that may run twice.
    pub(crate) async fn command<T: FromRedisValue>(&self, doing: &'static str, command: &Cmd) -> Result<T> {
        self.twice(doing, Request::Command(command)).await
    }

    /// The same for a pipeline.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, doing: &'static str, pipeline: &Pipeline) -> Result<T> {
        self.twice(doing, Request::Pipeline(pipeline)).await
    }

    async fn twice<T: FromRedisValue>(&self, doing: &'static str, request: Request<'_>) -> Result<T> {
        let mut connected = self.any().await?;
        let mut answer = request.ask(&mut connected.connection).await.inspect_err(|error| self.note(&connected, error));
        // Cut, as a recovery does to everybody. Not when it is silent: then waiting twice helps nobody.
        if matches!(&answer, Err(error) if error.is_connection_dropped()) {
            connected = self.any().await?;
            answer = request.ask(&mut connected.connection).await.inspect_err(|error| self.note(&connected, error));
        }
        answer.map_err(Error::redis(doing))
    }
}

/// What is asked of the server.
#[derive(Clone, Copy)]
enum Request<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
}

impl Request<'_> {
    async fn ask<T: FromRedisValue>(self, connection: &mut MultiplexedConnection) -> redis::RedisResult<T> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Pipeline(pipeline) => pipeline.query_async(connection).await,
        }
    }
}

/// One line of the answer to `INFO`.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> &'a str {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim()
}

fn check_version(info: &str) -> Result<()> {
    // Valkey counts on from 7.2 under this very name.
    let version = field(info, "redis_version");
    let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < MAJOR_VERSION_MIN { Err(Error::TooOld(version.to_owned())) } else { Ok(()) }
}
