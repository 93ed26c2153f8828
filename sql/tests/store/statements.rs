use std::{fs, path::Path};

use flashsale_core::{Receipt, RequestId, UserId, invariants::Sold};
use flashsale_sql::{Config, Fault, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};

use crate::{NOW, sale};

#[tokio::test]
async fn every_query_is_one_that_postgres_understands() {
    let url = flashsale_testkit::database().await;
    Store::connect(&Config::new(&url)).await.unwrap().migrate().await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut seen = 0;
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("queries")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let prepared = (&mut connection).prepare(AssertSqlSafe(text).into_sql_str()).await;
        assert!(prepared.is_ok(), "{}: {:?}", path.display(), prepared.err());
        seen += 1;
    }
    assert!(seen > 10, "the queries are elsewhere");
}

#[tokio::test]
async fn migrations_that_run_at_once_wait_for_each_other() {
    let url = flashsale_testkit::database().await;
    let stores = [(); 3].map(|()| Store::lazy(&Config::new(&url)).unwrap());
    let [a, b, c] = stores.each_ref().map(Store::migrate);
    let (a, b, c) = tokio::join!(a, b, c);
    for migrated in [a, b, c] {
        migrated.unwrap();
    }
    stores[0].migrate().await.unwrap();
}

#[tokio::test]
async fn im_1_the_tables_themselves_refuse_what_cannot_be() {
    let url = flashsale_testkit::database().await;
    let store = Store::connect(&Config::new(&url)).await.unwrap();
    store.migrate().await.unwrap();
    for stock in [0, u64::MAX] {
        let config = flashsale_core::SaleConfig { initial_stock: stock, ..crate::config(1) };
        let error = store.insert_product(&config).await.unwrap_err();
        let flashsale_sql::InsertError::Store(error) = error else { panic!("{error:?}") };
        assert_eq!(error.fault(), Fault::Data);
    }
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut insert = async |Sold { user, request_id, receipt }: Sold| {
        sqlx::query("INSERT INTO purchases VALUES ($1, $2, $3, 'A', $4, $5, $6)")
            .bind(receipt.sale_id.as_str())
            .bind(i64::try_from(receipt.sequence).unwrap())
            .bind(user.as_str())
            .bind(receipt.number())
            .bind(request_id.as_str())
            .bind(receipt.decided_at.to_utc())
            .execute(&mut connection)
            .await
    };
    let unit = |sequence, user: &str| Sold {
        user: UserId::new(user).unwrap(),
        request_id: RequestId::new("r").unwrap(),
        receipt: Receipt { sale_id: sale(1), sequence, decided_at: NOW },
    };
    insert(unit(1, "ann")).await.unwrap();
    for (constraint, bad) in [
        ("purchases_pkey", unit(1, "bob")),
        ("purchases_user_id_sale_id_key", unit(2, "ann")),
        ("purchases_sequence_check", unit(0, "eve")),
    ] {
        let error = insert(bad).await.unwrap_err();
        let broken = error.as_database_error().and_then(|refusal| refusal.constraint());
        assert_eq!(broken, Some(constraint), "{error}");
    }
}
