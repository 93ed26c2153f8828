use flashsale_core::{Micros, NotActive, SaleId, invariants, invariants::Accounts};
use flashsale_sql::{Answer, Applied, Apply, Config, Decided, Entry, Fault, Read, Store};
use sqlx::{Connection, PgConnection};

use crate::{NOW, sale, sold, store, unit};

/// A batch of one partition whose records are all entries.
fn batch<'a>(partition: i32, first: i64, decided: &'a [Decided]) -> Apply<'a> {
    let consumed = decided.len() as u64;
    let next = first + i64::try_from(consumed).unwrap();
    Apply {
        reads: vec![Read { topic: "t", partition, next, consumed, rejected: 0, skipped: 0 }],
        entries: (first..)
            .zip(decided)
            .map(|(offset, decided)| Entry { read: 0, offset, decided, origin: None })
            .collect(),
    }
}

fn refused(answer: Answer) -> Decided {
    Decided::Refused { sale_id: sale(1), answer, decided_at: NOW }
}

async fn accounts(store: &Store) -> (i64, Accounts) {
    let offset = store.offsets("c", &[("t", 0)]).await.unwrap().remove(0);
    invariants::accounted(&offset.accounts).unwrap();
    (offset.next_offset, offset.accounts)
}

async fn counted(store: &Store, sale_id: &SaleId) -> Vec<(Answer, u64)> {
    store.counts(sale_id).await.unwrap().into_iter().map(|count| (count.answer, count.count)).collect()
}

#[tokio::test]
async fn i_10_units_counts_and_offsets_are_written_together() {
    let store = store().await;
    let decided = [
        sold(1, 2, "bob"),
        sold(1, 1, "ann"),
        refused(Answer::SoldOut),
        refused(Answer::SoldOut),
        refused(Answer::NotActive(NotActive::Paused)),
    ];
    let mut batch = batch(0, 10, &decided);
    batch.reads[0].consumed += 3;
    batch.reads[0].rejected = 1;
    batch.reads[0].skipped = 2;
    assert_eq!(store.probe("c", &batch).await.unwrap(), Applied::Written(vec![(5, 0)]));
    assert!(store.offsets("c", &[("t", 0)]).await.unwrap().is_empty(), "a probe leaves nothing");
    assert_eq!(store.apply("c", &batch).await.unwrap(), Applied::Written(vec![(5, 0)]));
    assert_eq!(store.purchases(&sale(1)).await.unwrap(), [unit(1, 1, "ann"), unit(1, 2, "bob")]);
    let expected = [(Answer::Accepted, 2), (Answer::NotActive(NotActive::Paused), 1), (Answer::SoldOut, 2)];
    assert_eq!(counted(&store, &sale(1)).await, expected);
    assert_eq!(store.counts(&sale(1)).await.unwrap()[0].second, Micros(NOW.0 / 1_000_000 * 1_000_000));
    let all = Accounts { consumed: 8, applied: 5, duplicate: 0, rejected: 1, skipped: 2 };
    assert_eq!(accounts(&store).await, (15, all));
}

#[tokio::test]
async fn f_15_a_batch_written_twice_has_the_effect_of_once() {
    let store = store().await;
    let decided = [sold(1, 1, "ann"), refused(Answer::SoldOut)];
    assert_eq!(store.apply("c", &batch(0, 0, &decided)).await.unwrap(), Applied::Written(vec![(2, 0)]));
    assert_eq!(store.apply("c", &batch(0, 0, &decided)).await.unwrap(), Applied::Written(vec![(0, 2)]));
    assert_eq!(counted(&store, &sale(1)).await, [(Answer::Accepted, 1), (Answer::SoldOut, 1)]);
    assert_eq!(accounts(&store).await, (2, Accounts { consumed: 4, applied: 2, duplicate: 2, ..Accounts::default() }));
}

#[tokio::test]
async fn i_4_units_that_the_log_repeats_are_duplicates_also_within_a_batch() {
    let store = store().await;
    let decided = [sold(1, 1, "ann"), sold(1, 2, "bob"), sold(1, 1, "ann")];
    assert_eq!(store.apply("c", &batch(0, 0, &decided)).await.unwrap(), Applied::Written(vec![(2, 1)]));
    let repeated = [sold(1, 2, "bob"), sold(1, 3, "eve"), sold(1, 3, "eve"), sold(1, 1, "ann")];
    assert_eq!(store.apply("c", &batch(0, 3, &repeated)).await.unwrap(), Applied::Written(vec![(1, 3)]));
    assert_eq!(counted(&store, &sale(1)).await, [(Answer::Accepted, 3)]);
    let all = [unit(1, 1, "ann"), unit(1, 2, "bob"), unit(1, 3, "eve")];
    assert_eq!(store.purchases(&sale(1)).await.unwrap(), all);
    assert_eq!(accounts(&store).await.0, 7);
}

#[tokio::test]
async fn i_5_a_zombie_adds_only_what_nobody_wrote() {
    let store = store().await;
    let decided: Vec<_> = (0..6).map(|_| refused(Answer::SoldOut)).collect();
    store.apply("c", &batch(0, 0, &decided[..4])).await.unwrap();
    // It still holds offsets 2 to 5 from before it was stopped.
    assert_eq!(store.apply("c", &batch(0, 2, &decided[2..])).await.unwrap(), Applied::Written(vec![(2, 2)]));
    // And then wakes up with an even older batch.
    assert_eq!(store.apply("c", &batch(0, 0, &decided[..2])).await.unwrap(), Applied::Written(vec![(0, 2)]));
    assert_eq!(counted(&store, &sale(1)).await, [(Answer::SoldOut, 6)]);
    assert_eq!(accounts(&store).await.0, 6, "the offset never goes back");
    // Another consumer and another partition are not concerned.
    assert_eq!(store.apply("d", &batch(0, 0, &decided[..1])).await.unwrap(), Applied::Written(vec![(1, 0)]));
    assert_eq!(store.apply("c", &batch(1, 0, &decided[..1])).await.unwrap(), Applied::Written(vec![(1, 0)]));
}

#[tokio::test]
async fn i_5_writers_of_the_same_records_at_once_have_the_effect_of_one() {
    let store = store().await;
    let decided: Vec<_> =
        (1..=50).flat_map(|n| [sold(1, n, &format!("u{n}")), refused(Answer::AlreadyPurchased)]).collect();
    let writers: Vec<_> = (0..6)
        .map(|_| {
            let (store, decided) = (store.clone(), decided.clone());
            tokio::spawn(async move { store.apply("c", &batch(0, 0, &decided)).await.unwrap() })
        })
        .collect();
    let mut results = Vec::new();
    for writer in writers {
        let Applied::Written(by_partition) = writer.await.unwrap() else { panic!("no conflict here") };
        results.extend(by_partition);
    }
    results.sort_unstable();
    assert_eq!(results, [(0, 100), (0, 100), (0, 100), (0, 100), (0, 100), (100, 0)]);
    assert_eq!(counted(&store, &sale(1)).await, [(Answer::Accepted, 50), (Answer::AlreadyPurchased, 50)]);
}

#[tokio::test]
async fn i_4_what_contradicts_a_stored_unit_is_named_and_nothing_is_written() {
    let store = store().await;
    store.apply("c", &batch(0, 0, &[sold(1, 1, "ann")])).await.unwrap();
    let mut moved = unit(1, 1, "ann");
    moved.receipt.decided_at.0 += 1;
    let moved = Decided::Sold { sku: crate::sku(), unit: moved };
    let decided =
        [sold(1, 2, "bob"), sold(1, 1, "eve"), sold(1, 1, "ann"), sold(1, 3, "ann"), sold(1, 4, "bob"), moved];
    let applied = store.apply("c", &batch(0, 1, &decided)).await.unwrap();
    let Applied::Conflicts(mut conflicts) = applied else { panic!("{applied:?}") };
    conflicts.sort_by_key(|conflict| conflict.entry);
    let named: Vec<_> = conflicts.iter().map(|conflict| conflict.entry).collect();
    assert_eq!(named, [1, 3, 4, 5]);
    assert!(conflicts[0].stored.starts_with("unit 1 of ann by request request-ann at "), "{conflicts:?}");
    assert!(conflicts[1].stored.starts_with("unit 1 of ann"), "a second unit: {conflicts:?}");
    assert!(conflicts[2].stored.starts_with("unit 2 of bob"), "{conflicts:?}");
    assert_eq!(store.purchases(&sale(1)).await.unwrap(), [unit(1, 1, "ann")]);
    assert_eq!(accounts(&store).await.0, 1);
}

#[tokio::test]
async fn what_an_index_of_other_hands_refuses_is_named_too() {
    let url = flashsale_testkit::database().await;
    let store = Store::connect(&Config::new(&url)).await.unwrap();
    store.migrate().await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let theirs = "CREATE UNIQUE INDEX theirs ON purchases (request_id)";
    sqlx::raw_sql(theirs).execute(&mut connection).await.unwrap();
    store.apply("c", &batch(0, 0, &[sold(1, 1, "ann")])).await.unwrap();
    let applied = store.apply("c", &batch(0, 1, &[sold(2, 1, "ann")])).await.unwrap();
    let Applied::Conflicts(conflicts) = applied else { panic!("{applied:?}") };
    assert!(conflicts[0].stored.starts_with("no unit in its place"), "{conflicts:?}");
    assert!(store.purchases(&sale(2)).await.unwrap().is_empty());
}

#[tokio::test]
async fn f_21_a_value_that_no_column_takes_is_the_fault_of_the_data() {
    let store = store().await;
    let error = store.apply("c", &batch(0, 0, &[sold(1, 1, "ann"), sold(1, 0, "bob")])).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Data, "{}", error.chain());
    assert!(store.purchases(&sale(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn f_24_a_consumer_that_is_put_back_counts_nothing_twice() {
    let store = store().await;
    let decided = [sold(1, 1, "ann"), refused(Answer::SoldOut), refused(Answer::SoldOut)];
    store.apply("c", &batch(0, 0, &decided)).await.unwrap();
    store.set_offsets("c", &[("t", 0, 0)]).await.unwrap();
    assert_eq!(store.apply("c", &batch(0, 0, &decided[..2])).await.unwrap(), Applied::Written(vec![(0, 2)]));
    let more = [refused(Answer::SoldOut), refused(Answer::SoldOut), sold(1, 2, "bob")];
    assert_eq!(store.apply("c", &batch(0, 2, &more)).await.unwrap(), Applied::Written(vec![(2, 1)]));
    assert_eq!(counted(&store, &sale(1)).await, [(Answer::Accepted, 2), (Answer::SoldOut, 3)]);
    assert_eq!(accounts(&store).await.0, 5);
    // Forward, also in a partition that was never written.
    store.set_offsets("c", &[("t", 0, 9), ("t", 1, 4)]).await.unwrap();
    assert_eq!(accounts(&store).await.0, 9);
    assert_eq!(store.offsets("c", &[("t", 1)]).await.unwrap()[0].next_offset, 4);
}

#[tokio::test]
async fn f_25_a_refusal_that_is_sent_again_twice_counts_once() {
    let store = store().await;
    let decided = [refused(Answer::SoldOut), refused(Answer::SoldOut), refused(Answer::SoldOut)];
    let mut again = batch(0, 0, &decided);
    for (entry, origin) in again.entries.iter_mut().zip(["t[0]@7", "t[0]@7", "t[0]@8"]) {
        entry.origin = Some(origin.to_owned());
    }
    assert_eq!(store.probe("c", &again).await.unwrap(), Applied::Written(vec![(2, 1)]));
    assert_eq!(store.apply("c", &again).await.unwrap(), Applied::Written(vec![(2, 1)]));
    let mut later = batch(0, 3, &decided[..1]);
    later.entries[0].origin = Some("t[0]@8".to_owned());
    assert_eq!(store.apply("c", &later).await.unwrap(), Applied::Written(vec![(0, 1)]));
    assert_eq!(counted(&store, &sale(1)).await, [(Answer::SoldOut, 2)]);
}
