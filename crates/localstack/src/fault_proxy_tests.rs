use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::{Fault, FaultProxy};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is watched that nothing comes.
const SILENCE: Duration = Duration::from_millis(150);

/// A server that sends back what it gets, and remembers it.
struct Echo {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&received);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let all = Arc::clone(&all);
                thread::spawn(move || echo(&stream, &all));
            }
        });
        Self { address, received }
    }

    fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }
}

fn echo(mut stream: &TcpStream, all: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut buffer = [0; 4_096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        all.lock().unwrap().extend_from_slice(&buffer[..count]);
        stream.write_all(&buffer[..count])?;
    }
}

fn proxied() -> (Echo, FaultProxy) {
    let echo = Echo::start();
    let proxy = FaultProxy::start(echo.address).unwrap();
    (echo, proxy)
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends and waits for the echo: from then on the connection is known to work.
fn round_trip(mut stream: &TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    assert_eq!(read(stream, text.len()), text);
}

fn read(mut stream: &TcpStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn read_one(mut stream: &TcpStream) -> io::Result<usize> {
    stream.read(&mut [0])
}

fn assert_silent(stream: &TcpStream) {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let error = read_one(stream).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn without_a_fault_bytes_pass_and_are_counted() {
    let (echo, proxy) = proxied();
    let stream = connect(&proxy);
    round_trip(&stream, "hello");
    assert_eq!(echo.received(), b"hello");
    wait_until("the count", || proxy.bytes() == (5, 5));
    assert_eq!(proxy.connections(), 1);
    drop(stream);
    wait_until("the end of the connection", || proxy.connections() == 0);
}

#[test]
fn latency_is_added_each_way_and_keeps_the_order() {
    let (_echo, proxy) = proxied();
    let mut stream = connect(&proxy);
    round_trip(&stream, "x");
    let delay = Duration::from_millis(60);
    proxy.set(Fault::Latency { delay, jitter: Duration::from_millis(30) });
    let begun = Instant::now();
    let sent: String = (0..200).map(|number| format!("{number};")).collect();
    for number in 0..200 {
        stream.write_all(format!("{number};").as_bytes()).unwrap();
    }
    assert_eq!(read(&stream, sent.len()), sent);
    assert!(begun.elapsed() >= 2 * delay, "{:?}", begun.elapsed());
}

#[test]
fn a_cut_ends_the_stream_and_new_connections_work() {
    let (_echo, proxy) = proxied();
    let stream = connect(&proxy);
    round_trip(&stream, "x");
    proxy.cut();
    assert_eq!(read_one(&stream).unwrap(), 0);
    assert_eq!(proxy.connections(), 0);
    round_trip(&connect(&proxy), "y");
}

#[test]
fn a_reset_is_seen_as_one_and_new_connections_work() {
    let (_echo, proxy) = proxied();
    let stream = connect(&proxy);
    round_trip(&stream, "x");
    proxy.reset();
    assert_eq!(read_one(&stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.connections(), 0);
    round_trip(&connect(&proxy), "y");
}

#[test]
fn half_open_hangs_and_after_healing_all_that_was_sent_arrives() {
    let (echo, proxy) = proxied();
    let mut old = connect(&proxy);
    round_trip(&old, "x");
    proxy.set(Fault::HalfOpen);
    old.write_all(b"old").unwrap();
    let mut new = connect(&proxy);
    new.write_all(b"new").unwrap();
    assert_silent(&old);
    assert_silent(&new);
    assert_eq!(echo.received(), b"x");
    wait_until("both connections", || proxy.connections() == 2);
    proxy.heal();
    assert_eq!(read(&old, 3), "old");
    assert_eq!(read(&new, 3), "new");
}

#[test]
fn a_half_open_connection_can_be_reset() {
    let (_echo, proxy) = proxied();
    let stream = connect(&proxy);
    round_trip(&stream, "x");
    proxy.set(Fault::HalfOpen);
    proxy.reset();
    assert_eq!(read_one(&stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn bandwidth_bounds_the_rate() {
    let (_echo, proxy) = proxied();
    let mut stream = connect(&proxy);
    round_trip(&stream, "x");
    proxy.set(Fault::Bandwidth { bytes_per_second: 100_000 });
    let sent = "0123456789".repeat(5_000);
    let begun = Instant::now();
    stream.write_all(sent.as_bytes()).unwrap();
    assert_eq!(read(&stream, sent.len()), sent);
    // Half a second, less what a late waker may make up for.
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
}

#[test]
fn refuse_resets_old_and_new_connections() {
    let (_echo, proxy) = proxied();
    let old = connect(&proxy);
    round_trip(&old, "x");
    proxy.set(Fault::Refuse);
    assert_eq!(read_one(&old).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let new = TcpStream::connect(proxy.address()).and_then(|stream| read_one(&stream));
    assert_eq!(new.unwrap_err().kind(), ErrorKind::ConnectionReset);
    proxy.heal();
    round_trip(&connect(&proxy), "y");
}

#[test]
fn one_way_loses_what_the_server_says() {
    let (echo, proxy) = proxied();
    let mut stream = connect(&proxy);
    round_trip(&stream, "x");
    proxy.set(Fault::OneWay { to_server: false });
    stream.write_all(b"y").unwrap();
    wait_until("the request at the server", || echo.received() == b"xy");
    assert_silent(&stream);
}

#[test]
fn one_way_loses_what_the_client_says() {
    let (echo, proxy) = proxied();
    let mut stream = connect(&proxy);
    round_trip(&stream, "x");
    proxy.set(Fault::OneWay { to_server: true });
    stream.write_all(b"y").unwrap();
    assert_silent(&stream);
    assert_eq!(echo.received(), b"x");
}

#[test]
fn f_10_the_request_arrives_and_its_answer_does_not() {
    let (echo, proxy) = proxied();
    let mut stream = connect(&proxy);
    proxy.cut_after_request(b"EVALSHA");
    round_trip(&stream, "GET ");
    assert!(proxy.armed());
    stream.write_all(b"EVAL").unwrap();
    stream.write_all(b"SHA and its arguments").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    // A part of the pattern may have come alone and been answered; nothing after it.
    assert!("EVAL".starts_with(&answer), "{answer}");
    wait_until("the request at the server", || echo.received() == b"GET EVALSHA and its arguments");
    wait_until("the end of the connection", || proxy.connections() == 0);
    assert!(!proxy.armed());
    round_trip(&connect(&proxy), "EVALSHA");
}

#[test]
fn a_new_upstream_gets_the_new_connections() {
    let (first, proxy) = proxied();
    let second = Echo::start();
    let old = connect(&proxy);
    round_trip(&old, "old");
    proxy.set_upstream(second.address);
    assert_eq!(read_one(&old).unwrap(), 0);
    round_trip(&connect(&proxy), "new");
    assert_eq!(first.received(), b"old");
    assert_eq!(second.received(), b"new");
}

#[test]
fn an_upstream_that_does_not_listen_resets_the_client() {
    let (_echo, proxy) = proxied();
    // Free a moment ago and below the ephemeral range.
    let port = crate::ports::one("nobody", None).unwrap();
    proxy.set_upstream((Ipv4Addr::LOCALHOST, port).into());
    let answer = TcpStream::connect(proxy.address()).and_then(|stream| read_one(&stream));
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_end_of_the_client_reaches_the_server_and_the_rest_comes_back() {
    let (_echo, proxy) = proxied();
    let mut stream = connect(&proxy);
    stream.write_all(b"last words").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "last words");
}

#[test]
fn dropped_it_closes_its_connections_and_frees_its_port() {
    let (echo, proxy) = proxied();
    let stream = connect(&proxy);
    round_trip(&stream, "x");
    let port = proxy.address().port();
    drop(proxy);
    assert_eq!(read_one(&stream).unwrap(), 0);
    let again = FaultProxy::start_at(port, echo.address).unwrap();
    round_trip(&connect(&again), "y");
}
