//! A flood of attempts to buy, by schedule or as fast as answers come, from threads of its own.
//!
//! It speaks as much HTTP as it needs and no more: a client that did more would be the load.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// How long an attempt may take, its connection included. Longer is a failure.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// An answer that is longer is none of ours.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What is sent, and how.
#[derive(Debug, Clone)]
pub struct Flood {
    /// Where to.
    pub server: SocketAddr,
    /// What everybody wants.
    pub sku: String,
    /// Each attempt is of a shopper of its own: this, a hyphen and a number.
    pub users: String,
    /// Connections, each with one attempt under way at a time.
    pub connections: usize,
    /// Attempts a second, whether or not answers come; without it the next is sent when an answer is there.
    pub rate: Option<f64>,
    /// For how long attempts are sent.
    pub lasts: Duration,
    /// After so many attempts a connection is closed and another one opened.
    pub attempts_per_connection: u32,
    /// Threads that do it.
    pub threads: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// 429 and 503 that do not say when to come back.
    pub impolite: u64,
    /// Attempts without an answer, and what happened to the last of them.
    pub broken: u64,
    /// See `broken`.
    pub failure: String,
    /// Units that shoppers were told they hold.
    pub sold: u64,
    /// Microseconds from sending to answer of what was decided.
    pub decided_us: Vec<u64>,
    /// The same from when it should have been sent.
    pub decided_since_due_us: Vec<u64>,
    /// Microseconds from sending to answer of what was refused undecided.
    pub refused_us: Vec<u64>,
}

impl Tally {
    /// Attempts that were sent.
    pub fn sent(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.broken
    }

    /// Attempts that were decided.
    pub fn decided(&self) -> u64 {
        self.decided_us.len() as u64
    }

    /// What should not have been; nothing under a flood that was stood well.
    pub fn wrong(&self) -> Vec<String> {
        let known = [200, 202, 429, 503];
        let unknown = self.statuses.iter().filter(|(status, _)| !known.contains(*status));
        let mut wrong: Vec<String> = unknown.map(|(status, count)| format!("{count} answers with {status}")).collect();
        if self.impolite > 0 {
            wrong.push(format!("{} refusals that do not say when to come back", self.impolite));
        }
        if self.broken > 0 {
            wrong.push(format!("{} attempts without an answer, the last: {}", self.broken, self.failure));
        }
        wrong
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.impolite += other.impolite;
        self.broken += other.broken;
        self.sold += other.sold;
        if !other.failure.is_empty() {
            self.failure = other.failure;
        }
        self.decided_us.extend(other.decided_us);
        self.decided_since_due_us.extend(other.decided_since_due_us);
        self.refused_us.extend(other.refused_us);
    }

    fn note(&mut self, reply: &Reply, sent: Instant, due: Instant) {
        *self.statuses.entry(reply.status).or_default() += 1;
        let took = micros(sent.elapsed());
        match reply.status {
            200 | 202 => {
                self.sold += u64::from(reply.sold);
                self.decided_us.push(took);
                self.decided_since_due_us.push(micros(due.elapsed()));
            }
            429 | 503 => {
                self.impolite += u64::from(!reply.says_when);
                self.refused_us.push(took);
            }
            _ => {}
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Flood {
    /// Sends everything and returns when the last answer is there; the times are sorted. Blocks.
    pub fn run(&self) -> io::Result<Tally> {
        let shared = Arc::new(Shared { flood: self.clone(), next: AtomicU64::new(0), began: Instant::now() });
        let threads = self.threads.max(1);
        let running: Vec<_> = (0..threads)
            .map(|number| {
                let shared = shared.clone();
                let connections = (self.connections + number) / threads;
                thread::spawn(move || on_this_thread(&shared, connections))
            })
            .collect();
        let mut tally = Tally::default();
        for thread in running {
            tally.add(thread.join().map_err(|_| io::Error::other("a thread of the flood panicked"))??);
        }
        for times in [&mut tally.decided_us, &mut tally.decided_since_due_us, &mut tally.refused_us] {
            times.sort_unstable();
        }
        Ok(tally)
    }
}

#[derive(Debug)]
struct Shared {
    flood: Flood,
    next: AtomicU64,
    began: Instant,
}

impl Shared {
    /// The number of the next attempt, and when to send it; none at the end.
    fn next(&self) -> Option<(u64, Instant)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let due = match self.flood.rate {
            Some(rate) => self.began + Duration::from_secs_f64(number as f64 / rate),
            None => now,
        };
        // Also when attempts are behind their schedule.
        (due.max(now) < self.began + self.flood.lasts).then_some((number, due))
    }
}

fn on_this_thread(shared: &Arc<Shared>, connections: usize) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            senders.spawn(send(shared.clone()));
        }
        let mut tally = Tally::default();
        while let Some(sent) = senders.join_next().await {
            tally.add(sent.map_err(io::Error::other)?);
        }
        Ok(tally)
    })
}

/// Sends attempts on one connection after the other until the end.
async fn send(shared: Arc<Shared>) -> Tally {
    let (mut tally, mut connection, mut used) = (Tally::default(), None, 0);
    while let Some((number, due)) = shared.next() {
        sleep_until(due).await;
        let sent = Instant::now();
        let attempt = timeout(ATTEMPT_MAX, attempt(&shared.flood, number, &mut connection));
        let reply = attempt.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        used += 1;
        match &reply {
            Ok(reply) => tally.note(reply, sent, due),
            Err(error) => {
                tally.broken += 1;
                tally.failure = error.to_string();
            }
        }
        if used >= shared.flood.attempts_per_connection || !reply.is_ok_and(|reply| reply.stays) {
            (connection, used) = (None, 0);
        }
    }
    tally
}

/// What an answer says, as far as it matters here.
#[derive(Debug)]
struct Reply {
    status: u16,
    says_when: bool,
    sold: bool,
    /// Whether the connection can be used again.
    stays: bool,
}

async fn attempt(flood: &Flood, number: u64, connection: &mut Option<TcpStream>) -> io::Result<Reply> {
    let stream = match connection {
        Some(stream) => stream,
        None => connection.insert(connect(flood.server).await?),
    };
    let body = format!(r#"{{"sku":"{}"}}"#, flood.sku);
    let request = format!(
        "POST /api/v1/purchases HTTP/1.1\r\nhost: {}\r\nx-user-id: {}-{number}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        flood.server,
        flood.users,
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    read(stream).await
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Closed without a word: thousands of ports that wait for late packets would be all there are.
    socket.set_zero_linger()?;
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn read(stream: &mut TcpStream) -> io::Result<Reply> {
    let mut bytes = Vec::with_capacity(1_024);
    let head_bytes = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, &mut bytes).await?;
    };
    let head = std::str::from_utf8(&bytes[..head_bytes]).map_err(io::Error::other)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status in {head}")))?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    };
    let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
    let length = length.ok_or_else(|| io::Error::other(format!("no length in {head}")))?;
    let says_when = header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|wait| wait > 0));
    let stays = header("connection") != Some("close");
    while bytes.len() < head_bytes + length {
        more(stream, &mut bytes).await?;
    }
    let sold = bytes[head_bytes..].starts_with(br#"{"success":true"#);
    Ok(Reply { status, says_when, sold, stays })
}

/// Reads what has come.
async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    if bytes.len() >= ANSWER_BYTES_MAX {
        return Err(io::Error::other("an answer without an end"));
    }
    match stream.read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
