//! Serving HTTP: one place for what holds for every route.

use std::{any::Any, io, time::Duration};

use axum::{
    Router,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{from_fn, map_response},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::envelope::{ApiError, correlate};

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

/// Listens on `address`, or says who else may be there.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "something else listens there; choose another with FLASHSALE_HTTP_ADDRESS",
            io::ErrorKind::PermissionDenied => "not permitted; choose a port above 1023 with FLASHSALE_HTTP_ADDRESS",
            _ => "check FLASHSALE_HTTP_ADDRESS",
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {hint}"))
    })
}

/// Serves until `shutdown`, then answers what is under way for at most `grace`.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    shutdown: CancellationToken,
    grace: Duration,
) -> io::Result<()> {
    // A small answer must not wait for the client's acknowledgement of the one before.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay");
        }
    });
    let server =
        axum::serve(listener, routes.into_make_service()).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        result = server => result,
        () = async { shutdown.cancelled().await; tokio::time::sleep(grace).await } => {
            tracing::warn!(?grace, "requests were still under way at the end of the grace period");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::Request,
        routing::get,
    };
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
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn pr_9_everything_answers_in_the_envelope() {
        let (status, body, _) = answer(get_request("/ok")).await;
        assert_eq!((status, &body), (StatusCode::OK, &serde_json::json!({"success": true, "data": 1})));
        for (request, status, code) in [
            (get_request("/nowhere"), 404, "NOT_FOUND"),
            (Request::post("/ok").body(Body::empty()).unwrap(), 405, "METHOD_NOT_ALLOWED"),
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
