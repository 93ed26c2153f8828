//! Serving HTTP: one place for what holds for every route.

use std::{any::Any, io, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{from_fn, map_response},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    detached::{self, Connection, Detached, Taken},
    envelope::{ApiError, correlate},
};

/// How long a client may leave what it was sent unacknowledged, or its window shut. Then the connection is dead, or its
/// reader has stopped reading, and what it holds is given back.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(15);
/// How long a connection may wait for the head of a request to be there whole: the first, and each after an answer.
/// Longer than proxies keep idle connections (60 s in nginx), so that they close first and no request meets a close.
const IDLE_MAX: Duration = Duration::from_secs(75);
/// What the system takes of an answer before it can send it. A slow reader of a stream is not sent what is long out of
/// date, and costs no more than this.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;

/// Puts around all routes what every answer has: the envelope also for unknown routes, wrong methods
/// and panics, the correlation id, and headers that keep browsers careful.
pub fn finish(routes: Router) -> Router {
    routes
        .fallback(|method: Method, uri: Uri| async move {
            ApiError::not_found(format!("There is no {method} {}.", uri.path()))
        })
        .method_not_allowed_fallback(|method: Method| async move {
            let message = format!("{method} is not allowed here.");
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(harden))
        .layer(from_fn(correlate))
}

// By value: that is what the layer hands over.
#[allow(clippy::needless_pass_by_value)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(message, "a handler panicked");
    ApiError::internal().into_response()
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("DENY"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    response
}

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
pub async fn serve(listener: TcpListener, routes: Router, shutdown: CancellationToken, grace: Duration) {
    let (connections, streams) = (GracefulShutdown::new(), TaskTracker::new());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
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
        let connection = Connection::new(stream);
        let answering = (routes.clone(), connection.clone(), streams.clone(), shutdown.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (routes, connection, streams, shutdown) = answering.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            answer(routes, request, connection, streams, shutdown)
        });
        let serving = connections.watch(http.serve_connection(TokioIo::new(connection), service));
        tokio::spawn(async move {
            if let Err(error) = serving.await
                && !error.is_user()
            {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    drop(listener);
    streams.close();
    let ending = async { tokio::join!(connections.shutdown(), streams.wait()) };
    if tokio::time::timeout(grace, ending).await.is_err() {
        tracing::warn!(?grace, "requests were still under way at the end of the grace period");
    }
}

/// The answer for hyper to send; none for a response that leaves with its connection.
async fn answer(
    mut routes: Router,
    request: Request,
    connection: Connection,
    streams: TaskTracker,
    shutdown: CancellationToken,
) -> Result<Response, Taken> {
    let Ok(response) = routes.call(request).await;
    if response.extensions().get::<Detached>().is_none() {
        return Ok(response);
    }
    let stream = connection.take().ok_or(Taken)?;
    streams.spawn(async move {
        if let Err(error) = detached::send(response, stream, &shutdown).await {
            tracing::debug!(%error, "a stream broke");
        }
    });
    Err(Taken)
}

#[cfg(test)]
mod tests {
    use axum::{body::to_bytes, routing::get};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    async fn answer(request: Request<Body>) -> (StatusCode, Value, Response<()>) {
        let routes = Router::new()
            .route("/ok", get(|| async { crate::success(StatusCode::OK, 1) }))
            .route("/panic", get(|| async { panic!("secret") as &'static str }));
        let response = finish(routes).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = serde_json::from_slice(&to_bytes(body, 10_000).await.unwrap()).unwrap();
        (parts.status, body, Response::from_parts(parts, ()))
    }

    fn get_request(path: &str) -> Request<Body> {
        axum::http::Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn pr_9_everything_answers_in_the_envelope() {
        let (status, body, _) = answer(get_request("/ok")).await;
        assert_eq!((status, &body), (StatusCode::OK, &serde_json::json!({"success": true, "data": 1})));
        for (request, status, code) in [
            (get_request("/nowhere"), 404, "NOT_FOUND"),
            (axum::http::Request::post("/ok").body(Body::empty()).unwrap(), 405, "METHOD_NOT_ALLOWED"),
            (get_request("/panic"), 500, "INTERNAL_ERROR"),
        ] {
            let (got, body, response) = answer(request).await;
            assert_eq!((got.as_u16(), body["error"]["code"].as_str()), (status, Some(code)));
            assert_eq!(body["success"], false);
            assert!(!body.to_string().contains("secret"), "nothing about the inside");
            assert!(response.headers().contains_key("x-correlation-id"));
        }
    }

    #[tokio::test]
    async fn the_correlation_id_is_echoed_when_sane() {
        let id = |value: &'static str| {
            let mut request = get_request("/ok");
            request.headers_mut().insert("x-correlation-id", HeaderValue::from_static(value));
            async move { answer(request).await.2.headers()["x-correlation-id"].to_str().unwrap().to_owned() }
        };
        assert_eq!(id("abc-1.2_3").await, "abc-1.2_3");
        for insane in ["", "a b", "<script>"] {
            let made = id(insane).await;
            assert_eq!(uuid::Uuid::parse_str(&made).unwrap().get_version_num(), 7);
        }
    }
}
