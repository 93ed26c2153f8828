//! The routes and what they share.

use std::{fmt, sync::Arc};

use axum::Router;
use flashsale_ledger::{Ledger, SaleView};
use flashsale_lua::HotState;
use flashsale_sql::Store;
use tokio::sync::Mutex;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Config, ConfigError, Tools,
    auth::AdminKey,
    handlers::{
        ops::{consumers, dead_letters, overview, reconciliations, reports, topics},
        products, purchases, sales,
    },
};

struct Inner {
    admin_key: AdminKey,
    allow_delete: bool,
    hot: HotState,
    store: Store,
    ledger: Ledger,
    view: SaleView,
    tools: Tools,
    writing: Mutex<()>,
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
    /// When the admin key is too short.
    pub fn new(
        config: &Config,
        hot: HotState,
        store: Store,
        ledger: Ledger,
        view: SaleView,
        tools: Tools,
    ) -> Result<Self, ConfigError> {
        let admin_key = AdminKey::new(&config.admin_key)?;
        let allow_delete = config.allow_delete;
        let inner = Inner { admin_key, allow_delete, hot, store, ledger, view, tools, writing: Mutex::new(()) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The routes. They set no fallback and share no path and method with another service's.
    pub fn routes(&self) -> Router {
        let (router, _) = documented_routes().split_for_parts();
        router.with_state(self.clone())
    }

    pub(crate) fn admin_key(&self) -> &AdminKey {
        &self.inner.admin_key
    }

    pub(crate) fn allow_delete(&self) -> bool {
        self.inner.allow_delete
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

    pub(crate) fn tools(&self) -> &Tools {
        &self.inner.tools
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
