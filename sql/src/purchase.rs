//! What the log became: sold units and counted answers.

use flashsale_core::{Micros, NotActive, Receipt, RequestId, SaleId, Sku, UserId, invariants::Sold};
use sqlx::{FromRow, PgExecutor, Row, postgres::PgRow};

use crate::{Error, Store, product::undecodable};

/// The answer to an attempt, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// A unit was sold.
    Accepted,
    /// The shopper held one.
    AlreadyPurchased,
    /// No unit was left.
    SoldOut,
    /// The sale took no purchases.
    NotActive(NotActive),
}

impl Answer {
    const ALL: [Self; 7] = [
        Self::Accepted,
        Self::AlreadyPurchased,
        Self::SoldOut,
        Self::NotActive(NotActive::NotStarted),
        Self::NotActive(NotActive::TimeExpired),
        Self::NotActive(NotActive::Paused),
        Self::NotActive(NotActive::SaleReplaced),
    ];

    /// The name in the column `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::AlreadyPurchased => "ALREADY_PURCHASED",
            Self::SoldOut => "SOLD_OUT",
            Self::NotActive(NotActive::NotStarted) => "SALE_NOT_ACTIVE:NOT_STARTED",
            Self::NotActive(NotActive::TimeExpired) => "SALE_NOT_ACTIVE:TIME_EXPIRED",
            Self::NotActive(NotActive::Paused) => "SALE_NOT_ACTIVE:PAUSED",
            Self::NotActive(NotActive::SaleReplaced) => "SALE_NOT_ACTIVE:SALE_REPLACED",
        }
    }

    /// The answer called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|answer| answer.as_str() == name)
    }
}

/// How often one answer was given in one second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The first instant of the second.
    pub second: Micros,
    /// The answer.
    pub answer: Answer,
    /// How often.
    pub count: u64,
}

impl FromRow<'_, PgRow> for Count {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let name: &str = row.try_get("outcome")?;
        Ok(Self {
            second: Micros::from_utc(row.try_get("second")?),
            answer: Answer::parse(name).ok_or_else(|| sqlx::Error::ColumnDecode {
                index: "outcome".into(),
                source: format!("{name:?} is no outcome").into(),
            })?,
            count: number(row, "count")?,
        })
    }
}

struct Held(Receipt);

impl FromRow<'_, PgRow> for Held {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(Receipt {
            sale_id: SaleId::new(row.try_get("sale_id")?).map_err(undecodable("sale_id"))?,
            sequence: number(row, "sequence")?,
            decided_at: Micros::from_utc(row.try_get("decided_at")?),
        }))
    }
}

/// The sold units of a sale in the order of their sequence.
pub(crate) async fn units_of(executor: impl PgExecutor<'_>, sale_id: &SaleId) -> Result<Vec<Sold>, Error> {
    sqlx::query(include_str!("../queries/purchases_of_sale.sql"))
        .bind(sale_id.as_str())
        .try_map(|row| sold(&row, sale_id.clone()))
        .fetch_all(executor)
        .await
        .map_err(Error::at("reading purchases"))
}

/// A unit of a sale that is known.
fn sold(row: &PgRow, sale_id: SaleId) -> Result<Sold, sqlx::Error> {
    let (sequence, decided_at) = (number(row, "sequence")?, Micros::from_utc(row.try_get("decided_at")?));
    Ok(Sold {
        user: UserId::new(row.try_get("user_id")?).map_err(undecodable("user_id"))?,
        request_id: RequestId::new(row.try_get("request_id")?).map_err(undecodable("request_id"))?,
        receipt: Receipt { sale_id, sequence, decided_at },
    })
}

/// A count that is never negative.
pub(crate) fn number(row: &PgRow, column: &'static str) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(undecodable(column))
}

impl Store {
    /// What a shopper holds of a SKU: of its current sale, or of the newest when there is no product.
    pub async fn receipt(&self, sku: &Sku, user: &UserId) -> Result<Option<Receipt>, Error> {
        let held: Option<Held> = sqlx::query_as(include_str!("../queries/receipt_get.sql"))
            .bind(sku.as_str())
            .bind(user.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::at("reading a receipt"))?;
        Ok(held.map(|held| held.0))
    }

    /// The sold units of a sale in the order of their sequence.
    pub async fn purchases(&self, sale_id: &SaleId) -> Result<Vec<Sold>, Error> {
        units_of(&self.pool, sale_id).await
    }

    /// When the last unit of a sale was sold.
    pub async fn last_sold(&self, sale_id: &SaleId) -> Result<Option<Micros>, Error> {
        let last: Option<time::OffsetDateTime> = sqlx::query_scalar(include_str!("../queries/purchases_last.sql"))
            .bind(sale_id.as_str())
            .fetch_one(&self.pool)
            .await
            .map_err(Error::at("reading the last purchase"))?;
        Ok(last.map(Micros::from_utc))
    }

    /// What a sale answered, by second.
    pub async fn counts(&self, sale_id: &SaleId) -> Result<Vec<Count>, Error> {
        sqlx::query_as(include_str!("../queries/counts_of_sale.sql"))
            .bind(sale_id.as_str())
            .fetch_all(&self.pool)
            .await
            .map_err(Error::at("reading counts"))
    }
}
