use std::time::Duration;

use flashsale_core::invariants::Accounts;
use flashsale_sinks::postgres::PostgresSink;
use flashsale_sql::{Answer, Store};
use flashsale_streaming::{Sink, WriteError};
use flashsale_testkit::wait_until;
use sqlx::{Connection, PgConnection};

use crate::{CONSUMER, PATIENCE, accounts, batch, counted, partition, sale, sink, sold, sold_out, store, write};

/// Keeps every insert into `purchases` waiting until it is closed.
async fn block(url: &str) -> PgConnection {
    let mut blocker = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE purchases IN EXCLUSIVE MODE").execute(&mut blocker).await.unwrap();
    blocker
}

#[tokio::test]
async fn f_19_a_connection_cut_within_a_batch_is_a_failure_and_the_retry_counts_once() {
    let (store, url) = store().await;
    let mut sink = sink(&store);
    write(&mut sink, &batch(0, [sold_out()])).await;
    let items = || (1..=100).map(|n| sold(n, &format!("u{n}"))).chain([sold_out()]);

    let mut blocker = block(&url).await;
    let cut = tokio::spawn({
        let mut sink = sink.clone();
        async move { sink.write(&batch(1, items())).await }
    });
    // It waits within its transaction, offsets locked, for the table.
    wait_until(PATIENCE, "the copy to be cut", async || {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, bool>(cut).fetch_optional(&mut blocker).await.unwrap().unwrap_or(false)
    })
    .await;
    let failed = cut.await.unwrap();
    assert!(
        matches!(&failed, Err(WriteError::Fail(reason)) if reason.starts_with("postgres: copying purchases: ")),
        "{failed:?}"
    );
    blocker.close().await.unwrap();

    assert_eq!(accounts(&store).await.0, 1, "nothing was written");
    assert_eq!(write(&mut sink, &batch(1, items())).await, (101, 0));
    assert_eq!(store.purchases(&sale()).await.unwrap().len(), 100);
    assert_eq!(counted(&store, Answer::Accepted).await, 100);
    assert_eq!(counted(&store, Answer::SoldOut).await, 2);
    let expected = Accounts { consumed: 102, applied: 102, ..Accounts::default() };
    assert_eq!(accounts(&store).await, (102, expected));
}

#[tokio::test]
async fn f_19_a_postgres_that_hangs_is_given_up_in_time() {
    // One is inserted, many are copied.
    for count in [1, 100] {
        let (store, url) = store().await;
        let items = || (1..=count).map(|n| sold(n, &format!("u{n}")));
        let mut hasty = PostgresSink::new(store.clone(), CONSUMER, Duration::from_millis(200));
        let blocker = block(&url).await;
        let failed = hasty.write(&batch(0, items())).await;
        assert!(matches!(&failed, Err(WriteError::Fail(reason)) if reason.contains("200ms")), "{failed:?}");
        blocker.close().await.unwrap();
        // Whether the first try went in after all is unknown to the sink, and does not matter.
        let (applied, duplicate) = write(&mut sink(&store), &batch(0, items())).await;
        assert_eq!(applied + duplicate, count);
        assert_eq!(store.purchases(&sale()).await.unwrap().len() as u64, count);
        assert_eq!(counted(&store, Answer::Accepted).await, count);
    }
}

#[tokio::test]
async fn f_19_a_copy_that_is_given_up_leaves_no_connection_that_answers_the_question_before() {
    let (_, url) = store().await;
    let mut config = flashsale_sql::Config::new(&url);
    config.pool_max = 1;
    let store = Store::connect(&config).await.unwrap();
    let items = |sequences: std::ops::RangeInclusive<u64>| sequences.map(|n| sold(n, &format!("u{n}")));
    // Somebody is about to insert the last unit: the rows are sent, and Postgres waits before it says so.
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
    sqlx::query("INSERT INTO purchases VALUES ($1, 100, 'somebody', 'IPHONE-16', 'P', 'r', now())")
        .bind(sale().as_str())
        .execute(&mut other)
        .await
        .unwrap();
    let mut hasty = PostgresSink::new(store.clone(), CONSUMER, Duration::from_millis(500));
    let failed = hasty.write(&batch(0, items(1..=100))).await;
    assert!(matches!(&failed, Err(WriteError::Fail(reason)) if reason.contains("500ms")), "{failed:?}");
    other.close().await.unwrap();

    let mut sink = sink(&store);
    assert_eq!(write(&mut sink, &batch(0, items(1..=100))).await, (100, 0));
    assert_eq!(write(&mut sink, &batch(100, items(101..=200))).await, (100, 0));
    assert_eq!(sink.resume(&[partition(0)]).await.unwrap()[&partition(0)], 200);
    assert_eq!(store.purchases(&sale()).await.unwrap().len(), 200);
}
