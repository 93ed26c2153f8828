//! The outbox: what Redis decided and the log may not have yet.

use flashsale_core::{Micros, Receipt, RequestId, SaleId, Sku, UserId, invariants::Sold};

use crate::{
    HotState, Result,
    reply::{Fields, odd},
    sale::SaleChange,
    script,
};

/// Most entries that one call settles.
pub const SETTLE_MAX: usize = 1_000;

const NAME: &str = "outbox";

/// One entry.
#[derive(Debug, Clone)]
pub struct OutboxEntry {
    /// Its id in the stream.
    pub id: String,
    /// When it was written.
    pub at: Micros,
    /// What it holds.
    pub entry: Entry,
}

/// What an entry holds.
#[derive(Debug, Clone)]
pub enum Entry {
    /// The units that one call sold.
    Sold {
        /// The ingest instance that asked.
        ingest_id: String,
        /// Units in sequence order.
        units: Vec<Sold>,
        /// Units left after the first of them.
        remaining_after_first: u64,
    },
    /// A state change.
    Change(Box<SaleChange>),
}

impl HotState {
    /// The oldest entries of a sale, at most `count`.
    pub async fn outbox(&self, sku: &Sku, count: usize) -> Result<Vec<OutboxEntry>> {
        self.outbox_after(sku, "-", count).await.map(|(entries, _)| entries)
    }

    /// At most `count` entries from `start` on, in the notation of `XRANGE`, and the id of the last one there was.
    pub(crate) async fn outbox_after(
        &self,
        sku: &Sku,
        start: &str,
        count: usize,
    ) -> Result<(Vec<OutboxEntry>, Option<String>)> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.keys.outbox(sku)).arg(start).arg("+").arg("COUNT").arg(count);
        let entries: Vec<(String, Vec<String>)> = self.link.command("read the outbox", &range).await?;
        // One entry that cannot be read must not hold up the others; it stays, and is seen in the metrics.
        let readable = entries.iter().filter_map(|(id, fields)| {
            read(sku, id, fields).map_err(|error| tracing::error!(%sku, id, %error, "unreadable outbox entry")).ok()
        });
        Ok((readable.collect(), entries.last().map(|(id, _)| id.clone())))
    }

    /// How many entries the outbox of a sale holds.
    pub async fn outbox_len(&self, sku: &Sku) -> Result<u64> {
        let mut length = redis::cmd("XLEN");
        self.link.command("measure the outbox", length.arg(self.keys.outbox(sku))).await
    }

    /// Forgets entries that the log has acknowledged; returns how many were still there.
    pub async fn settle(&self, sku: &Sku, ids: &[String]) -> Result<u64> {
        let mut settled = 0;
        for ids in ids.chunks(SETTLE_MAX) {
            settled += script::SETTLE.call::<u64>(&self.link, &self.keys.of_sale(sku), ids).await?;
        }
        Ok(settled)
    }
}

fn read(sku: &Sku, id: &str, flat: &[String]) -> Result<OutboxEntry> {
    let fields = Fields::new(NAME, flat);
    let at = Micros(fields.number("at")?);
    let entry = match fields.text("t")? {
        "e" => Entry::Change(Box::new(SaleChange::read(NAME, sku, id, flat)?)),
        "d" => {
            let sale_id = fields.parse("sale", |id| SaleId::new(id).ok())?;
            let first: u64 = fields.number("first")?;
            let (users, requests) = (fields.text("users")?.split('\n'), fields.text("requests")?.split('\n'));
            let count: usize = fields.number("n")?;
            let units: Vec<Sold> = (first..)
                .zip(users.zip(requests))
                .take(count)
                .map(|(sequence, (user, request))| {
                    Ok(Sold {
                        user: UserId::new(user).map_err(|error| odd(NAME, error))?,
                        request_id: RequestId::new(request).map_err(|error| odd(NAME, error))?,
                        receipt: Receipt { sale_id: sale_id.clone(), sequence, decided_at: at },
                    })
                })
                .collect::<Result<_>>()?;
            if units.len() != count {
                return Err(odd(NAME, format!("{} units, but n says otherwise", units.len())));
            }
            let remaining_after_first = fields.number("left")?;
            Entry::Sold { ingest_id: fields.text("by")?.to_owned(), units, remaining_after_first }
        }
        other => return Err(odd(NAME, format!("entry of type `{other}`"))),
    };
    Ok(OutboxEntry { id: id.to_owned(), at, entry })
}
