//! The store against a real Postgres, each test in a database of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod apply;
mod copy;
mod indexes;
mod products;
mod statements;
mod tls;

use flashsale_core::{Challenge, Micros, Receipt, RequestId, SaleConfig, SaleId, Sku, UserId, invariants::Sold};
use flashsale_sql::{Config, Decided, Store};

const NOW: Micros = Micros(1_795_435_200_123_987);

async fn store() -> Store {
    let store = Store::connect(&Config::new(flashsale_testkit::database().await)).await.unwrap();
    store.migrate().await.unwrap();
    store
}

fn sale(number: u64) -> SaleId {
    SaleId::generate(Micros::from_millis(1_795_000_000_000), number)
}

fn sku() -> Sku {
    Sku::new("IPHONE-16").unwrap()
}

fn config(sale_number: u64) -> SaleConfig {
    SaleConfig {
        sale_id: sale(sale_number),
        sku: sku(),
        product_name: "Phone".into(),
        initial_stock: 100,
        start: Micros::from_millis(1_795_435_200_000),
        end: Micros::from_millis(1_795_438_800_000),
        challenge: Challenge::None,
    }
}

fn unit(sale_number: u64, sequence: u64, user: &str) -> Sold {
    let decided_at = Micros(NOW.0 + i64::try_from(sequence).unwrap());
    Sold {
        user: UserId::new(user).unwrap(),
        request_id: RequestId::new(&format!("request-{user}")).unwrap(),
        receipt: Receipt { sale_id: sale(sale_number), sequence, decided_at },
    }
}

fn sold(sale_number: u64, sequence: u64, user: &str) -> Decided {
    Decided::Sold { sku: sku(), unit: unit(sale_number, sequence, user) }
}
