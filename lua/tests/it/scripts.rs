//! What a model cannot show: retries, outbox, settling, removal.

use flashsale_core::{EndReason, Outcome, SaleState, UserId, decision::Change};
use flashsale_lua::{Entry, Error, SaleReply};

use crate::{attempt, hot_state, sale};

#[tokio::test]
async fn nf_6_nf_9_a_batch_is_decided_and_written_to_the_outbox_in_one_step() {
    let redis = hot_state().await;
    let config = sale(&redis, 2, -1_000, 60_000).await;
    redis.create(&config).await.unwrap();
    let attempts = [attempt("a", "1"), attempt("a", "2"), attempt("b", "3"), attempt("c", "4"), attempt("b", "3")];
    let batch = redis.decide(&config.sku, &config.sale_id, "i", &attempts).await.unwrap();
    let outcomes: Vec<_> = batch.decided.iter().map(|decided| &decided.decision.outcome).collect();
    assert!(matches!(
        outcomes[..],
        [
            Outcome::Accepted(_),
            Outcome::AlreadyPurchased(_),
            Outcome::Accepted(_),
            Outcome::SoldOut,
            Outcome::Repeated(_)
        ]
    ));
    assert_eq!(batch.changes.len(), 1);
    assert_eq!(
        (batch.changes[0].change, batch.changes[0].status.end_reason),
        (Change::Ended, Some(EndReason::SoldOut))
    );

    let outbox = redis.outbox(&config.sku, 10).await.unwrap();
    let kinds: Vec<_> = outbox
        .iter()
        .map(|entry| match &entry.entry {
            Entry::Change(change) => change.change.as_str(),
            Entry::Sold { .. } => "SOLD",
        })
        .collect();
    assert_eq!(kinds, ["CREATED", "STARTED", "SOLD", "ENDED"]);
    assert_eq!(Some(&outbox[2].id), batch.outbox_id.as_ref());
    for place in [0, 1, 3] {
        let Entry::Change(change) = &outbox[place].entry else { panic!("not a change") };
        assert_eq!(change.status.config, config, "{}", change.change.as_str());
    }
}

#[tokio::test]
async fn pr_7_a_repeated_attempt_says_whether_the_log_may_lack_its_unit() {
    let redis = hot_state().await;
    let config = sale(&redis, 9, -1_000, 60_000).await;
    redis.create(&config).await.unwrap();
    let both = [attempt("a", "1"), attempt("b", "2")];
    let first = redis.decide(&config.sku, &config.sale_id, "i", &both).await.unwrap();
    let again = redis.decide(&config.sku, &config.sale_id, "i", &both).await.unwrap();
    assert!(again.decided.iter().all(|decided| decided.pending), "still in the outbox");
    assert_eq!(again.decided[1].decision.outcome.receipt(), first.decided[1].decision.outcome.receipt());

    assert_eq!(redis.settle(&config.sku, &[first.outbox_id.unwrap()]).await.unwrap(), 1);
    let again = redis.decide(&config.sku, &config.sale_id, "i", &both).await.unwrap();
    assert!(again.decided.iter().all(|decided| matches!(decided.decision.outcome, Outcome::Repeated(_))));
    assert!(again.decided.iter().all(|decided| !decided.pending), "the log has it");
}

#[tokio::test]
async fn a_sale_is_created_once() {
    let redis = hot_state().await;
    let config = sale(&redis, 9, 1_000, 60_000).await;
    assert_eq!(redis.create(&config).await.unwrap().changes.len(), 1);
    let again = redis.create(&config).await.unwrap();
    assert_eq!((again.reply, again.changes.len()), (SaleReply::Ok, 0));
    let mut other = config.clone();
    other.sale_id = flashsale_core::SaleId::new("06C5HN3T8Q2Z").unwrap();
    assert_eq!(redis.create(&other).await.unwrap().reply, SaleReply::Exists);
    assert_eq!(redis.update(&other).await.unwrap().reply, SaleReply::Missing);
    assert_eq!(redis.snapshot(&config.sku).await.unwrap().unwrap().sale_id, config.sale_id);
}

#[tokio::test]
async fn f_6_a_sale_that_redis_lost_is_an_error_not_a_refusal() {
    let redis = hot_state().await;
    let config = sale(&redis, 1, -1_000, 60_000).await;
    let lost = redis.decide(&config.sku, &config.sale_id, "i", &[attempt("a", "1")]).await;
    assert!(matches!(lost, Err(Error::Missing(_))), "{lost:?}");
}

#[tokio::test]
async fn a_deleted_sale_leaves_only_what_the_log_lacks() {
    let redis = hot_state().await;
    let config = sale(&redis, 9, -1_000, 60_000).await;
    redis.create(&config).await.unwrap();
    redis.decide(&config.sku, &config.sale_id, "i", &[attempt("a", "1")]).await.unwrap();
    assert_eq!(redis.delete(&config.sku, &config.sale_id).await.unwrap().changes.len(), 1);
    assert_eq!(redis.snapshot(&config.sku).await.unwrap(), None);
    assert_eq!(redis.receipt(&config.sku, &UserId::new("a").unwrap()).await.unwrap(), None);

    let outbox = redis.outbox(&config.sku, 10).await.unwrap();
    assert_eq!(outbox.len(), 4, "created, started, sold, deleted");
    // Created again while the old entries are still there: ids go on rising.
    let again = sale(&redis, 3, -1_000, 60_000).await;
    assert_eq!(redis.create(&again).await.unwrap().reply, SaleReply::Ok);
    let ids: Vec<String> = outbox.into_iter().map(|entry| entry.id).collect();
    assert_eq!(redis.settle(&config.sku, &ids).await.unwrap(), 4);
    assert_eq!(redis.outbox_len(&config.sku).await.unwrap(), 2);
}

#[tokio::test]
async fn fl_2_an_attempt_before_any_tick_starts_the_sale() {
    let redis = hot_state().await;
    let config = sale(&redis, 9, 40, 60_000).await;
    redis.create(&config).await.unwrap();
    flashsale_testkit::wait_until(std::time::Duration::from_secs(5), "the start", async || {
        redis.now().await.unwrap() >= config.start
    })
    .await;
    let batch = redis.decide(&config.sku, &config.sale_id, "i", &[attempt("a", "1")]).await.unwrap();
    assert!(matches!(batch.decided[0].decision.outcome, Outcome::Accepted(_)));
    assert_eq!(batch.changes[0].change, Change::Started);
    assert_eq!(batch.changes[0].status.state, SaleState::Active);
}

#[tokio::test]
async fn the_watch_list_lets_go_only_of_what_is_over() {
    let redis = hot_state().await;
    let config = sale(&redis, 1, -1_000, 60_000).await;
    redis.create(&config).await.unwrap();
    redis.unwatch(&config.sku).await.unwrap();
    assert_eq!(redis.open_sales().await.unwrap(), std::slice::from_ref(&config.sku), "it is open");
    redis.decide(&config.sku, &config.sale_id, "i", &[attempt("a", "1")]).await.unwrap();
    redis.unwatch(&config.sku).await.unwrap();
    assert_eq!(redis.open_sales().await.unwrap().len(), 1, "its outbox is not empty");
    let ids: Vec<String> = redis.outbox(&config.sku, 10).await.unwrap().into_iter().map(|entry| entry.id).collect();
    redis.settle(&config.sku, &ids).await.unwrap();
    redis.unwatch(&config.sku).await.unwrap();
    assert!(redis.open_sales().await.unwrap().is_empty());
}
