//! `GET /api/v1/sales/events`.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use flashsale_core::Sku;
use flashsale_platform::{ApiError, Detached, client_ip};
use futures_util::{FutureExt, Stream, StreamExt, future, stream};
use rand::Rng;
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_stream::wrappers::WatchStream;

use super::{
    Service,
    clients::{Refused, Seat},
    frames::{Frames, HEARTBEAT, Known, Snapshot, opening},
    service::{Shared, now},
};
use crate::metrics;

/// When a client shall come back after its stream ended: not all in one moment.
const RETRY_MS: std::ops::Range<u64> = 1_000..4_000;
/// What a refused client is told to wait, in seconds.
const RETRY_AFTER_SECONDS: u64 = 5;
/// Streams that began in one moment end within this part of their life, not in one moment.
const LIFETIME_SPREAD: f64 = 0.05;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    sku: Option<String>,
    /// As the header of that name, for clients that cannot set headers.
    last_event_id: Option<String>,
}

impl Service {
    /// The routes. They set no fallback.
    pub fn routes(&self) -> Router {
        Router::new().route("/api/v1/sales/events", get(events)).with_state(self.clone())
    }
}

async fn events(
    State(service): State<Service>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    match open(&service.shared, peer, parameters, &headers) {
        Ok(stream) => {
            let head = [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                // nginx would wait for a buffer full of events.
                (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
            ];
            (StatusCode::OK, head, Extension(Detached), Body::from_stream(stream)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// The stream of one client, or why it gets none.
fn open(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    parameters: Result<Query<Parameters>, QueryRejection>,
    headers: &HeaderMap,
) -> Result<impl Stream<Item = Result<Bytes, Infallible>> + use<>, ApiError> {
    let Query(parameters) = parameters.map_err(|_| ApiError::invalid("query", "cannot be read"))?;
    let sku = parameters.sku.as_deref().ok_or_else(|| ApiError::invalid("sku", "is missing"))?;
    let sku = Sku::new(sku).map_err(|error| ApiError::invalid("sku", error.to_string()))?;
    if !shared.view.is_caught_up() || shared.closing.is_cancelled() {
        return Err(ApiError::unavailable(1));
    }
    let newest = shared.hub.listen(&sku).ok_or_else(|| match shared.view.get(&sku) {
        // The hub has not taken it over yet.
        Some(_) => ApiError::unavailable(1),
        None => ApiError::not_found(format!("There is no sale of {sku}.")),
    })?;
    let address = client_ip::counted(shared.proxies.client(peer.ip(), headers));
    let seat = shared.clients.enter(address).map_err(|refused| {
        metrics::refused(refused);
        match refused {
            Refused::Full => ApiError::unavailable(RETRY_AFTER_SECONDS),
            Refused::Address => ApiError::rate_limited(RETRY_AFTER_SECONDS),
        }
    })?;
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    let known = match last.or(parameters.last_event_id.as_deref()) {
        None | Some("") => Known::Nothing,
        Some(id) => id.parse().map_or(Known::Unreadable, Known::UpTo),
    };
    let life = Duration::from_millis(shared.config.lifetime_ms);
    let life = life.mul_f64(1.0 - LIFETIME_SPREAD * rand::rng().random::<f64>());
    let end = future::select(Box::pin(shared.closing.clone().cancelled_owned()), Box::pin(sleep(life))).map(drop);
    let heartbeat = Duration::from_millis(shared.config.heartbeat_ms);
    let opening = opening(rand::rng().random_range(RETRY_MS));
    let frames = stream::iter([opening]).chain(follow(newest, known, heartbeat, seat));
    Ok(frames.map(Ok).take_until(end))
}

/// What leads a client from what it knows to the newest state, whenever its connection has room; a heartbeat after each
/// silence. Ends when the sale is removed.
fn follow(
    newest: watch::Receiver<Arc<Snapshot>>,
    mut known: Known,
    heartbeat: Duration,
    seat: Seat,
) -> impl Stream<Item = Bytes> {
    let mut silence = interval_at(Instant::now() + heartbeat, heartbeat);
    silence.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let frames = WatchStream::new(newest).filter_map(move |snapshot| {
        // The seat is taken for as long as the stream is there.
        let _seat = &seat;
        let frame = snapshot.lead(&known, now()).map(|(frames, place)| {
            known = Known::UpTo(place);
            metrics::sent(&frames);
            match frames {
                Frames::Initial(bytes) | Frames::Reset(bytes) | Frames::Step(bytes) => bytes,
            }
        });
        future::ready(frame)
    });
    // Around what is sent: a state of which this client knew is silence too.
    let frames = tokio_stream::StreamExt::timeout_repeating(frames, silence);
    frames.map(|frame| frame.unwrap_or(HEARTBEAT))
}
