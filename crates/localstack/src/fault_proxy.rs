//! A TCP proxy that fails on command: what stands between a part and its server in drills and tests.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt};

use crate::{Error, ports};

mod pump;

/// How it is called where a port is taken, and its threads.
const NAME: &str = "fault-proxy";
/// No read, write or pause of a copying thread is longer: so soon it sees a new fault.
const TICK: Duration = Duration::from_millis(20);
/// The pause between two looks for a new connection.
const ACCEPT_POLL: Duration = Duration::from_millis(5);
/// How long the server may take to accept.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long [`FaultProxy::cut`] and its like wait for the copying threads to let go.
const CLOSE_MAX: Duration = Duration::from_millis(500);

/// What is wrong with the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Bytes arrive late, in order. They still flow: the rate is not bounded by the delay.
    Latency {
        /// Added in each direction, so twice to a round trip.
        delay: Duration,
        /// At most so much more, at random.
        jitter: Duration,
    },
    /// A peer that vanished: connections are accepted and stay open; nothing is read, nothing is forwarded. What the
    /// proxy had read goes on its way when this ends.
    HalfOpen,
    /// Connections are reset, those that exist and each new one as soon as it is accepted.
    Refuse,
    /// A slow line.
    Bandwidth {
        /// For each direction of each connection; 0 counts as 1.
        bytes_per_second: u64,
    },
    /// Bytes of one direction are read and vanish, an end of the stream included.
    OneWay {
        /// True: what the client sends is lost. False: what the server sends.
        to_server: bool,
    },
}

/// A proxy on loopback in front of one server. Dropped, it closes its port and all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Listens on a free port and forwards to `upstream`, which need not answer yet.
    ///
    /// # Errors
    /// When there is no free port, or no thread.
    pub fn start(upstream: SocketAddr) -> Result<Self, Error> {
        Self::start_at(ports::one(NAME, None)?, upstream)
    }

    /// The same on a given port.
    ///
    /// # Errors
    /// [`Error::PortTaken`], or when there is no thread.
    pub fn start_at(port: u16, upstream: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|source| match source.kind() {
            ErrorKind::AddrInUse => Error::PortTaken { server: NAME, port },
            _ => Error::Io { what: format!("listen on port {port}"), source },
        })?;
        let address = listener.local_addr().map_err(Error::io("ask for the port of the fault proxy"))?;
        listener.set_nonblocking(true).map_err(Error::io("set up the port of the fault proxy"))?;
        let state = State { fault: Fault::None, upstream, trap: None, connections: Vec::new() };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            closing: AtomicBool::new(false),
            to_server: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
        });
        let of = Arc::clone(&shared);
        let acceptor = spawn(move || accept(&listener, &of)).map_err(Error::io("start the fault proxy"))?;
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go to this server; existing ones are cut.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.shared.state().upstream = upstream;
        self.cut();
    }

    /// Replaces the fault, for existing and new connections.
    pub fn set(&self, fault: Fault) {
        self.shared.state().fault = fault;
        if fault == Fault::Refuse {
            self.reset();
        }
    }

    /// No fault any more, and no armed cut. Connections that are gone stay gone.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.fault = Fault::None;
        state.trap = None;
    }

    /// Closes all connections in order (FIN). New ones work.
    pub fn cut(&self) {
        self.close_all(Ending::Cut);
    }

    /// Closes all connections by RST. New ones work.
    pub fn reset(&self) {
        self.close_all(Ending::Reset);
    }

    /// Arms a cut: the next time that what a client sends contains `pattern`, it is forwarded to its end (the client
    /// pauses, or a tenth of a second has passed), the answer is withheld, and the connection is closed on both sides.
    /// Happens once; [`FaultProxy::armed`] tells whether it is still to come.
    pub fn cut_after_request(&self, pattern: &[u8]) {
        self.shared.state().trap = Some(pattern.to_vec());
    }

    /// True until the pattern of [`FaultProxy::cut_after_request`] has been seen.
    pub fn armed(&self) -> bool {
        self.shared.state().trap.is_some()
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.shared.state().connections.iter().filter(|connection| connection.strong_count() > 0).count()
    }

    /// Bytes forwarded since the start: to the server, and to clients.
    pub fn bytes(&self) -> (u64, u64) {
        (self.shared.to_server.load(Ordering::Relaxed), self.shared.to_client.load(Ordering::Relaxed))
    }

    /// Returns when they are closed, which the copying threads do.
    fn close_all(&self, ending: Ending) {
        let open = self.shared.state().connections.clone();
        for connection in open.iter().filter_map(Weak::upgrade) {
            connection.close(ending);
        }
        let begun = Instant::now();
        while open.iter().any(|connection| connection.strong_count() > 0) && begun.elapsed() < CLOSE_MAX {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        if let Some(acceptor) = self.acceptor.take()
            && acceptor.join().is_err()
        {
            tracing::warn!(address = %self.address, "the accepting thread of a fault proxy had panicked");
        }
        self.cut();
    }
}

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(NAME.into()).spawn(run)
}

/// What the threads of a proxy share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    closing: AtomicBool,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    upstream: SocketAddr,
    /// The pattern of the armed cut.
    trap: Option<Vec<u8>>,
    /// Owned by their threads: a connection is closed when the last of them lets go.
    connections: Vec<Weak<Connection>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self) -> Fault {
        self.state().fault
    }

    /// True once: when the armed pattern is complete. `tail` keeps what may be the beginning of it for the next call.
    fn springs(&self, tail: &mut Vec<u8>, bytes: &[u8]) -> bool {
        let mut state = self.state();
        let Some(pattern) = state.trap.as_deref() else {
            tail.clear();
            return false;
        };
        tail.extend_from_slice(bytes);
        if pattern.is_empty() || tail.windows(pattern.len()).any(|window| window == pattern) {
            state.trap = None;
            return true;
        }
        tail.drain(..tail.len().saturating_sub(pattern.len() - 1));
        false
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// By FIN.
    Cut,
    /// By RST.
    Reset,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    /// Empty until the server has accepted.
    server: OnceLock<TcpStream>,
    closed: AtomicBool,
    /// The client gets nothing any more: the armed cut has met this connection.
    withheld: AtomicBool,
}

impl Connection {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Makes the copying threads let go, and the kernel say the right farewell when they have.
    fn close(&self, ending: Ending) {
        let streams = || [Some(&self.client), self.server.get()].into_iter().flatten();
        if ending == Ending::Reset {
            for stream in streams() {
                let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                if let Err(errno) = setsockopt(stream, sockopt::Linger, &linger) {
                    tracing::debug!(%errno, "a connection will be closed instead of reset");
                }
            }
        }
        self.closed.store(true, Ordering::SeqCst);
        for stream in streams() {
            // Either wakes a reader. Shutting the writing half would send a FIN before the RST.
            shut(stream, if ending == Ending::Reset { Shutdown::Read } else { Shutdown::Both });
        }
    }
}

fn shut(stream: &TcpStream, how: Shutdown) {
    if let Err(error) = stream.shutdown(how) {
        tracing::debug!(%error, "the peer of a proxied connection has gone already");
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.closing.load(Ordering::SeqCst) {
        let admitted = listener.accept().and_then(|(client, _)| admit(shared, client));
        if let Err(error) = admitted {
            if error.kind() != ErrorKind::WouldBlock {
                tracing::warn!(%error, "a fault proxy cannot take a connection");
            }
            thread::sleep(ACCEPT_POLL);
        }
    }
}

fn admit(shared: &Arc<Shared>, client: TcpStream) -> io::Result<()> {
    prepare(&client)?;
    let connection = Arc::new(Connection {
        client,
        server: OnceLock::new(),
        closed: AtomicBool::new(false),
        withheld: AtomicBool::new(false),
    });
    // In one step: a fault that is set now either finds the connection or is found here.
    let fault = {
        let mut state = shared.state();
        state.connections.retain(|connection| connection.strong_count() > 0);
        state.connections.push(Arc::downgrade(&connection));
        state.fault
    };
    if fault == Fault::Refuse {
        connection.close(Ending::Reset);
        return Ok(());
    }
    let shared = Arc::clone(shared);
    spawn(move || carry(&shared, &connection)).map(drop)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(TICK))
}

/// Connects to the server and copies both ways: there on this thread, back on another.
fn carry(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let started = connect(shared, connection).and_then(|()| {
        let (of, on) = (Arc::clone(shared), Arc::clone(connection));
        spawn(move || pump::copy(&of, &on, false)).map(drop)
    });
    match started {
        Ok(()) => pump::copy(shared, connection, true),
        Err(error) => {
            tracing::debug!(%error, "a fault proxy cannot reach its server");
            connection.close(Ending::Reset);
        }
    }
}

fn connect(shared: &Shared, connection: &Connection) -> io::Result<()> {
    while shared.fault() == Fault::HalfOpen && !connection.is_closed() {
        thread::sleep(TICK);
    }
    let upstream = shared.state().upstream;
    let server = TcpStream::connect_timeout(&upstream, CONNECT_MAX)?;
    prepare(&server)?;
    connection.server.set(server).map_err(|_| io::Error::other("connected twice"))
}

#[cfg(test)]
#[path = "fault_proxy_tests.rs"]
mod tests;
