//! The hub, kept up to date.

use std::{sync::Arc, time::Duration};

use flashsale_core::Micros;
use flashsale_ledger::SaleView;
use flashsale_platform::TrustedProxies;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Config, clients::Clients, hub::Hub};
use crate::metrics;

/// At least so long between two looks at all sales, however fast they change.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) hub: Hub,
    pub(super) clients: Clients,
    pub(super) view: SaleView,
    pub(super) proxies: TrustedProxies,
    /// Ends every stream.
    pub(super) closing: CancellationToken,
}

/// Streams to pages. A clone shares everything.
#[derive(Debug, Clone)]
pub struct Service {
    pub(super) shared: Arc<Shared>,
}

impl Service {
    /// Streams what `view`, a table of sales kept from the status topic, says. When `closing` is cancelled all streams
    /// end, so that the server can stop and clients connect elsewhere.
    pub fn new(config: Config, view: SaleView, proxies: TrustedProxies, closing: CancellationToken) -> Self {
        metrics::begin_sse();
        let hub = Hub::new(Duration::from_millis(config.coalesce_ms));
        let clients = Clients::new(config.clients_max, config.clients_per_ip_max);
        Self { shared: Arc::new(Shared { config, hub, clients, view, proxies, closing }) }
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let Shared { hub, view, .. } = &*self.shared;
        let mut changes = view.changes();
        changes.mark_changed();
        let mut due: Option<Instant> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = changes.changed() => if changed.is_err() {
                    // The view is gone, and with it all that could be told.
                    return tracing::debug!("the table of sales is closed");
                },
                () = async { match due { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => {}
            }
            due = hub.refresh(&view.all(), Instant::now(), now());
            sleep(LOOK_EVERY).await;
        }
    }
}

/// This host's clock.
pub(super) fn now() -> Micros {
    Micros::from_utc(OffsetDateTime::now_utc())
}
