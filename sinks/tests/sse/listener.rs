//! A client that speaks HTTP/1.0, so that the stream comes without chunks.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// An event as a browser would hand it over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

#[derive(Debug)]
pub(crate) struct Listener {
    reader: BufReader<TcpStream>,
    pub(crate) head: Vec<String>,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comments: Vec<String>,
}

/// An answer that is no stream.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) head: Vec<String>,
    pub(crate) body: Value,
}

impl Refusal {
    pub(crate) fn code(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }
}

impl Listener {
    pub(crate) async fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Self, Refusal> {
        Self::over(TcpStream::connect(address).await.expect("it listens"), path, headers).await
    }

    /// Over a connection that is there.
    pub(crate) async fn over(stream: TcpStream, path: &str, headers: &[(&str, &str)]) -> Result<Self, Refusal> {
        let mut stream = BufReader::new(stream);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let line = line.trim_end().to_lowercase();
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        let status: u16 = head[0].split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        if status == 200 {
            return Ok(Self { reader: stream, head, retry_ms: None, comments: Vec::new() });
        }
        let mut body = String::new();
        stream.read_to_string(&mut body).await.unwrap();
        Err(Refusal { status, head, body: serde_json::from_str(&body).expect("the envelope") })
    }

    /// The next event; none when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.within(crate::PATIENCE).await.expect("an event in time")
    }

    /// The next event within `patience`; an error when there is none till then.
    pub(crate) async fn within(&mut self, patience: Duration) -> Result<Option<Event>, io::Error> {
        timeout(patience, self.read()).await?
    }

    async fn read(&mut self) -> Result<Option<Event>, io::Error> {
        let (mut id, mut name, mut data) = (String::new(), String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let line = line.trim_end_matches('\n');
            match line.split_once(':') {
                None if data.is_empty() => {}
                None => {
                    let data = serde_json::from_str(&data).expect("data is JSON");
                    return Ok(Some(Event { id, name, data }));
                }
                Some(("", comment)) => self.comments.push(comment.trim().to_owned()),
                Some((field, value)) => match (field, value.trim_start()) {
                    ("id", value) => value.clone_into(&mut id),
                    ("event", value) => value.clone_into(&mut name),
                    ("data", value) => value.clone_into(&mut data),
                    ("retry", value) => self.retry_ms = value.parse().ok(),
                    other => panic!("an unknown field {other:?}"),
                },
            }
        }
    }
}
