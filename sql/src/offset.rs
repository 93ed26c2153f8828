//! How far consumers got.

use flashsale_core::invariants::Accounts;
use sqlx::{FromRow, Row, postgres::PgRow};

use crate::{Error, Store, purchase::number};

/// How far a consumer got in one partition, and what became of what it read there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The first offset that is not done.
    pub next_offset: i64,
    /// All it ever read: what it read twice around a lost connection counts twice, as duplicate.
    pub accounts: Accounts,
}

impl FromRow<'_, PgRow> for Offset {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            topic: row.try_get("topic")?,
            partition: row.try_get("partition")?,
            next_offset: row.try_get("next_offset")?,
            accounts: Accounts {
                consumed: number(row, "consumed")?,
                applied: number(row, "applied")?,
                duplicate: number(row, "duplicate")?,
                rejected: number(row, "rejected")?,
                skipped: number(row, "skipped")?,
            },
        })
    }
}

impl Store {
    /// Puts `consumer` elsewhere: topic, partition and the first offset to be done. It must not run meanwhile. What it
    /// goes over again has no effect; what it leaves out is not written.
    pub async fn set_offsets(&self, consumer: &str, next: &[(&str, i32, i64)]) -> Result<(), Error> {
        sqlx::query(include_str!("../queries/offsets_set.sql"))
            .bind(consumer)
            .bind(next.iter().map(|(topic, ..)| *topic).collect::<Vec<_>>())
            .bind(next.iter().map(|(_, partition, _)| *partition).collect::<Vec<_>>())
            .bind(next.iter().map(|(.., offset)| *offset).collect::<Vec<_>>())
            .execute(&self.pool)
            .await
            .map(drop)
            .map_err(Error::at("putting a consumer elsewhere"))
    }

    /// How far `consumer` got in these partitions (topic and number); those it never wrote are absent.
    pub async fn offsets(&self, consumer: &str, partitions: &[(&str, i32)]) -> Result<Vec<Offset>, Error> {
        let (topics, numbers): (Vec<&str>, Vec<i32>) = partitions.iter().copied().unzip();
        sqlx::query_as(include_str!("../queries/offsets_get.sql"))
            .bind(consumer)
            .bind(topics)
            .bind(numbers)
            .fetch_all(&self.pool)
            .await
            .map_err(Error::at("reading offsets"))
    }
}
