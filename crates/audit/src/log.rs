//! The log, read whole.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use flashsale_core::{
    Attempt, NotActive, RequestId, SaleId, SaleStatus, Sku, UserId,
    decision::Change,
    history::{History, LoggedDecision, LoggedOutcome},
};
use flashsale_ledger::{BorrowedDecision, Ledger};
use flashsale_schemas::events::{ChangeKind, Outcome, PurchaseDecision, SaleEvent};
use flashsale_streaming::{ScanFrom, ScanOffsets, ScanProgress};
use tokio_util::sync::CancellationToken;

use crate::Error;

/// A producer's clock may be this much off Redis'; records are looked for from that much earlier on.
const CLOCKS_APART_MS: i64 = 3_600_000;

/// What is wanted of the log.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these SKUs; else all.
    pub skus: Option<BTreeSet<Sku>>,
    /// Also the refusals, which are many.
    pub refusals: bool,
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Read {
    /// Records of both topics.
    pub records: u64,
    /// Records that no decoder could read; the sink has them in the dead letters.
    pub unreadable: u64,
}

impl Selection {
    /// One SKU, or all, without refusals.
    pub fn units_of(sku: Option<&Sku>) -> Self {
        Self { skus: sku.map(|sku| BTreeSet::from([sku.clone()])), refusals: false }
    }
}

#[derive(Debug, Default)]
struct Content {
    sales: HashMap<SaleId, History>,
    newest: HashMap<Sku, SaleId>,
    removed: HashMap<Sku, SaleId>,
    read: Read,
    /// Units and changes that were not known before.
    news: u64,
}

/// What the log says of the selected sales, as far as it was read.
#[derive(Debug)]
pub struct Log {
    selection: Selection,
    content: Arc<Mutex<Content>>,
    decisions: ScanFrom,
    events: ScanFrom,
    read_to: ScanOffsets,
}

/// Told how far a pass over the decisions is.
pub type Progress = Box<dyn FnMut(ScanProgress) + Send>;

impl Log {
    /// A log of which nothing was read yet.
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            content: Arc::default(),
            decisions: ScanFrom::Beginning,
            events: ScanFrom::Beginning,
            read_to: ScanOffsets::new(),
        }
    }

    /// Reads what the log holds beyond what was read before; returns how many units and changes were news.
    ///
    /// # Errors
    /// When the brokers do not answer; nothing is lost then, and the same call reads again.
    pub async fn read(&mut self, ledger: &Ledger, stop: &CancellationToken, progress: Progress) -> Result<u64, Error> {
        let before = self.with(|content| content.news);
        self.read_events(ledger, stop).await?;
        let known = self.with(|content| content.sales.len());
        let end = self.read_decisions(ledger, stop, progress).await?;
        // Decisions of sales that were not known yet were passed over; whoever reads on begins anew for them.
        self.read_events(ledger, stop).await?;
        let is_whole = self.with(|content| content.sales.len()) == known;
        self.decisions = if is_whole { ScanFrom::Offsets(end.clone()) } else { ScanFrom::Beginning };
        self.read_to = end;
        Ok(self.with(|content| content.news) - before)
    }

    /// The same for the changes of sales alone, which are few.
    ///
    /// # Errors
    /// As above.
    pub async fn read_events(&mut self, ledger: &Ledger, stop: &CancellationToken) -> Result<(), Error> {
        let decoder = ledger.decoder::<SaleEvent>().await?;
        let (content, wanted, refusals) = (self.content.clone(), self.selection.skus.clone(), self.selection.refusals);
        let take = move |_, event: Result<SaleEvent, _>| {
            let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
            content.read.records += 1;
            match event {
                Ok(event) => content.event(&event, wanted.as_ref(), refusals),
                Err(_) => content.read.unreadable += 1,
            }
        };
        let end = ledger.pass(decoder, self.events.clone(), |_| true, stop, |_| {}, take).await?;
        self.events = ScanFrom::Offsets(end);
        if self.selection.skus.is_some() && matches!(self.decisions, ScanFrom::Beginning) {
            self.decisions = self.begin();
        }
        Ok(())
    }

    async fn read_decisions(
        &self,
        ledger: &Ledger,
        stop: &CancellationToken,
        progress: Progress,
    ) -> Result<ScanOffsets, Error> {
        let decoder = ledger.decoder::<PurchaseDecision>().await?;
        let content = self.content.clone();
        let known: HashSet<SaleId> = self.with(|content| content.sales.keys().cloned().collect());
        // The key begins with the sale, so what is not wanted need not be decoded.
        let wanted = move |key: Option<&[u8]>| {
            let sale = key.and_then(|key| std::str::from_utf8(key.split(|byte| *byte == b':').next()?).ok());
            sale.is_none_or(|sale| known.contains(sale))
        };
        let mut last = None;
        let take = move |_, decision: Result<BorrowedDecision<'_>, _>| {
            let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
            content.read.records += 1;
            match decision.map(|decision| logged_after(&mut last, &decision)) {
                Ok(Some(decision)) => content.decision(decision),
                // An outcome newer than this build.
                Ok(None) => {}
                Err(_) => content.read.unreadable += 1,
            }
        };
        Ok(ledger.pass_decisions(decoder, self.decisions.clone(), wanted, stop, progress, take).await?)
    }

    /// Decisions about a sale are younger than its creation.
    fn begin(&self) -> ScanFrom {
        self.with(|content| {
            let created = content.sales.values().filter_map(|history| Some(history.changes().next()?.2.as_of)).min();
            created.map_or(ScanFrom::Beginning, |at| ScanFrom::Time(at.as_millis() - CLOCKS_APART_MS))
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Content) -> T) -> T {
        look(&mut self.content.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Up to where the decisions were read, by partition.
    pub fn decisions_read(&self) -> ScanOffsets {
        self.read_to.clone()
    }

    /// Whether refusals are read as well.
    pub fn has_refusals(&self) -> bool {
        self.selection.refusals
    }

    /// How much was read so far.
    pub fn amount(&self) -> Read {
        self.with(|content| content.read)
    }

    /// Whether no sale was ever set up.
    pub fn is_empty(&self) -> bool {
        self.with(|content| content.newest.is_empty() && content.removed.is_empty())
    }

    /// The newest sale of each SKU that is not removed.
    pub fn sales(&self) -> Vec<(Sku, SaleId)> {
        self.with(|content| content.newest.iter().map(|(sku, sale)| (sku.clone(), sale.clone())).collect())
    }

    /// The last sale of `sku` that was removed.
    pub fn removed(&self, sku: &Sku) -> Option<SaleId> {
        self.with(|content| content.removed.get(sku).cloned())
    }

    /// SKUs whose last sale was removed.
    pub fn all_removed(&self) -> Vec<(Sku, SaleId)> {
        self.with(|content| {
            let gone = content.removed.iter().filter(|(sku, _)| !content.newest.contains_key(*sku));
            gone.map(|(sku, sale)| (sku.clone(), sale.clone())).collect()
        })
    }

    /// Looks at the history of the newest sale of `sku`.
    pub fn history<T>(&self, sku: &Sku, look: impl FnOnce(&History) -> T) -> Option<T> {
        self.with(|content| {
            let sale = content.newest.get(sku)?;
            content.sales.get(sale).map(look)
        })
    }

    /// Looks at the history of a sale.
    pub fn history_of<T>(&self, sale: &SaleId, look: impl FnOnce(&History) -> T) -> Option<T> {
        self.with(|content| content.sales.get(sale).map(look))
    }
}

impl Content {
    fn event(&mut self, event: &SaleEvent, wanted: Option<&BTreeSet<Sku>>, refusals: bool) {
        if wanted.is_some_and(|skus| !skus.contains(event.sku.as_str())) {
            return;
        }
        let (Ok(sku), Ok(sale), Some(change)) =
            (Sku::new(&event.sku), SaleId::new(&event.sale_id), change_of(event.kind))
        else {
            self.read.unreadable += 1;
            return;
        };
        if change == Change::Deleted {
            let removed = self.removed.entry(sku.clone()).or_insert_with(|| sale.clone());
            *removed = (*removed).clone().max(sale.clone());
            if self.newest.get(&sku).is_some_and(|newest| *newest <= sale) {
                self.newest.remove(&sku);
            }
        }
        let Ok(status) = SaleStatus::try_from(event) else {
            self.read.unreadable += 1;
            return;
        };
        if self.removed.get(&sku).is_none_or(|removed| *removed < sale) {
            let newest = self.newest.entry(sku).or_insert_with(|| sale.clone());
            if *newest < sale {
                *newest = sale.clone();
            }
        }
        let history = self.sales.entry(sale.clone()).or_insert_with(|| match refusals {
            true => History::new(sale),
            false => History::without_refusals(sale),
        });
        let before = history.changes_seen();
        history.take_change(change, status);
        self.news += u64::from(history.changes_seen() != before);
    }

    fn decision(&mut self, decision: LoggedDecision) {
        let Some(history) = self.sales.get_mut(&decision.sale_id) else { return };
        // A refusal tells of units too: how many were sold when it was decided.
        let before = (history.sold(), history.known_sequence());
        history.take(decision);
        self.news += u64::from((history.sold(), history.known_sequence()) != before);
    }
}

fn change_of(kind: ChangeKind) -> Option<Change> {
    Some(match kind {
        ChangeKind::Created => Change::Created,
        ChangeKind::Updated => Change::Updated,
        ChangeKind::Started => Change::Started,
        ChangeKind::Paused => Change::Paused,
        ChangeKind::Resumed => Change::Resumed,
        ChangeKind::Ended => Change::Ended,
        ChangeKind::Deleted => Change::Deleted,
        ChangeKind::Unknown => return None,
    })
}

/// The decision as the domain knows it; nothing when this build does not.
pub fn logged<Text: AsRef<str>>(decision: &PurchaseDecision<Text>) -> Option<LoggedDecision> {
    logged_after(&mut None, decision)
}

/// As [`logged`] for one after the other: `last` is the sale of the one before, which most often is the same.
pub fn logged_after<Text: AsRef<str>>(
    last: &mut Option<SaleId>,
    decision: &PurchaseDecision<Text>,
) -> Option<LoggedDecision> {
    let sale_id = match last {
        Some(last) if last.as_str() == decision.sale_id.as_ref() => last.clone(),
        _ => last.insert(SaleId::new(decision.sale_id.as_ref()).ok()?).clone(),
    };
    let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    let outcome = match decision.outcome {
        Outcome::Accepted => LoggedOutcome::Accepted(count(decision.sequence)?),
        Outcome::AlreadyPurchased => LoggedOutcome::AlreadyPurchased(count(decision.sequence)),
        Outcome::SoldOut => LoggedOutcome::SoldOut,
        Outcome::SaleNotActive => LoggedOutcome::NotActive(NotActive::parse(decision.reason.as_ref()?.as_ref())?),
        Outcome::Unknown => return None,
    };
    Some(LoggedDecision {
        attempt: Attempt {
            user: UserId::new(decision.user_id.as_ref()).ok()?,
            request_id: RequestId::new(decision.request_id.as_ref()).ok()?,
        },
        sale_id,
        outcome,
        decided_at: decision.decided_at,
        as_of_sequence: count(decision.as_of_sequence),
        remaining: count(decision.remaining_stock),
    })
}
