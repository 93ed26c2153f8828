//! What comparisons of the stores found, and rows that are put back.

use flashsale_core::{Micros, Sku, invariants::Sold};
use sqlx::{FromRow, Row, postgres::PgRow};

use crate::{Error, Store, product::bigint, purchase::number};

/// Units that are put back at once.
const RESTORE_MAX: usize = 1_000;

/// One finished comparison of one sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciliation {
    /// The run, which compared several sales.
    pub run_id: String,
    /// The sale.
    pub sale_id: String,
    /// Its SKU.
    pub sku: String,
    /// When it was finished.
    pub finished_at: Micros,
    /// `DRY_RUN` or `REPAIR`.
    pub mode: String,
    /// What set it off.
    pub trigger: String,
    /// Units compared.
    pub compared: u64,
    /// Discrepancies found.
    pub found: u64,
    /// Of these, repaired.
    pub repaired: u64,
    /// The discrepancies as a JSON array; at most as many as were listed.
    pub discrepancies: String,
}

impl FromRow<'_, PgRow> for Reconciliation {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            run_id: row.try_get("run_id")?,
            sale_id: row.try_get("sale_id")?,
            sku: row.try_get("sku")?,
            finished_at: Micros::from_utc(row.try_get("finished_at")?),
            mode: row.try_get("mode")?,
            trigger: row.try_get("trigger")?,
            compared: number(row, "compared")?,
            found: number(row, "found")?,
            repaired: number(row, "repaired")?,
            discrepancies: row.try_get("discrepancies")?,
        })
    }
}

impl Store {
    /// Keeps what a comparison found; the same one again changes nothing.
    pub async fn insert_reconciliation(&self, found: &Reconciliation) -> Result<(), Error> {
        sqlx::query(include_str!("../queries/reconciliation_insert.sql"))
            .bind(&found.run_id)
            .bind(&found.sale_id)
            .bind(&found.sku)
            .bind(found.finished_at.to_utc())
            .bind(&found.mode)
            .bind(&found.trigger)
            .bind(bigint(found.compared))
            .bind(bigint(found.found))
            .bind(bigint(found.repaired))
            .bind(&found.discrepancies)
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(Error::at("keeping a reconciliation"))
    }

    /// The newest comparisons, of one SKU or of all.
    pub async fn reconciliations(&self, sku: Option<&Sku>, limit: u32) -> Result<Vec<Reconciliation>, Error> {
        sqlx::query_as(include_str!("../queries/reconciliations_list.sql"))
            .bind(sku.map(Sku::as_str))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::at("reading reconciliations"))
    }

    /// Puts units back that the log has and the table lost; returns how many were not there.
    pub async fn restore_purchases(&self, sku: &Sku, units: &[Sold]) -> Result<u64, Error> {
        let mut restored = 0;
        for units in units.chunks(RESTORE_MAX) {
            let column = |value: fn(&Sold) -> &str| -> Vec<&str> { units.iter().map(value).collect() };
            let count: i64 = sqlx::query_scalar(include_str!("../queries/purchases_restore.sql"))
                .bind(column(|unit| unit.receipt.sale_id.as_str()))
                .bind(units.iter().map(|unit| bigint(unit.receipt.sequence)).collect::<Vec<_>>())
                .bind(column(|unit| unit.user.as_str()))
                .bind(vec![sku.as_str(); units.len()])
                .bind(units.iter().map(|unit| unit.receipt.number()).collect::<Vec<_>>())
                .bind(column(|unit| unit.request_id.as_str()))
                .bind(units.iter().map(|unit| unit.receipt.decided_at.to_utc()).collect::<Vec<_>>())
                .fetch_one(&self.pool)
                .await
                .map_err(Error::at("putting purchases back"))?;
            restored += u64::try_from(count).unwrap_or(0);
        }
        Ok(restored)
    }
}
