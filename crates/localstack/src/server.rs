//! One server process: start, wait until it answers, stop, kill, restart.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User},
};

use crate::{Config, Error, Kind, Progress, Stage, Step, kafka, leftover, postgres, program, redis, spawner};

/// How long a server may take until it answers; a cold JVM on a busy machine is the slowest.
const START_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to end in order before it is killed.
const STOP_MAX: Duration = Duration::from_secs(20);
/// The same when nobody waits for a clean end: the server was dropped.
const DROP_MAX: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
/// A longer log is set aside at the next start, so that no more than twice this is kept.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// Asks whether the server answers; says why not.
pub(crate) type Probe = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// How to run a server whose data directory is prepared.
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Its working directory, which holds its data.
    pub(crate) home: PathBuf,
    pub(crate) user: Option<User>,
    /// Sent by the kernel when this process dies: ends the server at once, whatever it is doing.
    pub(crate) orphan_signal: Signal,
    /// Ends the server in order.
    pub(crate) stop_signal: Signal,
    pub(crate) probe: Probe,
    /// An early end with one of these in the log is worth another try until the deadline.
    pub(crate) passing: &'static [&'static str],
}

/// A running server. Dropped, it is ended at once.
pub struct Server {
    spec: Spec,
    log: PathBuf,
    pid_file: PathBuf,
    state: Mutex<State>,
}

struct State {
    child: Child,
    /// Where in the log the output of this child begins.
    log_from: usize,
    /// True when the end of the child was asked for.
    ending: bool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("kind", &self.spec.kind).field("url", &self.spec.url).finish_non_exhaustive()
    }
}

impl Server {
    /// Prepares the data directory if it is new, ends a leftover of a killed predecessor, starts the server and waits
    /// until it answers. Without a port in the configuration it listens on a free one.
    ///
    /// Nobody else may use the data directory; [`Stack`](crate::Stack) makes sure of that.
    ///
    /// # Errors
    /// When it does not answer within a minute; see [`Error`].
    pub fn start(kind: Kind, config: &Config, progress: Progress<'_>) -> Result<Self, Error> {
        let config = &config.absolute()?;
        let (log, pid_file) = (config.log(kind), pid_file(&config.data_dir, kind));
        for dir in [Some(config.data_dir.as_path()), log.parent()].into_iter().flatten() {
            fs::create_dir_all(dir).map_err(Error::io(format!("make {}", dir.display())))?;
        }
        leftover::end(&pid_file, orphan_signal(kind))?;
        let tell = |stage| progress(Step { server: kind, stage });
        let spec = match kind {
            Kind::Kafka => kafka::spec(config, &tell)?,
            Kind::Redis => redis::spec(config)?,
            Kind::Postgres => postgres::spec(config, &tell)?,
        };
        tell(Stage::Starting);
        let begun = Instant::now();
        let state = Mutex::new(launch(&spec, &log, &pid_file)?);
        let server = Self { spec, log, pid_file, state };
        server.wait_until_ready(begun)?;
        tell(Stage::Ready { url: server.url().to_owned(), took: begun.elapsed() });
        Ok(server)
    }

    /// Ends what a killed process left running in this directory.
    pub(crate) fn end_leftovers(data_dir: &Path) -> Result<(), Error> {
        Kind::ALL.iter().try_for_each(|kind| leftover::end(&pid_file(data_dir, *kind), orphan_signal(*kind)))
    }

    /// Which server this is.
    pub fn kind(&self) -> Kind {
        self.spec.kind
    }

    /// Where it answers: `redis://...`, `postgres://...`, or Kafka's `host:port`. Stays the same over restarts.
    pub fn url(&self) -> &str {
        &self.spec.url
    }

    /// The process id of its last start.
    pub fn pid(&self) -> u32 {
        self.state().child.id()
    }

    /// Fails once the server ended without having been asked to. To be called now and then by whoever needs it alive.
    ///
    /// # Errors
    /// [`Error::Ended`], with the last lines of the log.
    pub fn check(&self) -> Result<(), Error> {
        let mut state = self.state();
        match state.child.try_wait() {
            Ok(Some(status)) if !state.ending => Err(self.ended(status, state.log_from)),
            Ok(_) => Ok(()),
            Err(source) => Err(self.unobservable(source)),
        }
    }

    /// Ends it in order and waits until it is gone; kills it if it takes too long.
    pub fn stop(&self) {
        self.end(self.spec.stop_signal, STOP_MAX);
    }

    /// Ends it by SIGKILL and waits until it is gone.
    pub fn kill(&self) {
        self.end(Signal::SIGKILL, Duration::MAX);
    }

    /// Starts it again on the same port with the same data, stopping it in order first if it still runs.
    ///
    /// # Errors
    /// As for [`Server::start`].
    pub fn restart(&self) -> Result<(), Error> {
        self.stop();
        let begun = Instant::now();
        let next = launch(&self.spec, &self.log, &self.pid_file)?;
        *self.state() = next;
        self.wait_until_ready(begun)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_ready(&self, begun: Instant) -> Result<(), Error> {
        loop {
            if let Err(error) = self.check() {
                let tail = self.log_tail(self.state().log_from);
                let passing = self.spec.passing.iter().any(|text| tail.contains(text));
                if !passing || begun.elapsed() > START_MAX {
                    return Err(error);
                }
                let next = launch(&self.spec, &self.log, &self.pid_file)?;
                *self.state() = next;
            }
            let Err(last) = (self.spec.probe)() else { return Ok(()) };
            if begun.elapsed() > START_MAX {
                let log_from = self.state().log_from;
                return Err(Error::NotReady {
                    server: self.spec.kind,
                    after: START_MAX,
                    last,
                    log: self.log.clone(),
                    tail: self.log_tail(log_from),
                });
            }
            thread::sleep(POLL);
        }
    }

    /// Sends the signal, and SIGKILL after `patience`. The lock is held for moments only: others may look meanwhile.
    fn end(&self, signal: Signal, patience: Duration) {
        let begun = Instant::now();
        let mut sent = None;
        loop {
            let mut state = self.state();
            state.ending = true;
            match state.child.try_wait() {
                Ok(None) => {}
                Ok(Some(_)) => break,
                Err(error) => {
                    tracing::error!(%error, server = %self.spec.kind, "cannot wait for a server's end");
                    break;
                }
            }
            let due = if begun.elapsed() < patience { signal } else { Signal::SIGKILL };
            if sent != Some(due) {
                if sent.is_some() {
                    tracing::warn!(server = %self.spec.kind, ?patience, "killing a server that does not end");
                }
                // Not reaped yet, so the id is still its own.
                if let Ok(pid) = i32::try_from(state.child.id())
                    && let Err(errno) = kill(Pid::from_raw(pid), due)
                {
                    tracing::error!(%errno, server = %self.spec.kind, "cannot signal a server");
                }
                sent = Some(due);
            }
            drop(state);
            thread::sleep(POLL);
        }
        leftover::remove(&self.pid_file);
    }

    fn ended(&self, status: ExitStatus, log_from: usize) -> Error {
        Error::Ended {
            server: self.spec.kind,
            status,
            home: self.spec.home.clone(),
            log: self.log.clone(),
            tail: self.log_tail(log_from),
        }
    }

    fn unobservable(&self, source: io::Error) -> Error {
        Error::Io { what: format!("see whether {} runs", self.spec.kind), source }
    }

    fn log_tail(&self, from: usize) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        program::last_lines(&String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end(self.spec.orphan_signal, DROP_MAX);
    }
}

/// Postgres ends its own children on SIGQUIT, at once and safely; the others have none to leave behind.
pub(crate) fn orphan_signal(kind: Kind) -> Signal {
    match kind {
        Kind::Postgres => Signal::SIGQUIT,
        Kind::Kafka | Kind::Redis => Signal::SIGKILL,
    }
}

fn pid_file(data_dir: &Path, kind: Kind) -> PathBuf {
    data_dir.join(format!("{kind}.pid"))
}

fn launch(spec: &Spec, log: &Path, pid_file: &Path) -> Result<State, Error> {
    let opened = |error| Error::io(format!("open {}", log.display()))(error);
    let mut log_from = fs::metadata(log).map_or(0, |meta| meta.len());
    if log_from > LOG_BYTES_MAX {
        fs::rename(log, log.with_extension("log.old")).map_err(opened)?;
        log_from = 0;
    }
    let output = File::options().append(true).create(true).open(log).map_err(opened)?;
    let errors = output.try_clone().map_err(opened)?;

    let mut command = program::tied(&spec.program, spec.user.as_ref(), spec.orphan_signal)?;
    command.args(&spec.arguments).current_dir(&spec.home).stdout(output).stderr(errors);
    let mut child = spawner::spawn(command).map_err(Error::io(format!("run {}", spec.program.display())))?;
    if let Err(error) = leftover::write(pid_file, child.id()) {
        let ended = child.kill().and_then(|()| child.wait());
        tracing::warn!(?ended, server = %spec.kind, "ended a server whose pid cannot be noted");
        return Err(error);
    }
    Ok(State { child, log_from: usize::try_from(log_from).unwrap_or(usize::MAX), ending: false })
}
