//! Products: the sale configuration, of which Postgres is the authority.

use flashsale_core::{Challenge, Micros, SaleConfig, SaleId, Sku};
use sqlx::{FromRow, Row, postgres::PgRow};

use crate::{Error, Store};

/// A product as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// What the administrator set.
    pub config: SaleConfig,
    /// When it was stored first.
    pub created_at: Micros,
    /// When it was changed last.
    pub updated_at: Micros,
}

/// Why a product was not stored.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// There is one of this SKU, which is never overwritten.
    #[error("the SKU exists")]
    Exists,
    /// Postgres refused, or did not answer.
    #[error(transparent)]
    Store(#[from] Error),
}

impl FromRow<'_, PgRow> for Product {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let time = |column| row.try_get(column).map(Micros::from_utc);
        Ok(Self {
            config: SaleConfig {
                sale_id: SaleId::new(row.try_get("sale_id")?).map_err(undecodable("sale_id"))?,
                sku: Sku::new(row.try_get("sku")?).map_err(undecodable("sku"))?,
                product_name: row.try_get("product_name")?,
                initial_stock: u64::try_from(row.try_get::<i64, _>("initial_stock")?)
                    .map_err(undecodable("initial_stock"))?,
                start: time("start_time")?,
                end: time("end_time")?,
                challenge: challenge(row.try_get("challenge")?)?,
            },
            created_at: time("created_at")?,
            updated_at: time("updated_at")?,
        })
    }
}

fn challenge(name: &str) -> Result<Challenge, sqlx::Error> {
    let unknown = || std::io::Error::other(format!("this version knows no challenge {name}"));
    Challenge::parse(name).ok_or_else(unknown).map_err(undecodable("challenge"))
}

/// A column that holds what our types do not allow.
pub(crate) fn undecodable<E>(column: &'static str) -> impl FnOnce(E) -> sqlx::Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| sqlx::Error::ColumnDecode { index: column.into(), source: source.into() }
}

/// Counts are far below the limit; what is not fails its CHECK instead of being stored as something else.
pub(crate) fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(-1)
}

impl Store {
    /// Stores a new product.
    pub async fn insert_product(&self, config: &SaleConfig) -> Result<Product, InsertError> {
        self.write_product(include_str!("../queries/product_insert.sql"), config, "inserting a product")
            .await?
            .ok_or(InsertError::Exists)
    }

    /// Changes the configuration of a sale; none when its SKU is gone or sold by another sale meanwhile.
    pub async fn update_product(&self, config: &SaleConfig) -> Result<Option<Product>, Error> {
        self.write_product(include_str!("../queries/product_update.sql"), config, "updating a product").await
    }

    async fn write_product(
        &self,
        query: &'static str,
        config: &SaleConfig,
        doing: &'static str,
    ) -> Result<Option<Product>, Error> {
        let SaleConfig { sale_id, sku, product_name, initial_stock, start, end, challenge } = config;
        sqlx::query_as(query)
            .bind(sku.as_str())
            .bind(sale_id.as_str())
            .bind(product_name)
            .bind(bigint(*initial_stock))
            .bind(start.to_utc())
            .bind(end.to_utc())
            .bind(challenge.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::at(doing))
    }

    /// Removes a product with the purchases and counts of its sale; returns what it was, if it was.
    pub async fn delete_product(&self, sku: &Sku) -> Result<Option<Product>, Error> {
        sqlx::query_as(include_str!("../queries/product_delete.sql"))
            .bind(sku.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::at("deleting a product"))
    }

    /// The product of a SKU.
    pub async fn product(&self, sku: &Sku) -> Result<Option<Product>, Error> {
        sqlx::query_as(include_str!("../queries/product_get.sql"))
            .bind(sku.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(Error::at("reading a product"))
    }

    /// Products in the order of their SKUs.
    pub async fn products(&self, limit: u32, offset: u32) -> Result<Vec<Product>, Error> {
        sqlx::query_as(include_str!("../queries/product_list.sql"))
            .bind(i64::from(limit))
            .bind(i64::from(offset))
            .fetch_all(&self.pool)
            .await
            .map_err(Error::at("listing products"))
    }
}
