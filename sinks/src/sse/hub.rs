//! The newest state of each sale, for whoever listens.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use flashsale_core::{Micros, SaleStatus, Sku};
use tokio::{sync::watch, time::Instant};

use super::frames::Snapshot;
use crate::metrics;

#[derive(Debug)]
struct Sale {
    newest: watch::Sender<Arc<Snapshot>>,
    told_at: Instant,
}

/// One state a sale; a clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    sales: Arc<RwLock<HashMap<Sku, Sale>>>,
    coalesce: Duration,
}

impl Hub {
    pub(crate) fn new(coalesce: Duration) -> Self {
        Self { sales: Arc::default(), coalesce }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Sku, Sale>> {
        self.sales.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes at each new state of a sale; ends when the sale is removed.
    pub(crate) fn listen(&self, sku: &Sku) -> Option<watch::Receiver<Arc<Snapshot>>> {
        self.read().get(sku).map(|sale| sale.newest.subscribe())
    }

    /// Takes over every sale there is: a change of state at once, sold units at most once in each interval. Returns when
    /// the next that had to wait is due.
    pub(crate) fn refresh(&self, statuses: &[Arc<SaleStatus>], now: Instant, clock: Micros) -> Option<Instant> {
        let mut sales = self.sales.write().unwrap_or_else(PoisonError::into_inner);
        let mut next_due: Option<Instant> = None;
        for status in statuses {
            let Some(sale) = sales.get_mut(&status.config.sku) else {
                let newest = watch::Sender::new(Arc::new(Snapshot::first(status.clone())));
                sales.insert(status.config.sku.clone(), Sale { newest, told_at: now });
                continue;
            };
            let known = sale.newest.borrow().clone();
            if Arc::ptr_eq(&known.status, status) {
                continue;
            }
            let due = sale.told_at + self.coalesce;
            let only_units =
                known.status.config.sale_id == status.config.sale_id && known.status.as_of_event == status.as_of_event;
            if only_units && due > now {
                next_due = Some(next_due.map_or(due, |other| other.min(due)));
                continue;
            }
            sale.told_at = now;
            sale.newest.send_replace(Arc::new(known.next(status.clone())));
            metrics::published(clock.since(status.as_of));
        }
        if sales.len() > statuses.len() {
            let there: std::collections::HashSet<&Sku> = statuses.iter().map(|status| &status.config.sku).collect();
            sales.retain(|sku, _| there.contains(sku));
        }
        next_due
    }
}
