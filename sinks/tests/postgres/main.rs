//! The Postgres sink on a real Postgres and a real broker.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod outage;
mod pipeline;
mod service;
mod sink;
mod stage;

use std::time::Duration;

use flashsale_core::{
    Micros, Receipt, RequestId, SaleId, Sku, UserId, invariants,
    invariants::{Accounts, Sold},
};
use flashsale_sinks::postgres::PostgresSink;
use flashsale_sql::{Answer, Config, Decided, Store};
use flashsale_streaming::{Batch, Entry, Partition, Position, Record, Sink, Span};

const TOPIC: &str = "decisions";
const CONSUMER: &str = "sink";
const NOW: Micros = Micros(1_795_435_200_123_987);
const PATIENCE: Duration = Duration::from_secs(30);

/// A store in a database of its own, and the address of that.
async fn store() -> (Store, String) {
    let url = flashsale_testkit::database().await;
    let store = Store::connect(&Config::new(&url)).await.unwrap();
    store.migrate().await.unwrap();
    (store, url)
}

fn sink(store: &Store) -> PostgresSink {
    PostgresSink::new(store.clone(), CONSUMER, Duration::from_secs(10))
}

fn sale() -> SaleId {
    SaleId::generate(Micros::from_millis(1_795_000_000_000), 7)
}

fn unit(sequence: u64, user: &str) -> Sold {
    Sold {
        user: UserId::new(user).unwrap(),
        request_id: RequestId::new(&format!("request-{user}")).unwrap(),
        receipt: Receipt { sale_id: sale(), sequence, decided_at: NOW },
    }
}

fn sold(sequence: u64, user: &str) -> Decided {
    Decided::Sold { sku: Sku::new("IPHONE-16").unwrap(), unit: unit(sequence, user) }
}

fn sold_out() -> Decided {
    Decided::Refused { sale_id: sale(), answer: Answer::SoldOut, decided_at: NOW }
}

fn partition(number: i32) -> Partition {
    Partition { topic: TOPIC.into(), number }
}

fn record(partition_number: i32, offset: i64, payload: Option<&[u8]>) -> Record {
    Record {
        position: Position { partition: partition(partition_number), offset },
        key: None,
        payload: payload.map(|bytes| bytes.to_vec().into()),
        headers: Vec::new(),
        timestamp_ms: 0,
    }
}

/// Adds what partition `number` brings: `items` from offset `first` on.
fn add(batch: &mut Batch<Decided>, number: i32, first: i64, items: impl IntoIterator<Item = Decided>) {
    let mut span = Span { first, next: first, ..Span::default() };
    for item in items {
        batch.entries.push(Entry { record: record(number, span.next, None), item });
        span.next += 1;
        span.consumed += 1;
    }
    batch.spans.insert(partition(number), span);
}

/// A batch of partition 0.
fn batch(first: i64, items: impl IntoIterator<Item = Decided>) -> Batch<Decided> {
    let mut batch = Batch::default();
    add(&mut batch, 0, first, items);
    batch
}

/// Applied and duplicate of partition 0.
async fn write(sink: &mut PostgresSink, batch: &Batch<Decided>) -> (u64, u64) {
    let counts = sink.write(batch).await.unwrap()[&partition(0)];
    (counts.applied, counts.duplicate)
}

/// The row of partition 0, whose numbers must add up.
async fn accounts(store: &Store) -> (i64, Accounts) {
    let row = store.offsets(CONSUMER, &[(TOPIC, 0)]).await.unwrap().remove(0);
    invariants::accounted(&row.accounts).unwrap();
    (row.next_offset, row.accounts)
}

async fn counted(store: &Store, answer: Answer) -> u64 {
    let counts = store.counts(&sale()).await.unwrap();
    counts.iter().filter(|count| count.answer == answer).map(|count| count.count).sum()
}
