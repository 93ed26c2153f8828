//! Listeners of the live stream: thousands of pages, as far as a server can tell.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use rand::Rng;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Streams of one address, as the contract allows.
const PER_ADDRESS: usize = 5;
/// How long a connection may take to be there, and its answer to begin.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// When a page comes back that was never told when to.
const RETRY: Duration = Duration::from_secs(2);
/// A slow listener takes so many bytes at once, and has a break before each line.
const SLOW_BYTES: usize = 256;
const SLOW_BREAK: Duration = Duration::from_millis(30);
const SLOW_BUFFER_BYTES: u32 = 4_096;

/// What one listener saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Each stock that it was told, and when: microseconds since 1970.
    pub stocks: Vec<(u64, i64)>,
    /// The state that it was told last.
    pub state: String,
    /// How often it was told that it missed something.
    pub resets: usize,
    /// How often it was shown the whole picture.
    pub initials: usize,
    /// Streams that it had.
    pub opened: usize,
    /// Whether it has one now.
    pub is_open: bool,
    /// Tries that were refused or failed, the last of them in words.
    pub failed: usize,
    /// What the last try that failed said.
    pub failure: String,
    last_event_id: Option<String>,
}

struct Shared {
    servers: Vec<SocketAddr>,
    sku: String,
    seen: Vec<Mutex<Seen>>,
    slow: usize,
    open: AtomicUsize,
    stop: CancellationToken,
}

/// Listeners at work.
pub struct Audience {
    shared: Arc<Shared>,
    cut: watch::Sender<usize>,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Audience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audience").field("open", &self.open()).finish_non_exhaustive()
    }
}

impl Audience {
    /// `count` listeners of `sku`, of which the first `slow` hardly read. They spread over `servers`, go to the next one
    /// when theirs is gone, and come five from an address: of 127.0.0.0/8, so all stays on this machine.
    pub fn gather(servers: &[SocketAddr], sku: &str, count: usize, slow: usize) -> Self {
        let shared = Arc::new(Shared {
            servers: servers.to_vec(),
            sku: sku.to_owned(),
            seen: (0..count).map(|_| Mutex::default()).collect(),
            slow,
            open: AtomicUsize::new(0),
            stop: CancellationToken::new(),
        });
        let (cut, cuts) = watch::channel(0);
        let mut tasks = JoinSet::new();
        for number in 0..count {
            tasks.spawn(attend(shared.clone(), number, cuts.clone()));
        }
        Self { shared, cut, tasks }
    }

    /// How many have a stream now, without the slow ones: those read what the system holds for them before they notice
    /// that there is no more.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Tears the connections of the first `count` down, without a word to the server. They come back.
    pub fn cut(&self, count: usize) {
        self.cut.send_replace(count);
    }

    /// What each saw so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.iter().map(|seen| lock(seen).clone()).collect()
    }

    /// What the last try of some of those said that have no stream now.
    pub fn failures(&self) -> Vec<String> {
        let away = self.shared.seen.iter().map(lock).filter(|seen| !seen.is_open);
        away.take(5).map(|seen| format!("{} failed, the last: {}", seen.failed, seen.failure)).collect()
    }

    /// How many were told `state` last.
    pub fn told(&self, state: &str) -> usize {
        self.shared.seen.iter().filter(|seen| lock(seen).state == state).count()
    }

    /// All leave.
    pub async fn leave(mut self) -> Vec<Seen> {
        self.shared.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.seen()
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One page: it listens, and comes back when its stream breaks.
async fn attend(shared: Arc<Shared>, number: usize, mut cuts: watch::Receiver<usize>) {
    let mut retry = RETRY;
    for attempt in 0.. {
        let server = shared.servers[(number + attempt) % shared.servers.len()];
        let listening = async {
            let stream = match open(&shared, number, server).await {
                Ok(stream) => stream,
                Err(error) => {
                    let mut seen = lock(&shared.seen[number]);
                    seen.failed += 1;
                    seen.failure = format!("{server}: {error}");
                    return;
                }
            };
            cuts.mark_unchanged();
            let _open = Open::note(&shared, number);
            tokio::select! {
                () = cut(&mut cuts, number) => {}
                () = read(&shared, number, stream, &mut retry) => {}
            }
        };
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = listening => {}
        }
        // As browsers do, and not all in one moment.
        let wait = retry.mul_f64(rand::rng().random_range(0.9..1.1));
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// Notes a stream for as long as it is there.
struct Open<'a>(&'a Shared, usize);

impl<'a> Open<'a> {
    fn note(shared: &'a Shared, number: usize) -> Self {
        let mut seen = lock(&shared.seen[number]);
        seen.opened += 1;
        seen.is_open = true;
        if number >= shared.slow {
            shared.open.fetch_add(1, Ordering::Relaxed);
        }
        Self(shared, number)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(&self.0.seen[self.1]).is_open = false;
        if self.1 >= self.0.slow {
            self.0.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Returns when an order to cut reaches this listener.
async fn cut(cuts: &mut watch::Receiver<usize>, number: usize) {
    while cuts.changed().await.is_ok() {
        if number < *cuts.borrow_and_update() {
            return;
        }
    }
    std::future::pending().await
}

/// Connects and asks; the answer's head is read.
async fn open(shared: &Shared, number: usize, server: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let house = u32::try_from(number / PER_ADDRESS).unwrap_or(0);
    // 127.16.0.1 and up.
    let from = Ipv4Addr::from_bits(Ipv4Addr::new(127, 16, 0, 1).to_bits() + house);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    // Closed without a word: what a page leaves behind that dies.
    socket.set_zero_linger()?;
    let is_slow = number < shared.slow;
    if is_slow {
        socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
    }
    let opening = async {
        let mut stream = socket.connect(server).await?;
        let last = lock(&shared.seen[number]).last_event_id.clone();
        let resume = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let head = format!("GET /api/v1/sales/events?sku={} HTTP/1.1\r\nHost: {server}\r\n{resume}\r\n", shared.sku);
        stream.write_all(head.as_bytes()).await?;
        let mut reader = BufReader::with_capacity(if is_slow { SLOW_BYTES } else { 1_024 }, stream);
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(line));
        }
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line).await?;
        }
        Ok(reader)
    };
    timeout(OPEN_MAX, opening).await?
}

/// Takes in events until the stream ends.
async fn read(shared: &Shared, number: usize, mut stream: BufReader<TcpStream>, retry: &mut Duration) {
    let mut line = String::new();
    let mut event = Event::default();
    loop {
        line.clear();
        if number < shared.slow {
            sleep(SLOW_BREAK).await;
        }
        if !matches!(stream.read_line(&mut line).await, Ok(1..)) {
            return;
        }
        // The lines of events end without a carriage return; with one end those of the transfer encoding.
        let Some(line) = line.strip_suffix('\n').filter(|line| !line.ends_with('\r')) else { continue };
        match line.split_once(": ") {
            Some(("id", id)) => id.clone_into(&mut event.id),
            Some(("event", name)) => name.clone_into(&mut event.name),
            Some(("data", data)) => data.clone_into(&mut event.data),
            Some(("retry", millis)) => *retry = millis.parse().map_or(*retry, Duration::from_millis),
            None if line.is_empty() && !event.name.is_empty() => {
                lock(&shared.seen[number]).take(std::mem::take(&mut event));
            }
            _ => {}
        }
    }
}

#[derive(Debug, Default)]
struct Event {
    id: String,
    name: String,
    data: String,
}

impl Seen {
    fn take(&mut self, event: Event) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match event.name.as_str() {
            "reset" => self.resets += 1,
            "initial" => self.initials += 1,
            _ => {}
        }
        if let Some(stock) = number_after(&event.data, "\"stock\":") {
            self.stocks.push((stock, i64::try_from(now.as_micros()).unwrap_or(i64::MAX)));
        }
        if let Some((_, rest)) = event.data.split_once("\"state\":\"") {
            self.state = rest.split('"').next().unwrap_or_default().to_owned();
        }
        self.last_event_id = Some(event.id);
    }
}

/// A whole number behind `name`; reading all of the JSON thousands of times a second would be the load.
fn number_after(data: &str, name: &str) -> Option<u64> {
    let (_, rest) = data.split_once(name)?;
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}
