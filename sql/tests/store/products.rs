use flashsale_core::{Challenge, SaleConfig, Sku, UserId};
use flashsale_sql::{Applied, Apply, Entry, InsertError, Read, Store};

use crate::{config, sale, sku, sold, store, unit};

/// Puts units of sale 1 and 2 to partition 0, offsets from 0.
async fn sell(store: &Store, units: &[(u64, u64, &str)]) {
    let decided: Vec<_> = units.iter().map(|(sale, sequence, user)| sold(*sale, *sequence, user)).collect();
    let consumed = units.len() as u64;
    let next = i64::try_from(consumed).unwrap();
    let batch = Apply {
        reads: vec![Read { topic: "t", partition: 0, next, consumed, rejected: 0, skipped: 0 }],
        entries: (0..)
            .zip(&decided)
            .map(|(offset, decided)| Entry { read: 0, offset, decided, origin: None })
            .collect(),
    };
    assert_eq!(store.apply("c", &batch).await.unwrap(), Applied::Written(vec![(consumed, 0)]));
}

#[tokio::test]
async fn a_product_is_stored_changed_and_never_overwritten() {
    let store = store().await;
    assert_eq!(store.product(&sku()).await.unwrap(), None);
    let product = store.insert_product(&config(1)).await.unwrap();
    assert_eq!(product.config, config(1));
    assert_eq!(store.product(&sku()).await.unwrap(), Some(product.clone()));
    let again = store.insert_product(&config(2)).await;
    assert!(matches!(again, Err(InsertError::Exists)), "{again:?}");

    let challenge = Challenge::ProofOfWork;
    let change = SaleConfig { product_name: "Tablet".into(), initial_stock: 7, challenge, ..config(1) };
    let changed = store.update_product(&change).await.unwrap().unwrap();
    assert_eq!((&changed.config, changed.created_at), (&change, product.created_at));
    assert!(changed.updated_at > product.updated_at);
    assert_eq!(store.update_product(&config(2)).await.unwrap(), None, "another sale");
}

#[tokio::test]
async fn products_are_listed_by_sku_in_pages() {
    let store = store().await;
    for (number, name) in (0..).zip(["C", "A", "B"]) {
        store.insert_product(&SaleConfig { sku: Sku::new(name).unwrap(), ..config(number) }).await.unwrap();
    }
    let names = async |limit, offset| {
        let page = store.products(limit, offset).await.unwrap();
        page.into_iter().map(|product| product.config.sku.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(2, 0).await, ["A", "B"]);
    assert_eq!(names(2, 2).await, ["C"]);
}

#[tokio::test]
async fn a_deleted_product_takes_its_purchases_along_and_no_others() {
    let store = store().await;
    store.insert_product(&config(1)).await.unwrap();
    sell(&store, &[(1, 1, "ann"), (1, 2, "bob"), (2, 1, "ann")]).await;
    assert_eq!(store.delete_product(&sku()).await.unwrap().unwrap().config, config(1));
    assert_eq!(store.delete_product(&sku()).await.unwrap(), None);
    assert!(store.purchases(&sale(1)).await.unwrap().is_empty());
    assert!(store.counts(&sale(1)).await.unwrap().is_empty());
    assert_eq!(store.purchases(&sale(2)).await.unwrap(), [unit(2, 1, "ann")]);
    assert_eq!(store.counts(&sale(2)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn pr_8_a_receipt_is_that_of_the_current_sale_and_has_the_same_number() {
    let store = store().await;
    sell(&store, &[(1, 1, "ann"), (2, 5, "ann"), (1, 2, "bob")]).await;
    let receipt = async |user: &str| store.receipt(&sku(), &UserId::new(user).unwrap()).await.unwrap();
    assert_eq!(receipt("ann").await, Some(unit(2, 5, "ann").receipt), "the newest");
    assert_eq!(receipt("bob").await, Some(unit(1, 2, "bob").receipt));
    assert_eq!(receipt("eve").await, None);
    store.insert_product(&config(2)).await.unwrap();
    let held = receipt("ann").await.unwrap();
    assert_eq!(held.number(), unit(2, 5, "ann").receipt.number());
    assert_eq!(receipt("bob").await, None, "a unit of an earlier sale");
}
