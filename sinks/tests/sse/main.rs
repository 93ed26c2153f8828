//! The live stream on a real broker, over real connections.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod limits;
mod listener;
mod stream;

use std::{net::SocketAddr, time::Duration};

use flashsale_core::{Challenge, EndReason, Micros, SaleConfig, SaleId, SaleState, SaleStatus, Sku};
use flashsale_ledger::{Ledger, SaleView};
use flashsale_platform::{TrustedProxies, server};
use flashsale_sinks::sse::{Config, Service};
use flashsale_streaming::Delivery;
use flashsale_testkit::unique;
use listener::Listener;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
const STOCK: u64 = 100;

/// A log of its own.
struct Shop {
    ledger: Ledger,
    sale: SaleStatus,
}

/// One process that streams, as far as the network can tell.
struct Instance {
    address: SocketAddr,
    view: SaleView,
    closing: CancellationToken,
    stop: CancellationToken,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.closing.cancel();
        self.stop.cancel();
    }
}

impl Shop {
    /// With one sale that has not begun.
    async fn open() -> Self {
        let mut log = flashsale_ledger::Config::new(flashsale_testkit::kafka().await, "sse-test");
        log.topic_prefix = format!("{}.", unique("sse"));
        let ledger = Ledger::open(log).await.expect("Kafka answers");
        ledger.create_topics(1).await.expect("topics can be made");
        let start = Micros::from_millis(1_795_435_200_000);
        let sale = SaleStatus {
            config: SaleConfig {
                sale_id: SaleId::generate(start, 1),
                sku: Sku::new("PHONE").unwrap(),
                product_name: "A phone ☎".into(),
                initial_stock: STOCK,
                start,
                end: Micros::from_millis(1_795_438_800_500),
                challenge: Challenge::None,
            },
            state: SaleState::Upcoming,
            end_reason: None,
            paused: false,
            as_of_sequence: 0,
            as_of_event: 1,
            as_of: start,
        };
        let shop = Self { ledger, sale };
        shop.tell().await;
        shop
    }

    /// Writes the sale as it stands into the log.
    async fn tell(&self) {
        let delivery = Delivery::begin();
        self.ledger.send_status(&delivery, &self.sale);
        delivery.seal();
        delivery.wait().await.expect("the log takes it");
    }

    async fn start(&mut self) {
        (self.sale.state, self.sale.as_of_event) = (SaleState::Active, self.sale.as_of_event + 1);
        self.tell().await;
    }

    async fn sell(&mut self, units: u64) {
        self.sale.as_of_sequence += units;
        self.tell().await;
    }

    async fn pause(&mut self, paused: bool) {
        (self.sale.paused, self.sale.as_of_event) = (paused, self.sale.as_of_event + 1);
        self.tell().await;
    }

    async fn sell_out(&mut self) {
        self.sale.as_of_sequence = STOCK;
        (self.sale.state, self.sale.end_reason) = (SaleState::Ended, Some(EndReason::SoldOut));
        self.sale.as_of_event += 1;
        self.tell().await;
    }

    async fn instance(&self) -> Instance {
        self.instance_with(Config::default(), "").await
    }

    async fn instance_with(&self, config: Config, proxies: &str) -> Instance {
        let view = self.ledger.sales_by_status("sse-test", |_, _| ()).await.expect("a view");
        view.caught_up().await;
        let (closing, stop) = (CancellationToken::new(), CancellationToken::new());
        let service = Service::new(config, view.clone(), proxies.parse().unwrap(), closing.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let http = server::Config::default();
        let routes = server::finish(service.routes(), &http, TrustedProxies::default());
        tokio::spawn(server::serve(listener, routes, http, closing.clone(), Duration::from_secs(10)));
        tokio::spawn(service.run(stop.clone()));
        let instance = Instance { address, view, closing, stop };
        // Its hub has looked at the view once.
        flashsale_testkit::wait_until(PATIENCE, "the sale to be streamed", async || {
            let opened = Listener::open(instance.address, "/api/v1/sales/events?sku=PHONE", &[]).await;
            if opened.is_ok() { Ok(()) } else { Err("refused") }
        })
        .await;
        instance
    }
}

impl Instance {
    async fn listen(&self, last: Option<&str>) -> Listener {
        let headers: Vec<(&str, &str)> = last.map(|id| ("Last-Event-ID", id)).into_iter().collect();
        Listener::open(self.address, "/api/v1/sales/events?sku=PHONE", &headers).await.expect("a stream")
    }

    /// Waits until it has read all that was told.
    async fn has_read(&self, sale: &SaleStatus) {
        let seen = |seen: Option<&SaleStatus>| seen.is_some_and(|seen| !sale.is_news_to(seen));
        assert!(self.view.wait_for(&sale.config.sku, PATIENCE, seen).await);
    }
}
