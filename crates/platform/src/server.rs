//! Serving HTTP: one place for what holds for every route.

mod config;
mod deadlines;
mod finish;
mod metrics;
mod places;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    config::Config,
    finish::{Finished, finish},
};
pub(crate) use places::Place;

use self::{
    deadlines::{BodyDeadline, HeadDeadline, Progress},
    places::Places,
};
use crate::detached::{self, Connection, Detached, Taken};

/// How long a client may leave what it was sent unacknowledged, or its window shut. Then the connection is dead, or its
/// reader has stopped reading, and what it holds is given back.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(15);
/// How long a connection may wait for the head of a request to be there whole: the first, and each after an answer.
/// Longer than proxies keep idle connections (60 s in nginx), so that they close first and no request meets a close.
const IDLE_MAX: Duration = Duration::from_secs(75);
/// What the system takes of an answer before it can send it. A slow reader of a stream is not sent what is long out of
/// date, and costs no more than this.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;
/// What a connection may hold of what a client sends: a head is not longer, and a client that sends ahead waits. Header
/// lines are at most 100; that is hyper's own bound, which costs nothing.
const RECEIVED_BYTES_MAX: usize = 16 * 1024;

/// How long nothing is accepted after that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted: a stampede comes in one moment, and whom the queue does not hold waits for
/// seconds until its system tries again. The system may allow fewer (`net.core.somaxconn`).
const BACKLOG: u32 = 16_384;

/// Listens on `address`, or says who else may be there.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    listen(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "something else listens there; choose another with FLASHSALE_HTTP_ADDRESS",
            io::ErrorKind::PermissionDenied => "not permitted; choose a port above 1023 with FLASHSALE_HTTP_ADDRESS",
            _ => "check FLASHSALE_HTTP_ADDRESS",
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {hint}"))
    })
}

async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "it names no address");
    for address in tokio::net::lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A restart shall not wait for the connections of the process before.
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    // A small answer must not wait for the client's acknowledgement of the one before.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // A peer that vanishes while nothing is under way to it is noticed too, after hours by the system's default.
    socket.set_keepalive(true)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

/// Whether a connection broke before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves until `shutdown`, then answers what is under way for at most `grace`.
///
/// HTTP/1.1 by hyper alone: what axum brings for this looks for HTTP/2 first, and has no way to let a stream go.
pub async fn serve(
    listener: TcpListener,
    routes: Finished,
    config: Config,
    shutdown: CancellationToken,
    grace: Duration,
) {
    metrics::begin();
    let (connections, places) = (GracefulShutdown::new(), Places::new(config.connections_max));
    let streams = TaskTracker::new();
    let body_within = config.body_timeout();
    let shared = Arc::new(Shared { routes, body_within, streams, shutdown: shutdown.clone() });
    let mut http = http1::Builder::new();
    // The deadlines of a head are ours: hyper would set a clock for each request.
    http.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(RECEIVED_BYTES_MAX);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_client(&error) => continue,
            Err(error) => {
                // No more files to open, mostly: better in a moment.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = tune(&stream) {
            tracing::debug!(%error, "a connection keeps the system's settings");
        }
        let Some(place) = places.take() else {
            places.refuse(stream);
            continue;
        };
        let exchange = Exchange { connection: Connection::new(stream, place), progress: Arc::default(), peer };
        let io = HeadDeadline::new(exchange.connection.clone(), exchange.progress.clone(), config.head_timeout());
        let shared = shared.clone();
        let service =
            service_fn(move |request: hyper::Request<Incoming>| exchange.clone().answer(shared.clone(), request));
        let serving = connections.watch(http.serve_connection(TokioIo::new(io), service));
        tokio::spawn(async move {
            if let Err(error) = serving.await
                && !error.is_user()
            {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    drop(listener);
    shared.streams.close();
    let ending = async { tokio::join!(connections.shutdown(), shared.streams.wait()) };
    if tokio::time::timeout(grace, ending).await.is_err() {
        tracing::warn!(?grace, "requests were still under way at the end of the grace period");
    }
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    routes: Finished,
    body_within: Duration,
    streams: TaskTracker,
    shutdown: CancellationToken,
}

/// What is to be known of one connection. A clone is of the same.
#[derive(Debug, Clone)]
struct Exchange {
    connection: Connection,
    progress: Arc<Progress>,
    peer: SocketAddr,
}

impl Exchange {
    /// The answer for hyper to send; none for a response that leaves with its connection.
    ///
    /// That the head is whole is noted before anything is awaited: hyper reads once more first.
    fn answer(
        self,
        shared: Arc<Shared>,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Taken>> {
        let has_body = !request.body().is_end_stream();
        self.progress.asked(has_body);
        self.answered(shared, request, has_body)
    }

    async fn answered(
        self,
        shared: Arc<Shared>,
        request: hyper::Request<Incoming>,
        has_body: bool,
    ) -> Result<Response, Taken> {
        let mut request: Request = request.map(|body| {
            if has_body {
                Body::new(BodyDeadline::new(body, self.progress.clone(), shared.body_within))
            } else {
                Body::empty()
            }
        });
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let progress = has_body.then_some(&*self.progress);
        let response = shared.routes.answer_within(request, progress).await;
        self.progress.answered();
        if response.extensions().get::<Detached>().is_none() {
            return Ok(response);
        }
        let (stream, place) = self.connection.take().ok_or(Taken)?;
        let shutdown = shared.shutdown.clone();
        shared.streams.spawn(async move {
            if let Err(error) = detached::send(response, stream, &shutdown).await {
                tracing::debug!(%error, "a stream broke");
            }
            drop(place);
        });
        Err(Taken)
    }
}
