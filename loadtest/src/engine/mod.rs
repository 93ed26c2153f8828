//! Sends requests by a schedule over many connections, from threads with a loop each.
//!
//! ```text
//! schedule → backlog → an idle connection → wire → answer → book
//! ```
//!
//! It speaks as much HTTP as it needs and no more, and nothing is sent again behind the back of the recording: a client
//! that did more would be the load, and one that hid more would be no measure.

mod answer;
mod book;
mod connection;
mod timer;
mod wire;
mod worker;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Barrier, OnceLock,
        atomic::{AtomicBool, AtomicU64},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use flashsale_platform::open_files;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

use self::{wire::Wire, worker::Worker};
use crate::{
    arrivals::Arrivals,
    recorder::{Attempt, Lookup, Recording, Route},
};

/// Requests that wait for a connection, over all threads. More are counted as unsent.
pub const BACKLOG_MAX: usize = 1_000_000;

/// One request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub route: Route,
    /// The number of the shopper.
    pub shopper: u64,
    /// The number of the idempotency key; 0 sends none.
    pub key: u64,
    /// Which of [`Target::skus`].
    pub sku: u32,
}

/// Where and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where connections go, in turn.
    pub servers: Vec<SocketAddr>,
    /// The `Host` header.
    pub host: String,
    /// What is asked for, by number.
    pub skus: Vec<String>,
    /// Shoppers are named `<prefix>-<n>` and keys `<prefix>-k<n>`.
    pub prefix: String,
    /// Headers that every request carries besides.
    pub headers: Vec<(String, String)>,
}

/// How it is sent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections at a time, over all threads; at least one.
    pub connections: usize,
    /// Open them all before the start.
    pub open_first: bool,
    /// Threads that do it: at least one, and no more than connections.
    pub threads: usize,
    /// Keep a connection for the next request; else there is one request a connection.
    pub keep_alive: bool,
    /// Requests under way on a connection; with 1 none waits behind another.
    pub pipeline: usize,
    /// No answer within this time since it was sent: the request is broken. The same for opening a connection.
    pub answer_max: Duration,
    /// Keep every attempt to buy and every look at a receipt.
    pub keep_attempts: bool,
}

/// When requests are due.
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// In which way.
    pub arrivals: Arrivals,
    /// For how long.
    pub lasts: Duration,
    /// Decides what is chance.
    pub seed: u64,
}

/// Takes what was kept while a run goes on, so that it need not be in memory. It is called from the threads of the
/// load, some twenty times a second, and they wait for it.
pub type HandOver<'a> = &'a (dyn Fn(Vec<Attempt>, Vec<Lookup>) + Sync);

/// How far a run is. It lags by a twentieth of a second.
#[derive(Debug, Default)]
pub struct Live {
    /// Requests written.
    pub sent: AtomicU64,
    /// Answers, whatever they said.
    pub answered: AtomicU64,
    /// Answers that said that a unit is the shopper's.
    pub purchased: AtomicU64,
    /// 429 and 503.
    pub refused: AtomicU64,
    /// Requests without an answer.
    pub broken: AtomicU64,
    /// Mean time from due to answer over the last half second or so, in microseconds.
    pub latency_us: AtomicU64,
    /// Set it to end early: what is under way is still waited for.
    pub stop: AtomicBool,
}

/// What the threads share.
struct Shared<'a> {
    target: &'a Target,
    options: &'a Options,
    when: When,
    request: &'a (dyn Fn(u64) -> Request + Sync),
    live: &'a Live,
    hand_over: Option<HandOver<'a>>,
    wire: Wire,
    threads: usize,
    /// Connections that were begun.
    opened: AtomicU64,
    /// All wait here until all are prepared.
    gate: Barrier,
    start: OnceLock<Instant>,
}

/// Runs the schedule to its end, and waits for the answers under way. Blocks.
///
/// `request(n)` makes the n-th request when it is due; it is called from several threads. What waits for a connection
/// after `lasts` is sent for another `answer_max`, and counted as unsent thereafter. An error is about this machine,
/// or about a target that cannot be put into a request; what goes wrong with a request is in the recording.
pub fn run(
    target: &Target,
    options: &Options,
    arrivals: Arrivals,
    lasts: Duration,
    seed: u64,
    request: &(dyn Fn(u64) -> Request + Sync),
    live: &Live,
) -> anyhow::Result<Recording> {
    run_into(target, options, When { arrivals, lasts, seed }, request, live, None)
}

/// The same. With `hand_over` what is kept goes there as it comes, and is not in the recording.
///
/// # Errors
/// As [`run`].
pub fn run_into(
    target: &Target,
    options: &Options,
    when: When,
    request: &(dyn Fn(u64) -> Request + Sync),
    live: &Live,
    hand_over: Option<HandOver<'_>>,
) -> anyhow::Result<Recording> {
    check(target)?;
    open_files::raise_limit();
    let threads = options.threads.clamp(1, options.connections.max(1));
    let shared = Shared {
        target,
        options,
        when,
        request,
        live,
        hand_over,
        wire: Wire::new(target, options.keep_alive),
        threads,
        opened: AtomicU64::new(0),
        gate: Barrier::new(threads),
        start: OnceLock::new(),
    };
    let workers: io::Result<Vec<Worker<'_>>> = (0..threads).map(|index| Worker::new(&shared, index)).collect();
    let workers = workers.context("prepare the threads of the load")?;
    let cpu_before = cpu_time()?;
    let mut recording = Recording::default();
    thread::scope(|scope| {
        let running: Vec<_> = workers.into_iter().map(|worker| scope.spawn(move || worker.run())).collect();
        for thread in running {
            let measured = thread.join().map_err(|_| anyhow!("a thread of the load panicked"))?;
            recording.merge(measured.context("wait for sockets")?);
        }
        anyhow::Ok(())
    })?;
    recording.client_cpu = cpu_time()?.saturating_sub(cpu_before);
    Ok(recording)
}

/// What goes into requests as it is must not end a line there, nor a string.
fn check(target: &Target) -> anyhow::Result<()> {
    ensure!(!target.servers.is_empty(), "there is no server to send to");
    ensure!(!target.skus.is_empty(), "there is no sku to ask for");
    for sku in &target.skus {
        let is_plain = !sku.is_empty() && sku.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        ensure!(is_plain, "{sku:?} is no sku: letters, digits and hyphens");
    }
    let named = target.headers.iter().flat_map(|(name, value)| [name, value]);
    for text in named.chain([&target.host, &target.prefix]) {
        ensure!(!text.bytes().any(|byte| byte.is_ascii_control()), "{text:?} has control characters");
    }
    Ok(())
}

/// CPU time of this process so far, of user and system.
fn cpu_time() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("read the CPU time of this process")?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

/// Nanoseconds, as many as fit.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
