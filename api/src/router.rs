//! The routes and what they share.

use std::{fmt, sync::Arc};

use axum::Router;
use flashsale_identity::Shoppers;
use flashsale_ledger::{Ledger, SaleView};
use flashsale_lua::HotState;
use flashsale_sql::Store;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Config, ConfigError, Tools,
    auth::Keyring,
    handlers::{
        ops::{consumers, dead_letters, overview, reconciliations, reports, topics},
        products, purchases, sales,
    },
};

struct Inner {
    keyring: Keyring,
    allow_delete: bool,
    has_captcha: bool,
    hot: HotState,
    store: Store,
    ledger: Ledger,
    view: SaleView,
    tools: Tools,
    shoppers: Shoppers,
    writing: Mutex<()>,
    told: sales::Told,
}

/// Reads and administration. A clone shares everything.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("allow_delete", &self.inner.allow_delete).finish_non_exhaustive()
    }
}

impl Service {
    /// The service from its parts; `view` is a table of sales kept from the status topic, `tools` are for operators.
    ///
    /// # Errors
    /// When the admin key is too short, or the file of keys cannot be used.
    pub fn new(
        config: &Config,
        hot: HotState,
        store: Store,
        ledger: Ledger,
        view: SaleView,
        tools: Tools,
        shoppers: Shoppers,
    ) -> Result<Self, ConfigError> {
        let Config { allow_delete, has_captcha, .. } = *config;
        let (keyring, writing, told) = (Keyring::new(config)?, Mutex::new(()), sales::Told::default());
        let inner =
            Inner { keyring, allow_delete, has_captcha, hot, store, ledger, view, tools, shoppers, writing, told };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The routes. They set no fallback and share no path and method with another service's.
    pub fn routes(&self) -> Router {
        let (router, _) = documented_routes().split_for_parts();
        router.with_state(self.clone())
    }

    /// Looks after the file of admin keys until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        self.inner.keyring.run(shutdown).await;
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    pub(crate) fn allow_delete(&self) -> bool {
        self.inner.allow_delete
    }

    pub(crate) fn has_captcha(&self) -> bool {
        self.inner.has_captcha
    }

    pub(crate) fn hot(&self) -> &HotState {
        &self.inner.hot
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(crate) fn view(&self) -> &SaleView {
        &self.inner.view
    }

    pub(crate) fn told(&self) -> &sales::Told {
        &self.inner.told
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.inner.tools
    }

    pub(crate) fn shoppers(&self) -> &Shoppers {
        &self.inner.shoppers
    }

    /// Held by a write that touches Postgres and Redis, so that two do not meet in different orders. It
    /// reaches as far as this process; between processes the reconciler decides.
    pub(crate) fn writing(&self) -> &Mutex<()> {
        &self.inner.writing
    }
}

/// A route cannot be served without being documented: both come from here.
pub(crate) fn documented_routes() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .routes(routes!(sales::read))
        .routes(routes!(sales::list))
        .routes(routes!(purchases::read))
        .routes(routes!(products::create, products::list))
        .routes(routes!(products::read, products::update, products::delete))
        .routes(routes!(products::pause))
        .routes(routes!(products::resume))
        .routes(routes!(overview::read))
        .routes(routes!(overview::acts))
        .routes(routes!(consumers::list))
        .routes(routes!(consumers::pause))
        .routes(routes!(consumers::resume))
        .routes(routes!(consumers::reset))
        .routes(routes!(topics::list))
        .routes(routes!(topics::messages))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::read))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(reconciliations::list, reconciliations::run))
        .routes(routes!(reports::read))
}
