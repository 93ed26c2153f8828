//! Many units at once: `COPY` in PostgreSQL's binary format, which takes no look at what is there but for the indexes.
//!
//! The format: <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4>.

use flashsale_core::{Micros, Sku, invariants::Sold};
use sqlx::{Postgres, Transaction};

use crate::{Error, product::bigint};

/// Below so many units the two round trips of a `COPY` cost more than they save.
pub(crate) const UNITS_MIN: usize = 32;

const COPY: &str = include_str!("../queries/purchases_copy.sql");
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Neither flags nor an extension of the header.
const NOTHING: [u8; 8] = [0; 8];
const COLUMNS: i16 = 7;
const END: i16 = -1;
/// About what a unit takes: for the buffer.
const UNIT_BYTES: usize = 192;
/// From 1970, where our times begin, to 2000, where those of PostgreSQL do.
const EPOCH_US: i64 = 946_684_800_000_000;

/// Writes units of which none may be there.
///
/// By a task of its own, which ends also when nobody waits any more: a connection that is let go in the middle of a
/// `COPY` goes back to the pool with an answer of Postgres unread, and takes it for that to the next question.
///
/// # Errors
/// Of [`crate::Fault::Data`] when one is there already, or cannot be stored; the transaction is taken back then.
pub(crate) async fn copy<'a>(
    mut transaction: Transaction<'static, Postgres>,
    units: impl ExactSizeIterator<Item = (&'a Sku, &'a Sold)>,
) -> Result<Transaction<'static, Postgres>, Error> {
    let rows = encode(units);
    let copying = tokio::spawn(async move {
        let mut copy = transaction.copy_in_raw(COPY).await?;
        copy.send(rows).await?;
        copy.finish().await?;
        Ok(transaction)
    });
    // Gone only when it panicked, or with the runtime.
    let copied = copying.await.unwrap_or(Err(sqlx::Error::WorkerCrashed));
    copied.map_err(Error::at("copying purchases"))
}

fn encode<'a>(units: impl ExactSizeIterator<Item = (&'a Sku, &'a Sold)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(SIGNATURE.len() + NOTHING.len() + units.len() * UNIT_BYTES);
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&NOTHING);
    for (sku, unit) in units {
        let receipt = &unit.receipt;
        out.extend_from_slice(&COLUMNS.to_be_bytes());
        field(&mut out, receipt.sale_id.as_str().as_bytes());
        field(&mut out, &bigint(receipt.sequence).to_be_bytes());
        field(&mut out, unit.user.as_str().as_bytes());
        field(&mut out, sku.as_str().as_bytes());
        field(&mut out, receipt.number().as_bytes());
        field(&mut out, unit.request_id.as_str().as_bytes());
        field(&mut out, &time(receipt.decided_at).to_be_bytes());
    }
    out.extend_from_slice(&END.to_be_bytes());
    out
}

fn field(out: &mut Vec<u8>, value: &[u8]) {
    // An id is at most a kilobyte.
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value);
}

/// As far as the calendar goes, like the times that are inserted.
fn time(at: Micros) -> i64 {
    Micros::from_utc(at.to_utc()).0.saturating_sub(EPOCH_US)
}
