//! Who is let in, for how long, and what becomes of the dead.

use std::time::Duration;

use flashsale_sinks::sse::Config;
use flashsale_testkit::wait_until;
use tokio::{
    net::TcpSocket,
    time::{Instant, interval},
};

use crate::{Listener, PATIENCE, Shop};

const PATH: &str = "/api/v1/sales/events?sku=PHONE";

#[tokio::test]
async fn t_4_what_is_no_stream_says_why() {
    let shop = Shop::open().await;
    let instance = shop.instance().await;
    for (query, status, code) in [
        ("", 400, "VALIDATION_ERROR"),
        ("?sku=", 400, "VALIDATION_ERROR"),
        ("?sku=a%2Fb", 400, "VALIDATION_ERROR"),
        ("?sku=NOBODY", 404, "NOT_FOUND"),
    ] {
        let path = format!("/api/v1/sales/events{query}");
        let refusal = Listener::open(instance.address, &path, &[]).await.unwrap_err();
        assert_eq!(refusal.code(), (status, code), "{query}");
        assert_eq!(refusal.body["success"], false);
    }
}

#[tokio::test]
async fn nf_10_five_streams_an_address() {
    let shop = Shop::open().await;
    let instance = shop.instance_with(Config::default(), "127.0.0.1").await;
    let from = async |address: &str| Listener::open(instance.address, PATH, &[("X-Forwarded-For", address)]).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(from("203.0.113.7").await.unwrap());
    }
    let refusal = from("203.0.113.7").await.unwrap_err();
    assert_eq!(refusal.code(), (429, "RATE_LIMITED"));
    assert_eq!(refusal.body["error"]["retryAfter"], 5);
    assert!(refusal.head.contains(&"retry-after: 5".to_owned()), "{:?}", refusal.head);
    // A client cannot make itself another one: only the nearest address that no trusted proxy has counts.
    assert_eq!(from("198.51.100.1, 203.0.113.7").await.unwrap_err().code().0, 429);
    from("198.51.100.1").await.unwrap();
    open.pop();
    wait_until(PATIENCE, "the place of who left to be free", async || from("203.0.113.7").await.map(drop)).await;
}

#[tokio::test]
async fn nf_10_an_address_that_nobody_vouches_for_counts_by_its_connection() {
    let shop = Shop::open().await;
    let instance = shop.instance().await;
    let from = async |address: &str| Listener::open(instance.address, PATH, &[("X-Forwarded-For", address)]).await;
    let mut open = Vec::new();
    // The probe of the fixture may just be leaving.
    wait_until(PATIENCE, "five streams", async || {
        while open.len() < 5 {
            open.push(from(&format!("203.0.113.{}", open.len())).await.map_err(|refusal| refusal.status)?);
        }
        Ok::<_, u16>(())
    })
    .await;
    assert_eq!(from("198.51.100.1").await.unwrap_err().code().0, 429);
}

#[tokio::test]
async fn nf_5_a_full_instance_says_so() {
    let shop = Shop::open().await;
    let config = Config { clients_max: 2, ..Config::default() };
    let instance = shop.instance_with(config, "127.0.0.1").await;
    let from = async |address: &str| Listener::open(instance.address, PATH, &[("X-Forwarded-For", address)]).await;
    let mut open = Vec::new();
    wait_until(PATIENCE, "two streams", async || {
        while open.len() < 2 {
            open.push(from(&format!("203.0.113.{}", open.len())).await.map_err(|refusal| refusal.status)?);
        }
        Ok::<_, u16>(())
    })
    .await;
    let refusal = from("203.0.113.9").await.unwrap_err();
    assert_eq!(refusal.code(), (503, "SERVICE_UNAVAILABLE"));
    assert!(refusal.head.contains(&"retry-after: 5".to_owned()), "{:?}", refusal.head);
}

#[tokio::test]
async fn t_4_silence_is_filled_and_a_long_life_ends() {
    let shop = Shop::open().await;
    let config = Config { heartbeat_ms: 100, lifetime_ms: 1_000, ..Config::default() };
    let instance = shop.instance_with(config, "").await;
    let began = Instant::now();
    let mut listener = instance.listen(None).await;
    assert_eq!(listener.next().await.unwrap().name, "initial");
    assert_eq!(listener.next().await, None, "the server ends it");
    let lived = began.elapsed();
    assert!(lived >= Duration::from_millis(900) && lived < Duration::from_secs(5), "{lived:?}");
    let beats = listener.comments.iter().filter(|comment| *comment == "heartbeat").count();
    assert!((4..=10).contains(&beats), "{:?}", listener.comments);
}

#[tokio::test]
async fn t_4_a_stopping_instance_ends_its_streams() {
    let shop = Shop::open().await;
    let instance = shop.instance().await;
    let mut listener = instance.listen(None).await;
    listener.next().await.unwrap();
    instance.closing.cancel();
    assert_eq!(listener.next().await, None);
}

#[tokio::test]
async fn i_13_one_that_never_reads_is_dropped() {
    let mut shop = Shop::open().await;
    // Long events, one after the other, so that what the system keeps for it is soon full.
    shop.sale.config.product_name = "☎".repeat(255);
    let config = Config { clients_max: 1, heartbeat_ms: 1_000, ..Config::default() };
    let instance = shop.instance_with(config, "").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut socket = Some(socket);
    let mut deaf = None;
    wait_until(PATIENCE, "the only place", async || {
        let free = socket.take().unwrap_or_else(|| TcpSocket::new_v4().unwrap());
        let connection = free.connect(instance.address).await.unwrap();
        deaf = Some(Listener::over(connection, PATH, &[]).await.map_err(|refusal| refusal.status)?);
        Ok::<_, u16>(())
    })
    .await;
    let mut pace = interval(Duration::from_millis(8));
    let began = Instant::now();
    let refused = loop {
        pace.tick().await;
        let paused = !shop.sale.paused;
        shop.pause(paused).await;
        if began.elapsed() > Duration::from_secs(1)
            && let Ok(_hearing) = Listener::open(instance.address, PATH, &[]).await
        {
            break began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it keeps its place for ever");
    };
    assert!(refused > Duration::from_secs(10), "not for a moment's delay: {refused:?}");
    drop(deaf);
}
