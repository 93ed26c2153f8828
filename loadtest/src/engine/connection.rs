//! One connection: what was written to it and not answered, and the bytes on their way.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream as StdTcpStream},
    time::Duration,
};

use mio::net::TcpStream;
use nix::{
    errno::Errno,
    sys::socket::{setsockopt, sockopt::IpBindAddressNoPort},
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Request, answer::ANSWER_BYTES_MAX, nanos};

/// Connections of one address of ours to a server on this machine: an address has some 28,000 ports for them.
const PER_SOURCE: u64 = 25_000;
/// Addresses of ours: 127.0.0.1 and up.
const SOURCES: u64 = 200;

/// A request that was written and not answered. Times are nanoseconds since the start.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) request: Request,
    pub(super) due: u64,
    pub(super) sent: u64,
}

/// A connection that is there, or on its way there.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Tells it from the one that had its place before.
    pub(super) serial: u64,
    /// When it was begun, in nanoseconds since the start.
    pub(super) begun: u64,
    /// Whether the server has taken it.
    pub(super) is_open: bool,
    /// Whether it is among those that may be used.
    pub(super) is_offered: bool,
    /// What was written, the oldest first.
    pub(super) under_way: VecDeque<UnderWay>,
    /// What came and is no whole answer yet.
    pub(super) input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, serial: u64, begun: u64) -> Self {
        Self {
            stream,
            serial,
            begun,
            is_open: false,
            is_offered: false,
            under_way: VecDeque::new(),
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
        }
    }

    /// Whether the server has taken it by now.
    pub(super) fn check_open(&mut self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => self.is_open = true,
            Err(error) if error.kind() == io::ErrorKind::NotConnected || is_in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(self.is_open)
    }

    /// Whether it has been waited for longer than `most`.
    pub(super) fn is_late(&self, now: u64, most: Duration) -> bool {
        let since = if self.is_open { self.under_way.front().map(|oldest| oldest.sent) } else { Some(self.begun) };
        since.is_some_and(|since| now.saturating_sub(since) >= nanos(most))
    }

    /// Where to put what is to be written, and whether nothing else waits there.
    pub(super) fn output(&mut self) -> (&mut Vec<u8>, bool) {
        let is_first = self.output.is_empty();
        (&mut self.output, is_first)
    }

    /// Whether nothing of what waits has been written.
    pub(super) fn is_untouched(&self) -> bool {
        self.written == 0
    }

    /// Writes as much as can be written now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once, by way of `scratch`: how many bytes came, 0 at the end, nothing when there are none now.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(scratch) {
                Ok(count) => {
                    self.input.extend_from_slice(&scratch[..count]);
                    return Ok(Some(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether what came is more than an answer may be.
    pub(super) fn is_flooded(&self) -> bool {
        self.input.len() > ANSWER_BYTES_MAX
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EINPROGRESS as i32)
}

/// Begins a connection to `server`; `number` decides where it comes from.
pub(super) fn connect(server: SocketAddr, number: u64) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Closed without a word: thousands of ports that wait for late packets would be all there are.
    socket.set_linger(Some(Duration::ZERO))?;
    if let Some(source) = source(server, number) {
        // The port is chosen with the server in mind, and not before.
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    match socket.connect(&server.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(TcpStream::from_std(StdTcpStream::from(socket))),
    }
}

/// The address that a connection comes from, where that may be chosen: all of 127.0.0.0/8 is this machine.
fn source(server: SocketAddr, number: u64) -> Option<Ipv4Addr> {
    let IpAddr::V4(ip) = server.ip() else { return None };
    let offset = u32::try_from(number / PER_SOURCE % SOURCES).ok()?;
    ip.is_loopback().then(|| Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_on_this_machine_come_from_many_addresses() {
        let here = SocketAddr::from(([127, 0, 0, 1], 80));
        for (number, last) in [(0, 1), (24_999, 1), (25_000, 2), (4_999_999, 200), (5_000_000, 1)] {
            assert_eq!(source(here, number), Some(Ipv4Addr::new(127, 0, 0, last)), "{number}");
        }
        assert_eq!(source(SocketAddr::from(([192, 0, 2, 1], 80)), 0), None);
        assert_eq!(source("[::1]:80".parse().unwrap(), 0), None);
    }
}
