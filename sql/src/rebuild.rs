//! The view of a sale, made anew from the log.

use flashsale_core::{Micros, SaleId, Sku, invariants::Sold};
use sqlx::{Postgres, Transaction};

use crate::{
    Count, Error, Store,
    apply::{self, Read},
    product::bigint,
    purchase::units_of,
};

/// Units that are inserted at once.
const INSERT_MAX: usize = 5_000;

/// A transaction that holds a consumer's offsets: nobody writes further while it lasts. Dropped, it changes nothing.
#[derive(Debug)]
pub struct Held {
    transaction: Transaction<'static, Postgres>,
    offsets: Vec<i64>,
}

impl Store {
    /// Holds the offsets of `consumer` in these partitions of `topic`.
    pub async fn hold_offsets(&self, consumer: &str, topic: &str, partitions: &[i32]) -> Result<Held, Error> {
        let mut transaction = self.pool.begin().await.map_err(Error::at("beginning a rebuild"))?;
        let reads: Vec<Read<'_>> = partitions
            .iter()
            .map(|partition| Read { topic, partition: *partition, next: 0, consumed: 0, rejected: 0, skipped: 0 })
            .collect();
        let places = apply::lock(&mut transaction, consumer, &reads).await?;
        let offsets = places.iter().map(|place| place.next.max(place.counted)).collect();
        Ok(Held { transaction, offsets })
    }
}

impl Held {
    /// Up to where each partition was ever written, in the order in which they were named. A consumer that was put
    /// back goes over some of it again, without effect.
    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    /// What the view says of a sale now.
    pub async fn view_of(&mut self, sale: &SaleId) -> Result<(Vec<Sold>, Vec<Count>), Error> {
        let units = units_of(&mut *self.transaction, sale).await?;
        let counts: Vec<Count> = sqlx::query_as(include_str!("../queries/counts_of_sale.sql"))
            .bind(sale.as_str())
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(Error::at("reading counts"))?;
        Ok((units, counts))
    }

    /// Replaces what the view says of a sale. Visible to others once committed.
    pub async fn replace(&mut self, sku: &Sku, sale: &SaleId, units: &[Sold], counts: &[Count]) -> Result<(), Error> {
        for delete in [include_str!("../queries/purchases_delete.sql"), include_str!("../queries/counts_delete.sql")] {
            sqlx::query(delete)
                .bind(sale.as_str())
                .execute(&mut *self.transaction)
                .await
                .map_err(Error::at("emptying a view"))?;
        }
        for units in units.chunks(INSERT_MAX) {
            let column = |value: fn(&Sold) -> &str| -> Vec<&str> { units.iter().map(value).collect() };
            sqlx::query(include_str!("../queries/purchases_insert.sql"))
                .bind(column(|unit| unit.receipt.sale_id.as_str()))
                .bind(units.iter().map(|unit| bigint(unit.receipt.sequence)).collect::<Vec<_>>())
                .bind(column(|unit| unit.user.as_str()))
                .bind(vec![sku.as_str(); units.len()])
                .bind(units.iter().map(|unit| unit.receipt.number()).collect::<Vec<_>>())
                .bind(column(|unit| unit.request_id.as_str()))
                .bind(units.iter().map(|unit| unit.receipt.decided_at.to_utc()).collect::<Vec<_>>())
                .execute(&mut *self.transaction)
                .await
                .map_err(Error::at("writing purchases anew"))?;
        }
        let second = |count: &Count| Micros(count.second.0).to_utc();
        sqlx::query(include_str!("../queries/counts_insert.sql"))
            .bind(sale.as_str())
            .bind(counts.iter().map(second).collect::<Vec<_>>())
            .bind(counts.iter().map(|count| count.answer.as_str()).collect::<Vec<_>>())
            .bind(counts.iter().map(|count| bigint(count.count)).collect::<Vec<_>>())
            .execute(&mut *self.transaction)
            .await
            .map(drop)
            .map_err(Error::at("writing counts anew"))
    }

    /// Notes refusals that are counted now although they are dead letters, by where they stand: sent again, they count
    /// nothing more.
    pub async fn note_counted(&mut self, origins: &[String]) -> Result<(), Error> {
        sqlx::query(include_str!("../queries/redriven_insert.sql"))
            .bind(origins)
            .execute(&mut *self.transaction)
            .await
            .map(drop)
            .map_err(Error::at("noting what is counted"))
    }

    /// Notes that everything before the offsets of `consumer` is counted now, also what it was made to leave out.
    pub async fn all_counted(&mut self, consumer: &str, topic: &str) -> Result<(), Error> {
        sqlx::query(include_str!("../queries/offsets_counted.sql"))
            .bind(consumer)
            .bind(topic)
            .execute(&mut *self.transaction)
            .await
            .map(drop)
            .map_err(Error::at("noting what is counted"))
    }

    /// Makes it so.
    pub async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await.map_err(Error::at("committing a rebuild"))
    }
}
