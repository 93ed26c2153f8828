//! Answers that go on for an hour, without what HTTP needs to read the next request.
//!
//! A connection that hyper serves holds 16 KiB of buffers; one of thousands of idle streams needs a socket and what it
//! waits for. So a response that is marked [`Detached`] leaves hyper with its connection: its head is written here, and
//! then its body as it comes, until either side closes.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::SystemTime,
};

use axum::{
    http::{header, response::Parts},
    response::Response,
};
use futures_util::StreamExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::server::Place;

/// Extension of a response that shall leave HTTP. No other request can come on its connection.
#[derive(Debug, Clone, Copy)]
pub struct Detached;

/// Ends hyper's part in a connection that was taken from it.
#[derive(Debug, thiserror::Error)]
#[error("the connection is served elsewhere now")]
pub(crate) struct Taken;

/// A socket, and the place that it takes up as long as it is open.
type Socket = (TcpStream, Place);

/// A connection that can be taken out of the hands of whoever serves it. A clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<Mutex<Option<Socket>>>);

impl Connection {
    pub(crate) fn new(stream: TcpStream, place: Place) -> Self {
        Self(Arc::new(Mutex::new(Some((stream, place)))))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Socket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket; whoever served it finds the connection closed.
    pub(crate) fn take(&self) -> Option<Socket> {
        self.lock().take()
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self.lock() {
            Some((stream, _)) => Pin::new(stream).poll_read(context, buffer),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.lock() {
            Some((stream, _)) => Pin::new(stream).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self.lock() {
            Some((stream, _)) => Pin::new(stream).poll_write_vectored(context, slices),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.lock() {
            Some((stream, _)) => Pin::new(stream).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// The head of an answer that is the last of its connection.
pub(crate) fn head(parts: &Parts) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {}\r\n", parts.status).into_bytes();
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    let date = httpdate::fmt_http_date(SystemTime::now());
    head.extend_from_slice(format!("{}: {date}\r\n{}: close\r\n\r\n", header::DATE, header::CONNECTION).as_bytes());
    head
}

/// Writes a response until its body ends, the client goes, or a client that does not read keeps `shutdown` waiting. The
/// end of the body is the end of the connection.
pub(crate) async fn send(
    response: Response,
    mut connection: TcpStream,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let (parts, body) = response.into_parts();
    connection.write_all(&head(&parts)).await?;
    drop(parts);
    let (mut from_client, mut to_client) = connection.split();
    let mut frames = body.into_data_stream();
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            frame = frames.next() => match frame {
                // Nothing else is taken from the body meanwhile: a slow client has no queue.
                Some(Ok(frame)) => tokio::select! {
                    biased;
                    written = to_client.write_all(&frame) => written?,
                    () = shutdown.cancelled() => break,
                },
                _ => break,
            },
            read = from_client.read(&mut ignored) => if !matches!(read, Ok(1..)) {
                break;
            },
        }
    }
    to_client.shutdown().await
}
