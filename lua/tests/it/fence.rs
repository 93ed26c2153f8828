//! The fence: a server that was not verified decides nothing, and a recovery has it to itself.

use std::time::Duration;

use flashsale_core::{EndReason, RequestId, SaleState, SaleStatus, UserId, comparison::HotSale};
use flashsale_lua::{Config, Error, HotState, RestoredBatch};
use flashsale_testkit::{Private, private_redis, wait_until};

use crate::{attempt, sale};

async fn connect(server: &Private) -> HotState {
    let config = Config { response_timeout: Duration::from_secs(10), ..Config::new(server.url()) };
    HotState::connect(&config).await.unwrap()
}

/// A server of this test alone, open.
async fn open_server() -> (Private, HotState) {
    let server = private_redis().await;
    let hot = connect(&server).await;
    hot.open_new("test").await.unwrap();
    (server, hot)
}

#[tokio::test(flavor = "multi_thread")]
async fn f_5_a_server_that_restarted_decides_nothing_until_it_is_opened() {
    let (server, hot) = open_server().await;
    let phone = sale(&hot, 5, -1_000, 600_000).await;
    hot.create(&phone).await.unwrap();
    hot.decide(&phone.sku, &phone.sale_id, "i", &[attempt("a", "1")]).await.unwrap();
    let late = connect(&server).await;
    tokio::task::block_in_place(|| {
        server.kill();
        server.restart().unwrap();
    });
    for hot in [&hot, &late] {
        wait_until(Duration::from_secs(10), "the fence to be seen closed", async || {
            let refused = hot.decide(&phone.sku, &phone.sale_id, "i", &[attempt("b", "1")]).await;
            matches!(refused, Err(Error::Closed))
        })
        .await;
        assert!(matches!(hot.transition(&phone.sku).await, Err(Error::Closed)), "no script runs");
        assert!(!hot.is_open());
    }
    assert_eq!(hot.snapshot(&phone.sku).await.unwrap().unwrap().sequence, 1, "nothing was sold, looking is allowed");
    hot.claim("recovery").await.unwrap().unwrap().open().await.unwrap();
    wait_until(Duration::from_secs(5), "the fence to be open for all", async || {
        late.decide(&phone.sku, &phone.sale_id, "i", &[attempt("b", "1")]).await.is_ok()
    })
    .await;
    assert!(hot.decide(&phone.sku, &phone.sale_id, "i", &[attempt("c", "1")]).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_cuts_off_everybody_who_was_connected() {
    let (server, hot) = open_server().await;
    let phone = sale(&hot, 5, -1_000, 600_000).await;
    hot.create(&phone).await.unwrap();
    let operator = connect(&server).await;
    let claim = operator.claim("by hand").await.unwrap().unwrap();
    assert!(operator.claim("another").await.unwrap().is_none(), "one at a time");
    claim.close().await.unwrap();
    wait_until(Duration::from_secs(5), "the edge to be cut off", async || {
        matches!(hot.decide(&phone.sku, &phone.sale_id, "i", &[attempt("a", "1")]).await, Err(Error::Closed))
    })
    .await;
    assert_eq!(hot.snapshot(&phone.sku).await.unwrap().unwrap().sequence, 0);
    claim.open().await.unwrap();
    wait_until(Duration::from_secs(5), "the edge to go on", async || {
        hot.decide(&phone.sku, &phone.sale_id, "i", &[attempt("a", "1")]).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_8_scripts_that_were_flushed_are_loaded_again_and_the_call_repeated() {
    let (server, hot) = open_server().await;
    let phone = sale(&hot, 50, -1_000, 600_000).await;
    hot.create(&phone).await.unwrap();
    for round in 0..20 {
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.unwrap();
        let user = format!("u{round}");
        hot.decide(&phone.sku, &phone.sale_id, "i", &[attempt(&user, "1")]).await.unwrap();
    }
    assert_eq!(hot.snapshot(&phone.sku).await.unwrap().unwrap().sequence, 20, "each once");
}

/// What `hot` holds of the sale, and a sold-out sale as the log would tell it.
pub(crate) async fn sold_out(hot: &HotState) -> (SaleStatus, HotSale, Vec<RestoredBatch>) {
    let phone = sale(hot, 3, -1_000, 600_000).await;
    hot.create(&phone).await.unwrap();
    let first = hot.decide(&phone.sku, &phone.sale_id, "i", &[attempt("a", "1"), attempt("b", "2")]).await.unwrap();
    let second = hot.decide(&phone.sku, &phone.sale_id, "i", &[attempt("c", "3")]).await.unwrap();
    let end = second.changes.last().unwrap().status.clone();
    let buyer = |user: &str, request: &str| (UserId::new(user).unwrap(), RequestId::new(request).unwrap());
    let batches = vec![
        RestoredBatch { first: 1, decided_at: first.decided_at, buyers: vec![buyer("a", "1"), buyer("b", "2")] },
        RestoredBatch { first: 3, decided_at: second.decided_at, buyers: vec![buyer("c", "3")] },
    ];
    (end, hot.whole(&phone.sku).await.unwrap().unwrap(), batches)
}

#[tokio::test(flavor = "multi_thread")]
async fn f_6_an_emptied_server_gets_back_what_it_held() {
    let (server, hot) = open_server().await;
    let (status, before, batches) = sold_out(&hot).await;
    let sku = status.config.sku.clone();
    let client = redis::Client::open(server.url()).unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut client.get_multiplexed_async_connection().await.unwrap()).await.unwrap();
    assert!(hot.whole(&sku).await.unwrap().is_none());
    let claim = hot.claim("recovery").await.unwrap().unwrap();
    claim.close().await.unwrap();
    claim.restore(&sku, &batches).await.unwrap();
    let changed = claim.repair(&status).await.unwrap();
    assert_eq!(changed.changes, [], "the log knew all");
    // Once more changes nothing.
    claim.restore(&sku, &batches).await.unwrap();
    claim.repair(&status).await.unwrap();
    claim.open().await.unwrap();
    let after = hot.whole(&sku).await.unwrap().unwrap();
    assert_eq!((after.stock, after.sequence, after.state, after.events), (0, 3, SaleState::Ended, before.events));
    assert_eq!(after.buyers, before.buyers);
    for (user, request) in [("a", "1"), ("b", "2"), ("c", "3")] {
        let again = hot.decide(&sku, &status.config.sale_id, "i", &[attempt(user, request)]).await.unwrap();
        let outcome = &again.decided[0].decision.outcome;
        assert!(matches!(outcome, flashsale_core::Outcome::Repeated(_)), "PR-7: {outcome:?}");
        let unit = hot.unit_of(&sku, &status.config.sale_id, &UserId::new(user).unwrap()).await.unwrap().unwrap();
        assert_eq!(unit.request_id.as_str(), request);
    }
    let deleted = hot.delete(&sku, &status.config.sale_id).await.unwrap();
    assert_eq!(deleted.changes[0].status.config, status.config, "all that was set is there again");
}

#[tokio::test(flavor = "multi_thread")]
async fn fl_4_an_end_that_was_lost_with_the_last_second_is_made_again() {
    let (_server, hot) = open_server().await;
    let (status, _, batches) = sold_out(&hot).await;
    let sku = status.config.sku.clone();
    let claim = hot.claim("recovery").await.unwrap().unwrap();
    claim.forget_sale(&sku).await.unwrap();
    claim.restore(&sku, &batches).await.unwrap();
    // The log has every unit, but neither the start nor the end.
    let upcoming = SaleStatus { state: SaleState::Upcoming, end_reason: None, as_of_event: 1, ..status };
    let changed = claim.repair(&upcoming).await.unwrap();
    let made: Vec<_> =
        changed.changes.iter().map(|change| (change.change.as_str(), change.status.as_of_event)).collect();
    assert_eq!(made, [("STARTED", 2), ("ENDED", 3)]);
    assert_eq!(changed.changes[1].status.end_reason, Some(EndReason::SoldOut));
    assert_eq!(hot.outbox_len(&sku).await.unwrap(), 2, "the relay tells the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn f_29_whoever_lost_the_claim_changes_nothing_any_more() {
    let (_server, hot) = open_server().await;
    let (status, before, batches) = sold_out(&hot).await;
    let sku = status.config.sku.clone();
    let late = hot.claim("late").await.unwrap().unwrap();
    let mut key = redis::cmd("DEL");
    key.arg(hot.keys().claim());
    let client = redis::Client::open(_server.url()).unwrap();
    key.exec_async(&mut client.get_multiplexed_async_connection().await.unwrap()).await.unwrap();
    let next = hot.claim("next").await.unwrap().unwrap();
    assert!(matches!(late.renew().await, Err(Error::ClaimLost)));
    assert!(matches!(late.restore(&sku, &batches).await, Err(Error::ClaimLost)));
    assert!(matches!(late.forget_sale(&sku).await, Err(Error::ClaimLost)));
    assert!(matches!(late.repair(&status).await, Err(Error::ClaimLost)));
    assert!(matches!(late.open().await, Err(Error::ClaimLost)));
    next.renew().await.unwrap();
    assert_eq!(hot.whole(&sku).await.unwrap().unwrap().buyers, before.buyers);
}
