//! How long a client may take to say what it wants: a deadline for the head of a request and one for its body.
//!
//! Neither has a clock on the common way. A head, or a body, that is there when it is looked for has come in time; only
//! when it is there in part and the rest must be waited for does a clock begin to run.
//!
//! The wait for the first byte of a head is how long a connection may be idle. Its clock is set once and, when it rings,
//! to what is left since the last answer: set for each request, the clocks of all connections would be what the threads
//! wait for.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{IDLE_MAX, metrics::Refused};

type Clock = Option<Pin<Box<Sleep>>>;

/// Nothing of the next request has come.
const IDLE: u8 = 0;
/// A head has begun to come.
const HEAD: u8 = 1;
/// A request is being answered, and its body read.
const REQUEST: u8 = 2;
/// The answer is there, and what comes first may still be of the body that it did not wait for.
const REST: u8 = 3;

/// How far the exchange on a connection is. HTTP/1.1 has one at a time: what a client sends ahead waits.
///
/// A piece of the next head that came in the same read as the end of a request is not seen as one. With nothing more
/// behind it, the connection counts as idle, which it may be.
#[derive(Debug, Default)]
pub(super) struct Progress {
    step: AtomicU8,
    body_is_open: AtomicBool,
    body_is_late: AtomicBool,
}

impl Progress {
    fn step(&self) -> u8 {
        self.step.load(Ordering::Relaxed)
    }

    /// Bytes came; whether a head begins with them.
    fn read(&self) -> bool {
        match self.step() {
            IDLE => {
                self.step.store(HEAD, Ordering::Relaxed);
                true
            }
            REST => {
                self.step.store(IDLE, Ordering::Relaxed);
                false
            }
            _ => false,
        }
    }

    /// The head is whole.
    pub(super) fn asked(&self, has_body: bool) {
        self.body_is_open.store(has_body, Ordering::Relaxed);
        self.step.store(REQUEST, Ordering::Relaxed);
    }

    /// The answer is known.
    pub(super) fn answered(&self) {
        let next = if self.body_is_open.load(Ordering::Relaxed) { REST } else { IDLE };
        self.step.store(next, Ordering::Relaxed);
    }

    /// Whether a body was given up. The connection is not used again after that.
    pub(super) fn body_is_late(&self) -> bool {
        self.body_is_late.load(Ordering::Relaxed)
    }
}

/// A connection that fails when a head does not come in time.
#[derive(Debug)]
pub(super) struct HeadDeadline<T> {
    inner: T,
    progress: Arc<Progress>,
    within: Duration,
    clock: Clock,
    idle_clock: Clock,
    /// Since when nothing is under way.
    idle_since: Option<Instant>,
}

impl<T> HeadDeadline<T> {
    pub(super) fn new(inner: T, progress: Arc<Progress>, within: Duration) -> Self {
        Self { inner, progress, within, clock: None, idle_clock: None, idle_since: None }
    }

    /// An answer that its client takes slowly is no idleness.
    fn has_written(&mut self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.idle_since = None;
        }
    }

    /// Whether the connection has been idle for too long.
    fn is_forgotten(&mut self, context: &mut Context<'_>) -> bool {
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        let clock = self.idle_clock.get_or_insert_with(|| Box::pin(sleep(IDLE_MAX)));
        while clock.as_mut().poll(context).is_ready() {
            if since.elapsed() >= IDLE_MAX {
                return true;
            }
            clock.as_mut().reset(since + IDLE_MAX);
        }
        false
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HeadDeadline<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(context, buffer) {
            if buffer.filled().len() > before {
                this.idle_since = None;
                if this.progress.read() {
                    // It may be that of the head before.
                    this.clock = None;
                }
            }
            return Poll::Ready(read);
        }
        match this.progress.step() {
            HEAD => {}
            REQUEST => return Poll::Pending,
            // As if the client had gone.
            _ if this.is_forgotten(context) => return Poll::Ready(Ok(())),
            _ => return Poll::Pending,
        }
        let clock = this.clock.get_or_insert_with(|| Box::pin(sleep(this.within)));
        ready!(clock.as_mut().poll(context));
        Refused::Head.count();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HeadDeadline<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.has_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.has_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(context))?;
        // After an answer hyper does not look for the next head before something comes, so the wait for it begins here.
        if matches!(self.progress.step(), IDLE | REST) && self.is_forgotten(context) {
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The rest of a body did not come.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
struct Late;

/// A body that fails when it does not come in time.
#[derive(Debug)]
pub(super) struct BodyDeadline {
    inner: Incoming,
    progress: Arc<Progress>,
    within: Duration,
    clock: Clock,
}

impl BodyDeadline {
    pub(super) fn new(inner: Incoming, progress: Arc<Progress>, within: Duration) -> Self {
        Self { inner, progress, within, clock: None }
    }
}

impl Body for BodyDeadline {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) {
            if frame.is_none() || this.inner.is_end_stream() {
                this.progress.body_is_open.store(false, Ordering::Relaxed);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let clock = this.clock.get_or_insert_with(|| Box::pin(sleep(this.within)));
        ready!(clock.as_mut().poll(context));
        this.progress.body_is_late.store(true, Ordering::Relaxed);
        Refused::Body.count();
        Poll::Ready(Some(Err(Late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::FutureExt;
    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::{TokioIo, TokioTimer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const WITHIN: Duration = Duration::from_millis(50);
    /// Longer than anything below may take.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// What a read of at most 64 bytes gives.
    async fn read<T: AsyncRead + Unpin>(io: &mut HeadDeadline<T>) -> io::Result<usize> {
        tokio::time::timeout(PATIENCE, io.read(&mut [0; 64])).await.expect("an end")
    }

    /// Nothing comes for a long time, and that is no error.
    async fn still_open<T: AsyncRead + Unpin>(io: &mut HeadDeadline<T>) {
        let read = tokio::time::timeout(10 * WITHIN, io.read(&mut [0; 64])).await;
        assert!(read.is_err(), "{read:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nf_10_a_head_that_drips_has_one_deadline_from_its_first_byte() {
        let (mut client, server) = duplex(64);
        let mut io = HeadDeadline::new(server, Arc::default(), WITHIN);
        let began = tokio::time::Instant::now();
        client.write_all(b"G").await.unwrap();
        assert_eq!(read(&mut io).await.unwrap(), 1);
        let dripping = tokio::spawn(async move {
            while client.write_all(b"E").await.is_ok() {
                sleep(WITHIN / 5).await;
            }
        });
        let ended = loop {
            match read(&mut io).await {
                Ok(_) => {}
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(ended, io::ErrorKind::TimedOut);
        assert!((WITHIN..2 * WITHIN).contains(&began.elapsed()), "after {:?}", began.elapsed());
        drop(io);
        dripping.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nf_10_a_connection_that_nobody_uses_ends_counted_from_its_last_answer() {
        let (mut client, server) = duplex(64);
        let progress = Arc::new(Progress::default());
        let mut io = HeadDeadline::new(server, progress.clone(), WITHIN);
        for _ in 0..3 {
            let idle = tokio::time::timeout(IDLE_MAX - WITHIN, io.read(&mut [0; 64])).await;
            assert!(idle.is_err(), "{idle:?}");
            client.write_all(b"head").await.unwrap();
            assert_eq!(read(&mut io).await.unwrap(), 4);
            progress.asked(false);
            progress.answered();
        }
        let answered = Instant::now();
        assert_eq!(io.read(&mut [0; 64]).await.unwrap(), 0, "the end");
        let idle = answered.elapsed();
        assert!((IDLE_MAX..IDLE_MAX + WITHIN).contains(&idle), "after {idle:?}");
    }

    /// As hyper drives it: an answer of `bytes` to one request that was there at once.
    fn serve(answer_after: Duration, bytes: usize) -> tokio::io::DuplexStream {
        let (mut client, server) = duplex(1_024);
        let progress = Arc::new(Progress::default());
        let io = HeadDeadline::new(server, progress.clone(), WITHIN);
        let service = service_fn(move |_: hyper::Request<Incoming>| {
            let progress = progress.clone();
            progress.asked(false);
            async move {
                sleep(answer_after).await;
                progress.answered();
                Ok::<_, Infallible>(hyper::Response::new(axum::body::Body::from(vec![b'x'; bytes])))
            }
        });
        // There before hyper looks for it.
        let sent = client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").now_or_never();
        sent.expect("room").unwrap();
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(None);
            http.serve_connection(TokioIo::new(io), service).await
        });
        client
    }

    #[tokio::test(start_paused = true)]
    async fn nf_10_through_hyper_a_connection_ends_when_nothing_follows_its_answer() {
        let mut client = serve(2 * WITHIN, 1);
        let began = Instant::now();
        let mut all = Vec::new();
        tokio::time::timeout(10 * IDLE_MAX, client.read_to_end(&mut all)).await.expect("an end").unwrap();
        assert!(all.ends_with(b"x"));
        let idle = began.elapsed();
        assert!((IDLE_MAX..IDLE_MAX + 4 * WITHIN).contains(&idle), "after {idle:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_taken_slowly_is_not_cut_off() {
        const BYTES: usize = 200_000;
        let mut client = serve(Duration::ZERO, BYTES);
        let (mut taken, mut piece) = (0, [0; 1_000]);
        while taken < BYTES {
            sleep(Duration::from_secs(1)).await;
            match client.read(&mut piece).await.unwrap() {
                0 => panic!("cut off after {taken} bytes"),
                more => taken += more,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nf_10_an_idle_connection_and_one_that_is_answered_have_no_such_deadline() {
        let (mut client, server) = duplex(64);
        let progress = Arc::new(Progress::default());
        let mut io = HeadDeadline::new(server, progress.clone(), WITHIN);
        for has_body in [false, true, false] {
            still_open(&mut io).await;
            client.write_all(b"head").await.unwrap();
            assert_eq!(read(&mut io).await.unwrap(), 4);
            progress.asked(has_body);
            still_open(&mut io).await;
            progress.answered();
            still_open(&mut io).await;
            if has_body {
                // Nobody waited for it.
                client.write_all(b"body").await.unwrap();
                assert_eq!(read(&mut io).await.unwrap(), 4);
            }
        }
        client.write_all(b"GET").await.unwrap();
        assert_eq!(read(&mut io).await.unwrap(), 3);
        let late = read(&mut io).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut, "the next head has a deadline of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn nf_10_a_slow_head_takes_nothing_from_the_time_of_the_next() {
        let (mut client, server) = duplex(64);
        let progress = Arc::new(Progress::default());
        let mut io = HeadDeadline::new(server, progress.clone(), WITHIN);
        for _ in 0..3 {
            client.write_all(b"GET ").await.unwrap();
            assert_eq!(read(&mut io).await.unwrap(), 4);
            assert!(tokio::time::timeout(WITHIN * 9 / 10, io.read(&mut [0; 64])).await.is_err());
            client.write_all(b"/").await.unwrap();
            assert_eq!(read(&mut io).await.unwrap(), 1);
            progress.asked(false);
            progress.answered();
        }
    }
}
