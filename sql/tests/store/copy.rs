//! Batches that are large enough to be copied come out as if they had been inserted one by one.

use flashsale_core::{SaleId, UserId, invariants::Sold};
use flashsale_sql::{Applied, Apply, Decided, Entry, Fault, Read, Store};
use sqlx::{Connection, PgConnection};

use crate::{sale, sku, store, unit};

const MANY: u64 = 100;

fn batch(first: i64, decided: &[Decided]) -> Apply<'_> {
    let consumed = decided.len() as u64;
    let next = first + i64::try_from(consumed).unwrap();
    let entries = (first..).zip(decided);
    Apply {
        reads: vec![Read { topic: "t", partition: 0, next, consumed, rejected: 0, skipped: 0 }],
        entries: entries.map(|(offset, decided)| Entry { read: 0, offset, decided, origin: None }).collect(),
    }
}

/// Names with everything that some form of a row would have to escape.
fn user(number: u64) -> String {
    let odd = ["\\", "\\N", "\\.", "'\"", ",", "\u{a0}x", "ä€😀", "NULL"];
    format!("{}-{number}", odd[usize::try_from(number).unwrap() % odd.len()])
}

fn bought(sale_number: u64, sequence: u64) -> Sold {
    Sold { user: UserId::new(&user(sequence)).unwrap(), ..unit(sale_number, sequence, &sequence.to_string()) }
}

fn decided(unit: Sold) -> Decided {
    Decided::Sold { sku: sku(), unit }
}

fn units(sale_number: u64) -> Vec<Decided> {
    (1..=MANY).rev().map(|n| decided(bought(sale_number, n))).collect()
}

async fn stored(store: &Store, sale: &SaleId) -> Vec<Sold> {
    store.purchases(sale).await.unwrap()
}

#[tokio::test]
async fn units_are_the_same_copied_and_inserted() {
    let url = flashsale_testkit::database().await;
    let store = Store::connect(&flashsale_sql::Config::new(&url)).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.apply("c", &batch(0, &units(1))).await.unwrap(), Applied::Written(vec![(MANY, 0)]));
    for (one, offset) in units(2).iter().zip(i64::try_from(MANY).unwrap()..) {
        store.apply("c", &batch(offset, std::slice::from_ref(one))).await.unwrap();
    }
    let expected: Vec<Sold> = (1..=MANY).map(|n| bought(1, n)).collect();
    assert_eq!(stored(&store, &sale(1)).await, expected);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let differing: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM purchases a FULL JOIN purchases b ON a.sequence = b.sequence AND b.sale_id = $2 \
         WHERE a.sale_id = $1 AND (a.user_id, a.sku, a.request_id, a.decided_at, replace(a.purchase_no, $1, $2)) \
         IS DISTINCT FROM (b.user_id, b.sku, b.request_id, b.decided_at, b.purchase_no)",
    )
    .bind(sale(1).as_str())
    .bind(sale(2).as_str())
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(differing, 0);
}

#[tokio::test]
async fn i_4_a_large_batch_with_units_that_are_there_adds_the_others() {
    let store = store().await;
    store.apply("c", &batch(0, &[decided(bought(1, 7))])).await.unwrap();
    let mut repeated = units(1);
    repeated.push(decided(bought(1, 9)));
    assert_eq!(store.probe("c", &batch(1, &repeated)).await.unwrap(), Applied::Written(vec![(MANY - 1, 2)]));
    assert_eq!(store.apply("c", &batch(1, &repeated)).await.unwrap(), Applied::Written(vec![(MANY - 1, 2)]));
    assert_eq!(stored(&store, &sale(1)).await.len() as u64, MANY);
}

#[tokio::test]
async fn i_2_a_large_batch_with_a_second_unit_for_a_shopper_names_it_and_writes_nothing() {
    let store = store().await;
    let mut units = units(1);
    units.push(decided(Sold { user: bought(1, 5).user, ..bought(1, MANY + 1) }));
    let applied = store.apply("c", &batch(0, &units)).await.unwrap();
    let Applied::Conflicts(conflicts) = applied else { panic!("{applied:?}") };
    assert_eq!(conflicts.iter().map(|conflict| conflict.entry as u64).collect::<Vec<_>>(), [MANY]);
    assert!(stored(&store, &sale(1)).await.is_empty());
}

#[tokio::test]
async fn f_19_a_large_batch_with_a_unit_that_no_table_takes_is_the_fault_of_the_data() {
    let store = store().await;
    let mut units = units(1);
    let mut beyond = bought(1, MANY + 1);
    beyond.receipt.sequence = u64::MAX;
    units.push(decided(beyond));
    let error = store.apply("c", &batch(0, &units)).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Data);
    assert!(stored(&store, &sale(1)).await.is_empty());
    units.pop();
    assert_eq!(store.apply("c", &batch(0, &units)).await.unwrap(), Applied::Written(vec![(MANY, 0)]));
}
