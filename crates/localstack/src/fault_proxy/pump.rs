//! One direction of a proxied connection.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use super::{Connection, Ending, Fault, Shared, TICK, shut};

/// How long a request may go on arriving after the pattern that dooms its connection was seen in it.
const REQUEST_MAX: Duration = Duration::from_millis(100);
const CHUNK_BYTES: usize = 16 << 10;
/// What is held back at most; beyond it the sender is not read from.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Copies one direction of a connection until it ends or is closed.
pub(super) fn copy(shared: &Shared, connection: &Connection, to_server: bool) {
    let Some(server) = connection.server.get() else { return };
    let client = &connection.client;
    let (from, to) = if to_server { (client, server) } else { (server, client) };
    let copied = Pump {
        shared,
        connection,
        to_server,
        from,
        to,
        queue: VecDeque::new(),
        queued: 0,
        ended: false,
        write_at: Instant::now(),
        tail: Vec::new(),
        doomed: None,
    }
    .run();
    if let Err(error) = copied
        && !connection.is_closed()
    {
        tracing::debug!(%error, to_server, "a proxied connection broke");
        connection.close(Ending::Reset);
    }
}

/// One direction of a connection.
struct Pump<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    to_server: bool,
    from: &'a TcpStream,
    to: &'a TcpStream,
    /// What was read and not yet written, with the time it is due under [`Fault::Latency`].
    queue: VecDeque<(Instant, Vec<u8>)>,
    /// The bytes in the queue.
    queued: usize,
    /// The sender has said that nothing follows.
    ended: bool,
    /// When [`Fault::Bandwidth`] allows the next write.
    write_at: Instant,
    /// The end of what was read, as far as an armed pattern may begin in it.
    tail: Vec<u8>,
    /// Set when the armed cut has met this connection: until when its request may go on.
    doomed: Option<Instant>,
}

impl Pump<'_> {
    fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0_u8; CHUNK_BYTES];
        while !self.connection.is_closed() {
            let fault = self.shared.fault();
            if fault == Fault::HalfOpen {
                thread::sleep(TICK);
                continue;
            }
            let came = self.read(fault, &mut buffer)?;
            self.write()?;
            if !self.queue.is_empty() || self.connection.is_closed() {
                continue;
            }
            if self.doomed.is_some_and(|until| !came || until <= Instant::now()) {
                // The server is not cut off but told the end, so that it has the whole request and acts on it. The
                // other thread swallows the answer.
                shut(&self.connection.client, Shutdown::Both);
                shut(self.to, Shutdown::Write);
                return Ok(());
            }
            if self.ended && (self.is_withheld() || !self.is_lost(self.shared.fault())) {
                shut(self.to, Shutdown::Write);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits for bytes until those in the queue are due, a tick at most. True when some came.
    fn read(&mut self, fault: Fault, buffer: &mut [u8]) -> io::Result<bool> {
        let wait = self.wait(fault);
        let late = self.doomed.is_some_and(|until| until <= Instant::now());
        if self.ended || late || self.queued >= QUEUE_BYTES_MAX {
            thread::sleep(wait);
            return Ok(false);
        }
        // A timeout of zero would mean none.
        self.from.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        let bytes = match self.from.read(buffer) {
            Ok(0) => {
                self.ended = true;
                return Ok(false);
            }
            Ok(count) => &buffer[..count],
            Err(error) if passes(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        if self.to_server && self.doomed.is_none() && self.shared.springs(&mut self.tail, bytes) {
            // Before the server gets the end of the request, and can answer.
            self.connection.withheld.store(true, Ordering::SeqCst);
            self.doomed = Some(Instant::now() + REQUEST_MAX);
        }
        let due = Instant::now() + delay(fault);
        // Never before its predecessor: jitter does not reorder.
        let due = self.queue.back().map_or(due, |(last, _)| due.max(*last));
        self.queue.push_back((due, bytes.to_vec()));
        self.queued += bytes.len();
        Ok(true)
    }

    /// Writes what is due, as long as the receiver takes it.
    fn write(&mut self) -> io::Result<()> {
        while !self.connection.is_closed() {
            // Asked anew each time: bytes that were read before a fault began must not slip through it.
            let fault = self.shared.fault();
            if self.is_lost(fault) {
                self.queue.clear();
                self.queued = 0;
            }
            let wait = self.wait(fault);
            let Some((_, bytes)) = self.queue.front_mut() else { return Ok(()) };
            if fault == Fault::HalfOpen || !wait.is_zero() {
                return Ok(());
            }
            let length = match fault {
                Fault::Bandwidth { bytes_per_second } => share(bytes_per_second).min(bytes.len()),
                _ => bytes.len(),
            };
            let count = match self.to.write(&bytes[..length]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) if passes(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            bytes.drain(..count);
            if bytes.is_empty() {
                self.queue.pop_front();
            }
            self.written(fault, count);
        }
        Ok(())
    }

    fn written(&mut self, fault: Fault, count: usize) {
        self.queued -= count;
        let total = if self.to_server { &self.shared.to_server } else { &self.shared.to_client };
        total.fetch_add(count as u64, Ordering::Relaxed);
        if let Fault::Bandwidth { bytes_per_second } = fault {
            let took = Duration::from_secs_f64(count as f64 / bytes_per_second.max(1) as f64);
            // Waking late is made up for, a tick at most.
            let now = Instant::now();
            self.write_at = self.write_at.max(now.checked_sub(TICK).unwrap_or(now)) + took;
        }
    }

    /// How long until the head of the queue may be written; a tick at most, and when there is none.
    fn wait(&self, fault: Fault) -> Duration {
        let Some((due, _)) = self.queue.front() else { return TICK };
        let at = match fault {
            Fault::Latency { .. } => *due,
            Fault::Bandwidth { .. } => self.write_at,
            Fault::None | Fault::HalfOpen | Fault::Refuse | Fault::OneWay { .. } => return Duration::ZERO,
        };
        at.saturating_duration_since(Instant::now()).min(TICK)
    }

    /// True when the bytes of this direction are to vanish.
    fn is_lost(&self, fault: Fault) -> bool {
        self.is_withheld() || fault == Fault::OneWay { to_server: self.to_server }
    }

    /// True for the answers of a connection that the armed cut has met.
    fn is_withheld(&self) -> bool {
        !self.to_server && self.connection.withheld.load(Ordering::SeqCst)
    }
}

/// Whether a read or a write is to be tried again.
fn passes(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn delay(fault: Fault) -> Duration {
    let Fault::Latency { delay, jitter } = fault else { return Duration::ZERO };
    let random = RandomState::new().build_hasher().finish();
    delay + jitter.mul_f64(random as f64 / u64::MAX as f64)
}

/// The bytes of one tick at this rate: written in one go.
fn share(bytes_per_second: u64) -> usize {
    usize::try_from(bytes_per_second / 50).unwrap_or(CHUNK_BYTES).clamp(1, CHUNK_BYTES)
}
