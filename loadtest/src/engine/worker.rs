//! One thread of the load: a loop over its connections.

use std::{
    borrow::Cow,
    collections::VecDeque,
    io,
    iter::{Peekable, Skip, StepBy},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, event::Event};

use super::{
    BACKLOG_MAX, Request, Shared, answer,
    book::Book,
    connection::{self, Connection, UnderWay},
    nanos,
    timer::Timer,
};
use crate::{
    arrivals::{Arrivals, Schedule},
    recorder::Recording,
};

const TIMER: Token = Token(usize::MAX);
/// Events that are taken at a time.
const EVENTS: usize = 1_024;
/// Bytes that are read at a time.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Requests that are written before answers are looked for: those that wait would seem late.
const ROUND_MAX: usize = 128;
/// Connections under way at a time while nothing is sent yet: more than a server's queue takes would wait for a second
/// try of their first packet.
const OPENING_MAX: usize = 64;
/// How often requests are looked for that had no answer in time, in nanoseconds.
const SWEEP: u64 = 50_000_000;
/// Without a schedule a server that takes no connections would be asked without end: wait so long, in nanoseconds.
const RETRY: u64 = 10_000_000;

/// A request that waits for a connection; `due` is in nanoseconds since the start.
struct Job {
    due: u64,
    request: Request,
}

/// Why a connection ends, in words.
type Why = Cow<'static, str>;

pub(super) struct Worker<'a> {
    shared: &'a Shared<'a>,
    /// The start, once all threads have one.
    clock: Instant,
    poll: Poll,
    timer: Timer,
    scratch: Vec<u8>,
    /// Connections by their place, which is also their token.
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Those with room for a request, by place and serial number: the one that has waited longest comes first. Some
    /// may be gone.
    idle: VecDeque<(usize, u64)>,
    opening: usize,
    under_way: usize,
    backlog: VecDeque<Job>,
    backlog_max: usize,
    schedule: Peekable<StepBy<Skip<Schedule>>>,
    /// Of the next request.
    number: u64,
    /// Whether the next request waits for an answer, and not for its time.
    is_closed: bool,
    /// Whether there is more to come than what is in the backlog.
    is_issuing: bool,
    retry_at: u64,
    sweep_at: u64,
    book: Book<'a>,
}

impl<'a> Worker<'a> {
    /// The thread `index` of all, with its share of the connections and of the requests.
    pub(super) fn new(shared: &'a Shared<'a>, index: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        let connections = (shared.options.connections.max(1) + index) / shared.threads;
        let schedule = shared.when.arrivals.schedule(shared.when.lasts, shared.when.seed);
        Ok(Self {
            shared,
            clock: Instant::now(),
            poll,
            timer,
            scratch: vec![0; SCRATCH_BYTES],
            slots: (0..connections).map(|_| None).collect(),
            free: (0..connections).rev().collect(),
            idle: VecDeque::with_capacity(connections),
            opening: 0,
            under_way: 0,
            backlog: VecDeque::new(),
            backlog_max: BACKLOG_MAX.div_ceil(shared.threads),
            schedule: schedule.skip(index).step_by(shared.threads).peekable(),
            number: index as u64,
            is_closed: shared.when.arrivals == Arrivals::Closed,
            is_issuing: false,
            retry_at: 0,
            sweep_at: SWEEP,
            book: Book::new(shared.live, shared.options.keep_attempts, shared.hand_over),
        })
    }

    /// Does its share of the load. An error is about waiting for sockets at all.
    pub(super) fn run(mut self) -> io::Result<Recording> {
        let mut events = Events::with_capacity(EVENTS);
        let opened = if self.shared.options.open_first { self.open_all(&mut events) } else { Ok(()) };
        // Also after an error: the others wait here.
        self.shared.gate.wait();
        opened?;
        self.begin();
        loop {
            let now = self.now();
            self.is_issuing = self.may_issue(now);
            self.admit(now);
            if now >= self.sweep_at {
                self.sweep(now);
            }
            let is_more = self.dispatch(now);
            if self.is_over(now) {
                break;
            }
            self.wait(&mut events, is_more)?;
        }
        self.book.tell();
        self.book.recording.took = Duration::from_nanos(self.now());
        Ok(self.book.recording)
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        nanos(self.clock.elapsed())
    }

    fn is_stopped(&self) -> bool {
        self.shared.live.stop.load(Relaxed)
    }

    /// Opens all connections, and waits until each is there or has failed.
    fn open_all(&mut self, events: &mut Events) -> io::Result<()> {
        let mut left = self.slots.len();
        while (left > 0 || self.opening > 0) && !self.is_stopped() {
            let now = self.now();
            while left > 0 && self.opening < OPENING_MAX {
                left -= 1;
                self.open(now);
            }
            if now >= self.sweep_at {
                self.sweep(now);
            }
            self.wait(events, false)?;
        }
        Ok(())
    }

    /// From here on times count from the start, which is the same for all threads.
    fn begin(&mut self) {
        self.clock = *self.shared.start.get_or_init(Instant::now);
        (self.sweep_at, self.retry_at) = (SWEEP, 0);
        self.timer.woke();
        for connection in self.slots.iter_mut().flatten() {
            connection.begun = 0;
        }
    }

    /// Whether there is more to come.
    fn may_issue(&mut self, now: u64) -> bool {
        let is_left = if self.is_closed { now < nanos(self.shared.when.lasts) } else { self.schedule.peek().is_some() };
        is_left && !self.is_stopped()
    }

    /// Takes what is due into the backlog.
    fn admit(&mut self, now: u64) {
        while self.is_issuing
            && let Some(due) = self.schedule.next_if(|due| *due <= now)
        {
            let number = self.next_number();
            if self.backlog.len() < self.backlog_max {
                self.backlog.push_back(Job { due, request: (self.shared.request)(number) });
            } else {
                self.book.recording.unsent += 1;
            }
        }
    }

    fn next_number(&mut self) -> u64 {
        let number = self.number;
        self.number += self.shared.threads as u64;
        number
    }

    /// Whether all is done; what has waited for too long is given up.
    fn is_over(&mut self, now: u64) -> bool {
        if self.is_issuing {
            return false;
        }
        let last = nanos(self.shared.when.lasts.saturating_add(self.shared.options.answer_max));
        if now >= last || self.is_stopped() {
            self.book.recording.unsent += self.backlog.len() as u64;
            self.backlog.clear();
        }
        self.backlog.is_empty() && self.under_way == 0
    }

    /// Writes what waits to connections with room, and opens those that are missing. Whether there is more to write
    /// at once.
    fn dispatch(&mut self, now: u64) -> bool {
        for _ in 0..ROUND_MAX {
            if self.backlog.is_empty() && !(self.is_closed && self.is_issuing) {
                return false;
            }
            let Some((slot, connection)) = self.next_idle() else {
                self.open_missing(now);
                return false;
            };
            let job = match self.backlog.pop_front() {
                Some(job) => job,
                None => {
                    let number = self.next_number();
                    Job { due: now, request: (self.shared.request)(number) }
                }
            };
            self.send(slot, connection, job);
        }
        true
    }

    /// Takes the connection that has waited longest for a request out of its place.
    fn next_idle(&mut self) -> Option<(usize, Connection)> {
        while let Some((slot, serial)) = self.idle.pop_front() {
            if let Some(connection) = self.slots[slot].take_if(|connection| connection.serial == serial) {
                return Some((slot, connection));
            }
        }
        None
    }

    fn send(&mut self, slot: usize, mut connection: Connection, job: Job) {
        connection.is_offered = false;
        // Before it is written: the server cannot have it earlier.
        let sent = self.now();
        let (output, is_first) = connection.output();
        self.shared.wire.write(&job.request, output);
        let flushed = connection.flush();
        if flushed.is_err() && is_first && connection.is_untouched() {
            // The connection went while it was idle, and not a byte of the request with it.
            self.backlog.push_front(job);
            return self.lose(slot, connection, "closed before a request was written");
        }
        let due = if self.is_closed { sent } else { job.due };
        connection.under_way.push_back(UnderWay { request: job.request, due, sent });
        self.under_way += 1;
        self.book.sent();
        match flushed {
            Ok(()) => self.put_back(slot, connection),
            Err(error) => self.lose(slot, connection, &format!("write: {error}")),
        }
    }

    /// Puts a connection into its place, and offers it if it has room for a request.
    fn put_back(&mut self, slot: usize, mut connection: Connection) {
        let has_room = connection.under_way.len() < self.shared.options.pipeline.max(1);
        // Without keeping it alive, its first request is its last: after the answer it is gone.
        if connection.is_open && has_room && !connection.is_offered && self.may_take(&connection) {
            connection.is_offered = true;
            self.idle.push_back((slot, connection.serial));
        }
        self.slots[slot] = Some(connection);
    }

    fn may_take(&self, connection: &Connection) -> bool {
        self.shared.options.keep_alive || connection.under_way.is_empty()
    }

    /// Opens connections for what waits, as far as there is room for them.
    fn open_missing(&mut self, now: u64) {
        loop {
            let is_wanted = if self.is_closed && self.is_issuing {
                now >= self.retry_at
            } else {
                self.opening < self.backlog.len()
            };
            if self.free.is_empty() || !is_wanted {
                return;
            }
            self.open(now);
        }
    }

    /// Begins a connection.
    fn open(&mut self, now: u64) {
        let Some(slot) = self.free.pop() else { return };
        let serial = self.shared.opened.fetch_add(1, Relaxed);
        let servers = &self.shared.target.servers;
        let begun = connection::connect(servers[serial as usize % servers.len()], serial).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(slot), interest).map(|()| stream)
        });
        match begun {
            Ok(stream) => {
                self.opening += 1;
                self.slots[slot] = Some(Connection::new(stream, serial, now));
            }
            Err(error) => {
                self.free.push(slot);
                self.refused(now, &format!("connect: {error}"));
            }
        }
    }

    /// There is no connection. The request that waits longest has none, so it is broken.
    fn refused(&mut self, now: u64, why: &str) {
        self.retry_at = now + RETRY;
        match self.backlog.pop_front() {
            Some(job) => self.book.broken(&UnderWay { request: job.request, due: job.due, sent: now }, now, why),
            None => self.book.recording.fail(why, 1),
        }
    }

    /// A connection is gone, and what was under way on it.
    fn lose(&mut self, slot: usize, connection: Connection, why: &str) {
        let now = self.now();
        self.free.push(slot);
        if !connection.is_open {
            self.opening -= 1;
            self.refused(now, why);
        }
        self.under_way -= connection.under_way.len();
        for asked in &connection.under_way {
            self.book.broken(asked, now, why);
        }
    }

    /// Gives up what has been waited for too long, and tells the live display.
    fn sweep(&mut self, now: u64) {
        self.sweep_at = now + SWEEP;
        let most = self.shared.options.answer_max;
        for slot in 0..self.slots.len() {
            if let Some(connection) = self.slots[slot].take_if(|connection| connection.is_late(now, most)) {
                let what = if connection.is_open { "answer" } else { "connection" };
                self.lose(slot, connection, &format!("no {what} within {most:?}"));
            }
        }
        self.book.tell();
    }

    /// Waits until something happens or is due, and takes what has come; with `is_more` to do it does not wait.
    fn wait(&mut self, events: &mut Events, is_more: bool) -> io::Result<()> {
        let timeout = is_more.then_some(Duration::ZERO);
        if !is_more {
            let now = self.now();
            let mut wake = self.sweep_at;
            if self.is_issuing {
                wake = self.schedule.peek().map_or(wake, |due| wake.min(*due));
            }
            if self.is_closed && self.retry_at > now {
                wake = wake.min(self.retry_at);
            }
            self.timer.wake_at(wake, now)?;
        }
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &*events {
            if event.token() == TIMER {
                self.timer.woke();
                continue;
            }
            let slot = event.token().0;
            // It may have gone by an earlier event of this round. Then this is about nothing, or about the one that
            // has its place now, which finds out.
            let Some(mut connection) = self.slots[slot].take() else { continue };
            match self.attend(&mut connection, event) {
                Ok(()) => self.put_back(slot, connection),
                Err(why) => self.lose(slot, connection, &why),
            }
        }
        Ok(())
    }

    /// Does what can be done with a connection. An error ends it.
    fn attend(&mut self, connection: &mut Connection, event: &Event) -> Result<(), Why> {
        if !connection.is_open {
            if !connection.check_open().map_err(|error| format!("connect: {error}"))? {
                return Ok(());
            }
            self.opening -= 1;
            self.book.recording.connected += 1;
        }
        if event.is_writable() {
            connection.flush().map_err(|error| format!("write: {error}"))?;
        }
        let is_closed = event.is_read_closed() || event.is_error();
        if event.is_readable() || is_closed {
            self.receive(connection, is_closed)?;
        }
        Ok(())
    }

    /// Reads all that has come. Without `is_closed` less than was asked for is all of it: the end of the stream would
    /// be an event of its own.
    fn receive(&mut self, connection: &mut Connection, is_closed: bool) -> Result<(), Why> {
        loop {
            match connection.read(&mut self.scratch).map_err(|error| format!("read: {error}"))? {
                None => return Ok(()),
                Some(0) => return Err("closed by the server before it answered".into()),
                Some(count) => {
                    self.take_answers(connection)?;
                    if count < self.scratch.len() && !is_closed {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes the whole answers out of what has come.
    fn take_answers(&mut self, connection: &mut Connection) -> Result<(), Why> {
        let now = self.now();
        let mut taken = 0;
        while taken < connection.input.len() {
            let Some(answer) = answer::parse(&connection.input[taken..])? else { break };
            let Some(asked) = connection.under_way.pop_front() else { return Err("an answer to nothing".into()) };
            taken += answer.length;
            self.under_way -= 1;
            self.book.answered(&asked, &answer, now);
            if answer.closes || !self.shared.options.keep_alive {
                return Err("closed by the server after another answer".into());
            }
        }
        connection.input.drain(..taken);
        if connection.is_flooded() { Err("an answer without an end".into()) } else { Ok(()) }
    }
}
