use std::time::Duration;

use flashsale_core::invariants::{self, Accounts};
use flashsale_sinks::postgres::PostgresSink;
use flashsale_sql::{Answer, Config, Decided, Store};
use flashsale_streaming::{Batch, Sink, WriteError};

use crate::{accounts, add, batch, counted, partition, sale, sink, sold, sold_out, store, unit, write};

/// What the pipeline does with poison: it goes to the dead letters, its neighbours stay.
fn bury(batch: &mut Batch<Decided>, error: WriteError) -> Vec<(usize, &'static str)> {
    let WriteError::Poison(mut poison) = error else { panic!("{error:?}") };
    poison.sort_by_key(|(index, _)| *index);
    for (index, _) in poison.iter().rev() {
        let entry = batch.entries.remove(*index);
        batch.spans.get_mut(&entry.record.position.partition).unwrap().rejected += 1;
    }
    poison.into_iter().map(|(index, rejection)| (index, rejection.class)).collect()
}

#[tokio::test]
async fn i_4_i_5_a_batch_of_several_partitions_is_in_postgres_as_it_was_in_the_log() {
    let (store, _) = store().await;
    let mut both = batch(100, [sold(3, "eve"), sold_out(), sold(1, "ann")]);
    add(&mut both, 5, 40, [sold(2, "bob"), sold_out()]);
    let written = sink(&store).write(&both).await.unwrap();
    assert_eq!((written[&partition(0)].applied, written[&partition(5)].applied), (3, 2));
    let log = [unit(1, "ann"), unit(2, "bob"), unit(3, "eve")];
    let rows = store.purchases(&sale()).await.unwrap();
    assert_eq!(rows, log);
    invariants::nothing_lost(&log, &rows).unwrap();
    invariants::nothing_invented(&rows, &log).unwrap();
    assert_eq!(counted(&store, Answer::Accepted).await, 3);
    assert_eq!(counted(&store, Answer::SoldOut).await, 2);
    let next = sink(&store).resume(&[partition(0), partition(5), partition(9)]).await.unwrap();
    assert_eq!([next[&partition(0)], next[&partition(5)], next[&partition(9)]], [103, 42, 0]);
}

#[tokio::test]
async fn f_15_what_was_committed_in_postgres_only_is_read_again_without_effect() {
    let (store, _) = store().await;
    assert_eq!(write(&mut sink(&store), &batch(0, [sold(1, "ann"), sold_out()])).await, (2, 0));
    // The next instance reads on from before, together with something new, over a gap in the offsets.
    let mut again = batch(0, [sold(1, "ann"), sold_out()]);
    let mut more = batch(7, [sold(2, "bob"), sold(1, "ann")]);
    again.entries.append(&mut more.entries);
    let span = again.spans.get_mut(&partition(0)).unwrap();
    (span.next, span.consumed) = (9, 4);
    assert_eq!(write(&mut sink(&store), &again).await, (1, 3));
    assert_eq!(counted(&store, Answer::SoldOut).await, 1);
    assert_eq!(counted(&store, Answer::Accepted).await, 2);
    let expected = Accounts { consumed: 6, applied: 3, duplicate: 3, ..Accounts::default() };
    assert_eq!(accounts(&store).await, (9, expected));
}

#[tokio::test]
async fn a_batch_without_entries_moves_the_offset_and_keeps_its_accounts() {
    let (store, _) = store().await;
    let mut empty = batch(0, []);
    let span = empty.spans.get_mut(&partition(0)).unwrap();
    (span.next, span.consumed, span.rejected, span.skipped) = (5, 5, 2, 3);
    assert_eq!(write(&mut sink(&store), &empty).await, (0, 0));
    let expected = Accounts { consumed: 5, rejected: 2, skipped: 3, ..Accounts::default() };
    assert_eq!(accounts(&store).await, (5, expected));
}

#[tokio::test]
async fn i_4_a_unit_that_contradicts_a_stored_one_is_poison_alone() {
    let (store, _) = store().await;
    let mut sink = sink(&store);
    write(&mut sink, &batch(0, [sold(1, "ann")])).await;
    let mut next = batch(1, [sold(2, "bob"), sold(1, "eve"), sold(1, "ann"), sold(3, "ann")]);
    let error = sink.write(&next).await.unwrap_err();
    assert_eq!(accounts(&store).await.0, 1, "nothing is written");
    assert_eq!(bury(&mut next, error), [(1, "conflict"), (3, "conflict")]);
    assert_eq!(write(&mut sink, &next).await, (1, 1));
    assert_eq!(store.purchases(&sale()).await.unwrap(), [unit(1, "ann"), unit(2, "bob")]);
    let expected = Accounts { consumed: 5, applied: 2, duplicate: 1, rejected: 2, skipped: 0 };
    assert_eq!(accounts(&store).await, (5, expected));
}

#[tokio::test]
async fn f_21_one_bad_row_of_500_goes_alone() {
    let (store, _) = store().await;
    let mut sink = sink(&store);
    // No unit has the number 0: a CHECK refuses it.
    let items = (1..=500).map(|n| sold(if n == 317 { 0 } else { n }, &format!("u{n}")));
    let mut whole = batch(0, items);
    let error = sink.write(&whole).await.unwrap_err();
    assert!(store.purchases(&sale()).await.unwrap().is_empty(), "nothing is written");
    assert_eq!(bury(&mut whole, error), [(316, "constraint")]);
    assert_eq!(write(&mut sink, &whole).await, (499, 0));
    let expected = Accounts { consumed: 500, applied: 499, duplicate: 0, rejected: 1, skipped: 0 };
    assert_eq!(accounts(&store).await, (500, expected));
}

#[tokio::test]
async fn f_21_bad_rows_of_all_sorts_are_found_in_one_go() {
    let (store, _) = store().await;
    let mut sink = sink(&store);
    write(&mut sink, &batch(0, [sold(1, "ann")])).await;
    let items = [sold(0, "bad"), sold_out(), sold(2, "bob"), sold(1, "eve"), sold(0, "worse")];
    let mut next = batch(1, items);
    let error = sink.write(&next).await.unwrap_err();
    assert_eq!(bury(&mut next, error), [(0, "constraint"), (3, "conflict"), (4, "constraint")]);
    assert_eq!(write(&mut sink, &next).await, (2, 0));
}

#[tokio::test]
async fn without_postgres_nothing_is_resumed_and_nothing_written() {
    let store = Store::lazy(&Config::new("postgres://nobody@127.0.0.1:1/nothing")).unwrap();
    let mut sink = PostgresSink::new(store, "c", Duration::from_secs(5));
    assert!(sink.resume(&[partition(0)]).await.unwrap_err().starts_with("postgres: reading offsets: "));
    let failed = sink.write(&batch(0, [sold(1, "ann")])).await;
    assert!(matches!(&failed, Err(WriteError::Fail(_))), "{failed:?}");
}
