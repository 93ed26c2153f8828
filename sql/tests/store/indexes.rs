//! What the indexes of `purchases` are for. Each costs an insertion a unit, so there are two.

use flashsale_core::invariants::Sold;
use flashsale_sql::{Config, Store};
use sqlx::{Connection, PgConnection};

use crate::{NOW, sale, sku, unit};

const INDEXES: [&str; 2] = [
    "CREATE UNIQUE INDEX purchases_pkey ON public.purchases USING btree (sale_id, sequence)",
    "CREATE UNIQUE INDEX purchases_user_id_sale_id_key ON public.purchases USING btree (user_id, sale_id)",
];

async fn migrated() -> PgConnection {
    let url = flashsale_testkit::database().await;
    Store::connect(&Config::new(&url)).await.unwrap().migrate().await.unwrap();
    PgConnection::connect(&url).await.unwrap()
}

/// Ten thousand units of one sale: too many to be read for one of them.
async fn fill(connection: &mut PgConnection) {
    let filled = sqlx::query(
        "INSERT INTO purchases (sale_id, sequence, user_id, sku, purchase_no, request_id, decided_at) \
         SELECT $1, n, 'user-' || n, $2, 'PUR-20261123-' || $1 || '-' || lpad(n::text, 6, '0'), 'request-' || n, $3 \
         FROM generate_series(1, 10000) AS n",
    )
    .bind(sale(1).as_str())
    .bind(sku().as_str())
    .bind(NOW.to_utc())
    .execute(connection)
    .await
    .unwrap();
    assert_eq!(filled.rows_affected(), 10_000);
}

async fn indexes(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT indexdef FROM pg_indexes WHERE tablename = 'purchases' ORDER BY indexname")
        .fetch_all(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_unit_is_inserted_into_two_indexes() {
    let mut connection = migrated().await;
    assert_eq!(indexes(&mut connection).await, INDEXES);
}

#[tokio::test]
async fn a_table_with_units_gets_the_same_indexes_also_where_one_was_built_before() {
    let built = "CREATE UNIQUE INDEX CONCURRENTLY purchases_user_id_sale_id_key ON purchases (user_id, sale_id)";
    for before in [None, Some(built)] {
        let mut connection = PgConnection::connect(&flashsale_testkit::database().await).await.unwrap();
        sqlx::raw_sql(include_str!("../../migrations/0001_initial.sql")).execute(&mut connection).await.unwrap();
        fill(&mut connection).await;
        assert_eq!(indexes(&mut connection).await.len(), 4, "of old");
        if let Some(statement) = before {
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        }
        let migration = include_str!("../../migrations/0005_fewer_indexes.sql");
        sqlx::raw_sql(migration).execute(&mut connection).await.unwrap();
        assert_eq!(indexes(&mut connection).await, INDEXES, "{before:?}");
    }
}

#[tokio::test]
async fn receipts_conflicts_and_receipt_numbers_are_looked_up_by_an_index() {
    let mut connection = migrated().await;
    fill(&mut connection).await;
    sqlx::raw_sql("ANALYZE purchases").execute(&mut connection).await.unwrap();
    let Sold { user, request_id, receipt } = unit(1, 7, "user-7");
    let sku = sku();
    let plans: [(&str, Vec<String>); 3] = [
        (
            "purchases_user_id_sale_id_key",
            sqlx::query_scalar(concat!("EXPLAIN ", include_str!("../../queries/receipt_get.sql")))
                .bind(sku.as_str())
                .bind(user.as_str())
                .fetch_all(&mut connection)
                .await
                .unwrap(),
        ),
        (
            // The rows that either index names.
            "BitmapOr",
            sqlx::query_scalar(concat!("EXPLAIN ", include_str!("../../queries/purchases_compare.sql")))
                .bind(vec![receipt.sale_id.as_str()])
                .bind(vec![7_i64])
                .bind(vec![user.as_str()])
                .bind(vec![sku.as_str()])
                .bind(vec![receipt.number()])
                .bind(vec![request_id.as_str()])
                .bind(vec![receipt.decided_at.to_utc()])
                .fetch_all(&mut connection)
                .await
                .unwrap(),
        ),
        (
            "purchases_pkey",
            // As docs/analysts.md says.
            sqlx::query_scalar(
                "EXPLAIN SELECT purchases.* FROM purchases JOIN (VALUES ($1)) AS asked (number) \
                 ON sale_id = split_part(number, '-', 3) AND sequence = split_part(number, '-', 4)::bigint \
                 AND purchase_no = number",
            )
            .bind(receipt.number())
            .fetch_all(&mut connection)
            .await
            .unwrap(),
        ),
    ];
    for (part, plan) in plans {
        let plan = plan.join("\n");
        assert!(plan.contains(part) && !plan.contains("Seq Scan on purchases"), "not by {part}:\n{plan}");
    }
}
