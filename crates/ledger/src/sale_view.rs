//! The table of sales, kept in memory from the log.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use flashsale_core::{SaleId, SaleState, SaleStatus, Sku};
use flashsale_schemas::{
    Decoder, Event, Topic,
    events::{Challenge, ChangeKind, SaleEvent, SaleStatusRecord},
};
use flashsale_streaming::{Record, View, ViewConfig};
use tokio::{runtime::Handle, sync::watch};

use crate::{Error, Ledger, scribe::TOMBSTONE_SALE_ID};

#[derive(Debug, Default)]
struct Table {
    sales: HashMap<Sku, Arc<SaleStatus>>,
    /// The last sale of a SKU that was removed: late snapshots of it, or of older ones, are ghosts.
    removed: HashMap<Sku, SaleId>,
}

impl Table {
    /// Returns whether the table changed.
    fn note(&mut self, status: SaleStatus) -> bool {
        let sku = status.config.sku.clone();
        if self.removed.get(&sku).is_some_and(|removed| status.config.sale_id <= *removed) {
            return false;
        }
        match self.sales.get_mut(&sku) {
            Some(known) if status.is_news_to(known) => Arc::make_mut(known).absorb(&status),
            Some(_) => false,
            None => self.sales.insert(sku, Arc::new(status)).is_none(),
        }
    }

    /// Takes a sale out, and every older one of its SKU; returns whether the table changed.
    fn remove(&mut self, sku: &Sku, sale: SaleId) -> bool {
        let gone = self.sales.get(sku).is_some_and(|known| known.config.sale_id <= sale);
        if gone {
            self.sales.remove(sku);
        }
        let removed = self.removed.entry(sku.clone()).or_insert_with(|| sale.clone());
        if sale > *removed {
            *removed = sale;
        }
        gone
    }
}

/// Every sale as the log tells it. A clone shares the table.
#[derive(Debug, Clone)]
pub struct SaleView {
    table: Arc<RwLock<Table>>,
    changes: watch::Receiver<u64>,
    view: Arc<View>,
}

impl SaleView {
    /// Looks one sale up.
    pub fn get(&self, sku: impl AsRef<str>) -> Option<Arc<SaleStatus>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).sales.get(sku.as_ref()).cloned()
    }

    /// The last sale of `sku` that was removed, if any.
    pub fn removed(&self, sku: &Sku) -> Option<SaleId> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).removed.get(sku).cloned()
    }

    /// Every sale, in no order.
    pub fn all(&self) -> Vec<Arc<SaleStatus>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).sales.values().cloned().collect()
    }

    /// The sale that matters now: the active one, else the next, else the last. Of several the one that
    /// started last, starts first, ended last.
    pub fn current(&self) -> Option<Arc<SaleStatus>> {
        self.all().into_iter().min_by_key(|sale| {
            let config = &sale.config;
            match sale.state {
                SaleState::Active => (0, -config.start.0, config.sku.clone()),
                SaleState::Upcoming => (1, config.start.0, config.sku.clone()),
                SaleState::Ended => (2, -config.end.0, config.sku.clone()),
            }
        })
    }

    /// Waits until the table holds what the log held at the start.
    pub async fn caught_up(&self) {
        self.view.caught_up().await;
    }

    /// Whether it does.
    pub fn is_caught_up(&self) -> bool {
        self.view.is_caught_up()
    }

    /// Grows with each change of the table. Who asks for it and then reads sees that state or a later one.
    pub fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    /// A receiver that wakes up after each change of the table.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// Waits until `seen` holds for the sale of `sku`, at most `patience`; returns whether it does.
    pub async fn wait_for(&self, sku: &Sku, patience: Duration, seen: impl Fn(Option<&SaleStatus>) -> bool) -> bool {
        let mut changes = self.changes();
        let waiting = changes.wait_for(|_| seen(self.get(sku).as_deref()));
        matches!(tokio::time::timeout(patience, waiting).await, Ok(Ok(_)))
    }
}

impl Ledger {
    /// Keeps a table of sales from `sale-events`: the source, for those who decide.
    pub async fn sales_by_events(&self, name: &str) -> Result<SaleView, Error> {
        let decoder = self.decoder::<SaleEvent>().await?;
        self.follow(name, Topic::SaleEvents, decoder, |table, _, event| match event {
            Some(event) if event.kind == ChangeKind::Deleted => {
                let (Ok(sku), Ok(sale)) = (Sku::new(&event.sku), SaleId::new(&event.sale_id)) else { return false };
                table.remove(&sku, sale)
            }
            Some(event) => match SaleStatus::try_from(&event) {
                Ok(status) => table.note(status),
                // What must be asked of its shoppers is not known here: nothing is sold of it, also if it was before.
                Err(error) if event.challenge == Challenge::Unknown => {
                    let is_gone = Sku::new(&event.sku).is_ok_and(|sku| table.sales.remove(&sku).is_some());
                    unreadable(&error) || is_gone
                }
                Err(error) => unreadable(&error),
            },
            None => false,
        })
    }

    /// Keeps a table of sales from `sale-status`: with the live stock, for those who show. `seen` is
    /// called with each snapshot or removal as it stands in the topic.
    pub async fn sales_by_status(
        &self,
        name: &str,
        mut seen: impl FnMut(&Sku, Option<&SaleStatus>) + Send + 'static,
    ) -> Result<SaleView, Error> {
        let decoder = self.decoder::<SaleStatusRecord>().await?;
        self.follow(name, Topic::SaleStatus, decoder, move |table, tombstone, record| match record {
            Some(record) => match SaleStatus::try_from(&record) {
                Ok(status) => {
                    seen(&status.config.sku, Some(&status));
                    table.note(status)
                }
                Err(error) => unreadable(&error),
            },
            None => {
                let Some((sku, sale)) = tombstone else { return false };
                seen(sku, None);
                table.remove(sku, sale.clone())
            }
        })
    }

    fn follow<T: Event>(
        &self,
        name: &str,
        topic: Topic,
        decoder: Decoder<T>,
        mut apply: impl FnMut(&mut Table, Option<&(Sku, SaleId)>, Option<T>) -> bool + Send + 'static,
    ) -> Result<SaleView, Error> {
        let table = Arc::new(RwLock::new(Table::default()));
        let (changed, changes) = watch::channel(0);
        let config = ViewConfig { name: name.to_owned(), topics: vec![self.topic(topic).to_owned()] };
        let runtime = Handle::current();
        let view = View::start(self.streaming(), config, {
            let table = table.clone();
            move |record| {
                // The decoder looks unknown schemas up on this runtime.
                let _guard = runtime.enter();
                let tombstone = if record.payload.is_none() { tombstone(&record) } else { None };
                let Ok(event) = decode(&decoder, &record) else { return };
                let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
                if apply(&mut table, tombstone.as_ref(), event) {
                    drop(table);
                    changed.send_modify(|version| *version += 1);
                }
            }
        })
        .map_err(Error::Streaming)?;
        Ok(SaleView { table, changes, view: Arc::new(view) })
    }
}

/// Which sale a tombstone removes: its key is the SKU, a header names the sale, so that a late one does not
/// take away the next sale of the SKU.
fn tombstone(record: &Record) -> Option<(Sku, SaleId)> {
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let sku = Sku::new(text(record.key.as_deref()?)?).ok()?;
    let (_, sale) = record.headers.iter().find(|(name, _)| name == TOMBSTONE_SALE_ID)?;
    Some((sku, SaleId::new(text(sale)?).ok()?))
}

/// Decodes a record of a view, however long its schema takes to arrive; a bad one is reported and left out.
fn decode<T: Event>(decoder: &Decoder<T>, record: &Record) -> Result<Option<T>, ()> {
    let Some(payload) = &record.payload else { return Ok(None) };
    // A minute of a registry's absence; then a view that lacks one record is better than one that stands still.
    for _ in 0..600 {
        match decoder.decode(payload) {
            Ok(event) => return Ok(Some(event)),
            Err(error) if error.is_data_error() => {
                tracing::warn!(position = %record.position, %error, "unreadable record left out");
                return Err(());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    tracing::error!(position = %record.position, "its schema could not be had; record left out");
    Err(())
}

fn unreadable(error: &impl std::fmt::Display) -> bool {
    tracing::warn!(%error, "an event that makes no sense was left out");
    false
}
