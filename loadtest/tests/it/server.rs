//! A server that says what a test wants it to say.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// Where nobody answers: port 1 is of tcpmux, which no machine serves, and the system gives it to nobody else. A port
/// that was free a moment ago may by now be that of another test.
pub(crate) const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// A connection, as the server has it.
pub(crate) struct Peer {
    /// Which one it is, in the order of their coming.
    pub(crate) number: usize,
    stream: BufReader<TcpStream>,
}

impl Peer {
    /// The next request, with its body; nothing at the end.
    pub(crate) fn request(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let before = text.len();
            if self.stream.read_line(&mut text).ok()? == 0 {
                return None;
            }
            if &text[before..] == "\r\n" {
                break;
            }
        }
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).ok()?;
        text.push_str(&String::from_utf8(body).unwrap());
        Some(text)
    }

    pub(crate) fn say(&mut self, text: &str) {
        // Whether the client is still there is for it to know.
        drop(self.stream.get_mut().write_all(text.as_bytes()));
    }

    /// Answers each request as `answer` says.
    pub(crate) fn answer(&mut self, answer: impl Fn(&str) -> String) {
        while let Some(request) = self.request() {
            self.say(&answer(&request));
        }
    }
}

/// Starts a server that has `talk` with each connection, on a thread of its own.
pub(crate) fn server(talk: impl Fn(Peer) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let talk = Arc::new(talk);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (talk, stream) = (talk.clone(), stream.unwrap());
            drop(stream.set_nodelay(true));
            thread::spawn(move || talk(Peer { number, stream: BufReader::new(stream) }));
        }
    });
    address
}

/// An answer with its length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}
