//! The limit beside the figures: a server that decides nothing.
//!
//! It reads requests as ours does and says as much as ours does. What a sale costs is what lies between the two.

use axum::{
    Json, Router,
    http::{HeaderName, StatusCode, header},
    routing::{get, post},
    serve::ListenerExt,
};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PURCHASED: &str = concat!(
    r#"{"success":true,"data":{"purchaseNo":"PUR-20261123-06C5HN3T8Q2Z-000042","#,
    r#""purchasedAt":"2026-11-23T12:00:00.123Z"}}"#
);
const STATUS: &str = concat!(
    r#"{"success":true,"data":{"sku":"LOAD-0123ABCD","state":"ACTIVE","stock":100000,"initialStock":100000,"#,
    r#""productName":"Load of 100000 units","startTime":"2026-11-23T12:00:00.000Z","#,
    r#""endTime":"2026-11-23T13:00:00.000Z","serverTime":"2026-11-23T12:10:00.000Z"}}"#
);

#[derive(Deserialize)]
struct Wanted {
    sku: String,
}

type Said = ([(HeaderName, &'static str); 1], &'static str);

/// Serves `POST /api/v1/purchases` and `GET /api/v1/sales` until `stop`. An error is about the listener.
pub async fn serve(listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    let routes = Router::new().route("/api/v1/purchases", post(purchase)).route("/api/v1/sales", get(status));
    let listener = listener.tap_io(|stream| {
        // A connection that is gone already is noticed when it is read.
        drop(stream.set_nodelay(true));
    });
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

async fn purchase(Json(wanted): Json<Wanted>) -> Result<Said, StatusCode> {
    if wanted.sku.is_empty() { Err(StatusCode::NOT_FOUND) } else { Ok(json(PURCHASED)) }
}

async fn status() -> Said {
    json(STATUS)
}

fn json(body: &'static str) -> Said {
    ([(header::CONTENT_TYPE, "application/json")], body)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        arrivals::Arrivals,
        engine::{self, Live, Options, Request, Target},
        recorder::{Outcome, Recording, Route},
    };

    fn load(server: std::net::SocketAddr) -> Recording {
        let target = Target {
            servers: vec![server],
            host: server.to_string(),
            skus: vec!["A".into()],
            prefix: "bare".into(),
            headers: Vec::new(),
        };
        let options = Options {
            connections: 8,
            open_first: true,
            threads: 2,
            keep_alive: true,
            pipeline: 1,
            answer_max: Duration::from_secs(10),
            keep_attempts: true,
        };
        let request = |number: u64| {
            let route = if number.is_multiple_of(2) { Route::Purchase } else { Route::Status };
            Request { route, shopper: number, key: 0, sku: 0 }
        };
        let arrivals = Arrivals::Constant { rate: 200.0 };
        engine::run(&target, &options, arrivals, Duration::from_millis(500), 1, &request, &Live::default()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_answers_as_ours_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, stop.clone()));
        let recording = tokio::task::spawn_blocking(move || load(server)).await.unwrap();
        let count = |route: Route, outcome: Outcome| recording.tally(route).unwrap().counts[&outcome];
        assert_eq!(count(Route::Purchase, Outcome::Purchased), 50, "{:?}", recording.failures);
        assert_eq!(count(Route::Status, Outcome::Found), 50, "{:?}", recording.failures);
        assert_eq!(&*recording.attempts[0].receipt.as_ref().unwrap().at, "2026-11-23T12:00:00.123Z");
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
