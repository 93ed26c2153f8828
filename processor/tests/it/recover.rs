//! Recovery by hand, on a Redis of its own that is emptied.

use flashsale_core::{SaleConfig, Sku};
use flashsale_lua::HotState;
use flashsale_processor::recover::{self, Error, Recovery};
use flashsale_testkit::{Private, private_redis, wait_until};
use tokio_util::sync::CancellationToken;

use crate::{PATIENCE, Shop};

/// A shop with two sales, ten units of each sold and in the log, on a Redis of its own.
async fn two_sales() -> (Private, Shop, [SaleConfig; 2]) {
    let server = private_redis().await;
    let shop = Shop::open_on(server.url()).await;
    let (stop, task) = shop.processor();
    let sales = [shop.sale("A", 50, -1_000, 600_000).await, shop.sale("B", 50, -1_000, 600_000).await];
    for sale in &sales {
        shop.decide_and_die(sale, 0..10).await;
    }
    wait_until(PATIENCE, "the log to have all", async || shop.decisions.lock().unwrap().len() >= 20).await;
    for sale in &sales {
        wait_until(PATIENCE, "the outbox to be empty", async || shop.hot.outbox_len(&sale.sku).await.unwrap() == 0)
            .await;
    }
    stop.cancel();
    task.await.unwrap();
    (server, shop, sales)
}

fn recovery(shop: &Shop) -> Recovery {
    let config = recover::Config { in_flight_ms: 0, ..recover::Config::default() };
    Recovery::new(&config, &shop.hot, shop.ledger.clone())
}

async fn flush(server: &Private) {
    let command = std::process::Command::new("redis-cli").args(["-u", server.url(), "FLUSHALL"]).output().unwrap();
    assert!(command.status.success());
}

async fn sold(hot: &HotState, sku: &Sku) -> Option<(u64, usize)> {
    hot.whole(sku).await.unwrap().map(|sale| (sale.stock, sale.buyers.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn f_6_who_recovers_one_sale_of_a_server_that_was_not_verified_recovers_all() {
    let (server, shop, [a, b]) = two_sales().await;
    flush(&server).await;
    let summary = recovery(&shop).run(Some(&a.sku), &CancellationToken::new()).await.unwrap();
    assert_eq!(summary.repairs.len(), 2, "opening vouches for the other sale too");
    for sale in [&a, &b] {
        assert_eq!(sold(&shop.hot, &sale.sku).await, Some((40, 10)), "{}", sale.sku);
    }
    assert!(shop.hot.fence().await.unwrap().verified);

    // Verified now: one is enough, and one that does not exist is said to be none.
    let summary = recovery(&shop).run(Some(&a.sku), &CancellationToken::new()).await.unwrap();
    assert!(summary.repairs.is_empty());
    let unknown = recovery(&shop).run(Some(&Sku::new("NONE").unwrap()), &CancellationToken::new()).await;
    assert!(matches!(unknown, Err(Error::Unknown(_))), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_32_a_recovery_cuts_off_its_own_process_too() {
    let (server, shop, [a, _]) = two_sales().await;
    // This connection was verified, and would sell on a server that was emptied under it.
    assert!(shop.hot.is_open());
    flush(&server).await;
    let claim = shop.hot.apart().claim("by hand").await.unwrap().unwrap();
    claim.close().await.unwrap();
    wait_until(PATIENCE, "the edge of the same process to be closed", async || {
        matches!(shop.hot.transition(&a.sku).await, Err(flashsale_lua::Error::Closed))
    })
    .await;
    claim.abandon().await.unwrap();
}
