//! The view made anew: what the log says up to where the sink has written replaces what Postgres says.
//!
//! hold the sink's offsets → read the log up to them → replace rows and counts of each sale → commit, all in one
//! transaction. The sink waits meanwhile and goes on behind it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use flashsale_core::{Micros, SaleId, Sku, UserId, invariants::Sold};
use flashsale_ledger::{BorrowedDecision, Ledger, SINK_POSTGRES};
use flashsale_schemas::{Topic, events::PurchaseDecision};
use flashsale_sql::{Answer, Count, Decided, Held, Store};
use flashsale_streaming::{Record, ScanFrom, ScanProgress, origin_of, read_all};
use tokio_util::sync::CancellationToken;

use super::{Error, stage::decided};

/// What became, or would become, of the view of one sale.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// The SKU.
    pub sku: Sku,
    /// The sale.
    pub sale_id: SaleId,
    /// Units before.
    pub rows_before: u64,
    /// Units after.
    pub rows_after: u64,
    /// Units that were missing or told differently.
    pub added: u64,
    /// Units that the log does not know, or tells differently.
    pub removed: u64,
    /// Attempts counted before.
    pub counted_before: u64,
    /// Attempts counted after.
    pub counted_after: u64,
    /// Whether any second was counted differently.
    pub counts_differ: bool,
}

impl Rebuilt {
    /// Whether the view was right.
    pub fn is_unchanged(&self) -> bool {
        self.added == 0 && self.removed == 0 && !self.counts_differ
    }
}

/// One sale as the log tells it.
#[derive(Default)]
struct Sale {
    sku: Option<Sku>,
    units: BTreeMap<u64, Sold>,
    counts: HashMap<(i64, Answer), u64>,
}

#[derive(Default)]
struct Sales {
    sales: HashMap<SaleId, Sale>,
    /// Where refusals stood first that are dead letters, and counted here.
    counted_letters: Vec<String>,
}

impl Sales {
    fn take(&mut self, decided: Decided, sku: &str) {
        let (sale, at, answer) = match decided {
            Decided::Sold { sku, unit } => {
                let (id, sequence) = (unit.receipt.sale_id.clone(), unit.receipt.sequence);
                let (sale, at) = (self.sales.entry(id).or_default(), unit.receipt.decided_at);
                sale.sku = Some(sku);
                if sale.units.contains_key(&sequence) {
                    return;
                }
                sale.units.insert(sequence, unit);
                (sale, at, Answer::Accepted)
            }
            Decided::Refused { sale_id, answer, decided_at } => {
                let sale = self.sales.entry(sale_id).or_default();
                if sale.sku.is_none() {
                    sale.sku = Sku::new(sku).ok();
                }
                (sale, decided_at, answer)
            }
        };
        *sale.counts.entry((at.0.div_euclid(1_000_000), answer)).or_default() += 1;
    }
}

impl Sale {
    /// Keeps what the view has and the log has not: its records may have expired.
    fn keep(&mut self, rows: &[Sold], counted: &[Count]) {
        let users: HashSet<UserId> = self.units.values().map(|unit| unit.user.clone()).collect();
        for row in rows.iter().filter(|row| !users.contains(&row.user)) {
            self.units.entry(row.receipt.sequence).or_insert_with(|| row.clone());
        }
        for count in counted {
            let known = self.counts.entry((count.second.0.div_euclid(1_000_000), count.answer)).or_default();
            *known = count.count.max(*known);
        }
    }

    fn counts(&self) -> Vec<Count> {
        let count = |(&(second, answer), &count): (&(i64, Answer), &u64)| Count {
            second: Micros(second.saturating_mul(1_000_000)),
            answer,
            count,
        };
        let mut counts: Vec<Count> = self.counts.iter().map(count).collect();
        counts.sort_by_key(|count| (count.second, count.answer.as_str()));
        counts
    }
}

/// Makes the view of one SKU, or of all, anew; `dry_run` only says what would change. Sales that the log does not
/// know are left alone, and once records have expired nothing is taken out that the log does not contradict.
///
/// # Errors
/// When the log or Postgres do not answer; nothing has changed then.
pub async fn rebuild(
    ledger: &Ledger,
    store: &Store,
    sku: Option<&Sku>,
    dry_run: bool,
    progress: impl FnMut(ScanProgress) + Send + 'static,
    stop: &CancellationToken,
) -> Result<Vec<Rebuilt>, Error> {
    let topic = ledger.topic(Topic::PurchaseDecisions);
    let beginnings = flashsale_streaming::partitions(ledger.streaming(), topic).await?;
    let expired = beginnings.values().any(|first| *first > 0);
    let partitions: Vec<i32> = beginnings.into_keys().collect();
    let mut held = store.hold_offsets(&ledger.group(SINK_POSTGRES), topic, &partitions).await?;
    let ends: HashMap<i32, i64> = partitions.iter().copied().zip(held.offsets().iter().copied()).collect();
    let letters = letters(ledger, topic, stop).await?;
    let sales = Arc::new(Mutex::new(Sales::default()));
    let decoder = ledger.decoder::<PurchaseDecision>().await?;
    let (into, wanted) = (sales.clone(), sku.cloned());
    let take = move |place: flashsale_ledger::Place, decision: Result<BorrowedDecision<'_>, _>| {
        let written = ends.get(&place.partition).is_some_and(|end| place.offset < *end);
        // What cannot be read, or used, is in the dead letters.
        let (true, Ok(decision)) = (written, decision) else { return };
        if wanted.as_ref().is_some_and(|sku| sku.as_str() != decision.sku) {
            return;
        }
        if let Ok(Some(decided)) = decided(&decision) {
            let is_refusal = matches!(decided, Decided::Refused { .. });
            // The record as it came first is counted.
            if place.redriven && is_refusal {
                return;
            }
            let mut sales = into.lock().unwrap_or_else(PoisonError::into_inner);
            let origin = letters.get(&(place.partition, place.offset)).filter(|_| is_refusal);
            sales.counted_letters.extend(origin.cloned());
            sales.take(decided, &decision.sku);
        }
    };
    ledger.pass_decisions(decoder, ScanFrom::Beginning, |_| true, stop, progress, take).await?;
    let Sales { sales, counted_letters } = std::mem::take(&mut *sales.lock().unwrap_or_else(PoisonError::into_inner));
    let mut rebuilt = Vec::new();
    for (sale_id, sale) in sales {
        rebuilt.extend(replace(&mut held, &sale_id, sale, expired, dry_run).await?);
    }
    if !dry_run {
        held.note_counted(&counted_letters).await?;
        if sku.is_none() {
            held.all_counted(&ledger.group(SINK_POSTGRES), topic).await?;
        }
        held.commit().await?;
    }
    rebuilt.sort_by(|one, other| (&one.sku, &one.sale_id).cmp(&(&other.sku, &other.sale_id)));
    Ok(rebuilt)
}

/// The dead letters by where they stood in `topic` last, each with where it stood first.
async fn letters(
    ledger: &Ledger,
    topic: &str,
    stop: &CancellationToken,
) -> Result<HashMap<(i32, i64), String>, flashsale_streaming::Error> {
    let (config, topic, stop) = (ledger.streaming().clone(), topic.to_owned(), stop.clone());
    let dlq: Arc<str> = ledger.topic(Topic::PurchaseDecisionsDlq).into();
    let reading = tokio::task::spawn_blocking(move || {
        let mut letters = HashMap::new();
        read_all(&config, &dlq, &stop, &mut |record| {
            let letter = record.to_record(&dlq);
            if let Some((place, origin)) = stood_at(&letter, &topic).zip(origin_of(&letter)) {
                letters.insert(place, origin);
            }
        })?;
        Ok(letters)
    });
    reading.await.map_err(|error| flashsale_streaming::Error::Stopped(format!("reading dead letters: {error}")))?
}

/// Where the record of a letter stood in `topic`.
fn stood_at(letter: &Record, topic: &str) -> Option<(i32, i64)> {
    let header = |name: &str| {
        let (_, value) = letter.headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value).ok()
    };
    header("dlq.topic").filter(|of| *of == topic)?;
    Some((header("dlq.partition")?.parse().ok()?, header("dlq.offset")?.parse().ok()?))
}

fn same_counts(mut stored: Vec<Count>, made: &[Count]) -> bool {
    stored.sort_by_key(|count| (count.second, count.answer.as_str()));
    stored == made
}

async fn replace(
    held: &mut Held,
    sale_id: &SaleId,
    mut sale: Sale,
    expired: bool,
    dry_run: bool,
) -> Result<Option<Rebuilt>, Error> {
    let Some(sku) = sale.sku.clone() else { return Ok(None) };
    let (before, counted) = held.view_of(sale_id).await?;
    if expired {
        sale.keep(&before, &counted);
    }
    let units: Vec<Sold> = sale.units.values().cloned().collect();
    let counts = sale.counts();
    let known: HashSet<&Sold> = before.iter().collect();
    let wanted: HashSet<&Sold> = units.iter().collect();
    let rebuilt = Rebuilt {
        sku: sku.clone(),
        sale_id: sale_id.clone(),
        rows_before: before.len() as u64,
        rows_after: units.len() as u64,
        added: units.iter().filter(|unit| !known.contains(unit)).count() as u64,
        removed: before.iter().filter(|unit| !wanted.contains(unit)).count() as u64,
        counted_before: counted.iter().map(|count| count.count).sum(),
        counted_after: counts.iter().map(|count| count.count).sum(),
        counts_differ: !same_counts(counted, &counts),
    };
    if !dry_run && !rebuilt.is_unchanged() {
        held.replace(&sku, sale_id, &units, &counts).await?;
    }
    Ok(Some(rebuilt))
}
