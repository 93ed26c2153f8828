//! Setting up, changing and removing a sale, in Postgres, Redis and the log.
//!
//! No transaction spans the three. Each write has an order in which a crash between two steps leaves
//! something that the same request, sent again, completes; the log hears of a change from us or, through
//! the outbox that Redis wrote in the same step, from the relay.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use flashsale_core::{Micros, SaleConfig, SaleId, SaleState, SaleStatus, Sku, decision::Change};
use flashsale_ledger::DECIDED_TO_SENT_MAX;
use flashsale_lua::{ChangedSale, SaleChange, SaleReply};
use flashsale_platform::ApiError;
use flashsale_sql::{InsertError, Product};
use flashsale_streaming::NotDelivered;

use crate::{
    Service,
    error::{Error, chain},
    form::{NewProduct, ProductPatch},
};

/// The log gets this long to acknowledge a change; then it is the relay's.
const PUBLISH_MAX: Duration = Duration::from_secs(2);
/// The status gets this long to show a change before its author is answered.
const SHOW_MAX: Duration = Duration::from_secs(1);

pub(crate) fn unknown(sku: &Sku) -> Error {
    ApiError::not_found(format!("There is no product {sku}.")).into()
}

fn exists(sku: &Sku) -> Error {
    ApiError::new(StatusCode::CONFLICT, "ALREADY_EXISTS", format!("There is a product {sku} already.")).into()
}

fn not_modifiable(why: &str) -> Error {
    ApiError::rejected("SALE_NOT_MODIFIABLE", why).into()
}

/// Redis holds no sale for a product, or another than Postgres.
const DISAGREE: Error = Error::HalfDone("redis and postgres name different sales for a product");

impl Service {
    /// Stores a product, then opens its sale; returns the product and its state.
    ///
    /// Postgres first: it refuses a SKU that exists. When Redis fails after that, the same request again
    /// finds the same configuration without a sale and opens it.
    pub(crate) async fn create(&self, form: NewProduct, now: Micros) -> Result<(Product, SaleState), Error> {
        let turn = self.writing().lock().await;
        // The second half of such an id is chance.
        let config = form.into_config(SaleId::generate(now, uuid::Uuid::now_v7().as_u64_pair().1));
        let (product, is_new) = match self.store().insert_product(&config).await {
            Ok(product) => (product, true),
            Err(InsertError::Exists) => (self.half_created(&config).await?, false),
            Err(InsertError::Store(error)) => return Err(error.into()),
        };
        let changed = self.hot().create(&product.config).await?;
        // The script makes changes only when there was no sale: a repetition did not find it half done.
        let Some(last) = changed.changes.last() else {
            if is_new && changed.reply == SaleReply::Exists {
                tracing::warn!(sku = %config.sku, "redis holds a sale that postgres does not know");
                self.store().delete_product(&config.sku).await?;
            }
            return Err(exists(&config.sku));
        };
        drop(turn);
        let state = last.status.state;
        self.announce(&config.sku, &changed).await;
        Ok((product, state))
    }

    /// The stored product when it may be one whose sale was never opened and `wanted` is the same.
    ///
    /// A sale that the log knows was open once: if Redis lost it, recovery brings it back with its buyers,
    /// and opening it empty would sell its units again.
    async fn half_created(&self, wanted: &SaleConfig) -> Result<Product, Error> {
        let sku = &wanted.sku;
        let product = self.store().product(sku).await?.ok_or(Error::HalfDone("a product vanished meanwhile"))?;
        if (SaleConfig { sale_id: product.config.sale_id.clone(), ..wanted.clone() }) != product.config {
            return Err(exists(sku));
        }
        if !self.view().is_caught_up() {
            return Err(Error::NotReady);
        }
        match self.view().get(sku) {
            Some(known) if known.config.sale_id >= product.config.sale_id => Err(exists(sku)),
            _ => Ok(product),
        }
    }

    /// Changes an upcoming sale.
    ///
    /// Redis first, as it alone can tell, in one step with the change, that the sale has not begun; if
    /// Postgres went first it could hold a configuration that never was in force. When Postgres fails after
    /// that, the change is in force and in the log, and the same request again brings it to Postgres, or
    /// else the reconciler does.
    pub(crate) async fn update(&self, sku: &Sku, patch: &ProductPatch) -> Result<Product, Error> {
        let turn = self.writing().lock().await;
        let product = self.store().product(sku).await?.ok_or_else(|| unknown(sku))?;
        // A state only moves on. Said before the times are compared, which must be in the past by then.
        if self.hot().snapshot(sku).await?.is_some_and(|sale| sale.state != SaleState::Upcoming) {
            return Err(not_modifiable("The sale has begun; it can no longer be changed."));
        }
        let config = patch.apply(&product.config, self.hot().now().await?)?;
        let changed = self.hot().update(&config).await?;
        let stored = match changed.reply {
            SaleReply::Ok => match self.store().update_product(&config).await {
                Ok(stored) => stored.ok_or(DISAGREE),
                Err(error) => Err(error.into()),
            },
            SaleReply::NotModifiable => Err(not_modifiable("The sale has begun; it can no longer be changed.")),
            SaleReply::Missing | SaleReply::Exists | SaleReply::Ended => Err(DISAGREE),
        };
        drop(turn);
        self.announce(sku, &changed).await;
        stored
    }

    /// Stops a sale for now, or lets it go on. Only Redis and the log know of that.
    pub(crate) async fn set_paused(&self, sku: &Sku, paused: bool) -> Result<Product, Error> {
        let product = self.store().product(sku).await?.ok_or_else(|| unknown(sku))?;
        let changed = self.hot().pause(sku, &product.config.sale_id, paused).await?;
        self.announce(sku, &changed).await;
        match changed.reply {
            SaleReply::Ok => Ok(product),
            SaleReply::Ended => Err(not_modifiable("The sale has ended.")),
            SaleReply::Missing | SaleReply::Exists | SaleReply::NotModifiable => Err(DISAGREE),
        }
    }

    /// Removes a sale wherever it is known.
    ///
    /// Postgres last: as long as it holds the product, the same request again finds what is left to do.
    pub(crate) async fn delete(&self, sku: &Sku) -> Result<(), Error> {
        let turn = self.writing().lock().await;
        let product = self.store().product(sku).await?;
        let hot = self.hot().snapshot(sku).await?;
        let known = self.view().get(sku);
        if product.is_none() && hot.is_none() && known.is_none() {
            return Err(unknown(sku));
        }
        let gone = if let Some(sale) = hot {
            let changed = self.hot().delete(sku, &sale.sale_id).await?;
            self.publish(sku, &changed).await;
            Some(sale.sale_id)
        } else if let Some(known) = known {
            self.publish_removal(&known).await?;
            Some(known.config.sale_id.clone())
        } else {
            None
        };
        self.store().delete_product(sku).await?;
        drop(turn);
        if let Some(gone) = gone {
            self.until_shown(sku, |seen| seen.is_none_or(|seen| seen.config.sale_id > gone)).await;
        }
        Ok(())
    }

    /// Tells the log that a sale is gone which Redis has lost, and with it the outbox: no relay would.
    async fn publish_removal(&self, known: &Arc<SaleStatus>) -> Result<(), Error> {
        let as_of = self.hot().now().await?;
        let removed = SaleStatus { as_of_event: known.as_of_event + 1, as_of, ..known.as_ref().clone() };
        let publishing = self.ledger().publish_changes([(Change::Deleted, &removed)]);
        Ok(tokio::time::timeout(PUBLISH_MAX, publishing).await.unwrap_or(Err(NotDelivered))?)
    }

    /// Publishes changes and waits until readers see them, but not for long.
    async fn announce(&self, sku: &Sku, changed: &ChangedSale) {
        let Some(SaleChange { status: after, .. }) = changed.changes.last() else { return };
        if self.publish(sku, changed).await {
            self.until_shown(sku, |seen| seen.is_some_and(|seen| !after.is_news_to(seen))).await;
        }
    }

    /// Publishes changes and settles them; returns whether the log has them. If not, the relay publishes
    /// them from the outbox, so that is no failure of the request.
    async fn publish(&self, sku: &Sku, changed: &ChangedSale) -> bool {
        if changed.asked.elapsed() > DECIDED_TO_SENT_MAX {
            // We stood still: Redis may have been recovered without them.
            return false;
        }
        let changes = &changed.changes;
        let publishing = self.ledger().publish_changes(changes.iter().map(|change| (change.change, &change.status)));
        if !matches!(tokio::time::timeout(PUBLISH_MAX, publishing).await, Ok(Ok(()))) {
            tracing::warn!(%sku, "the log did not take a change of a sale in time; left to the relay");
            return false;
        }
        let ids: Vec<String> = changes.iter().map(|change| change.outbox_id.clone()).collect();
        if let Err(error) = self.hot().settle(sku, &ids).await {
            tracing::warn!(%sku, error = chain(&error), "published changes were left in the outbox");
        }
        true
    }

    async fn until_shown(&self, sku: &Sku, seen: impl Fn(Option<&SaleStatus>) -> bool) {
        if !self.view().wait_for(sku, SHOW_MAX, seen).await {
            tracing::warn!(%sku, "the status does not show a change yet");
        }
    }
}
