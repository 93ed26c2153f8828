//! What a listener is told, and what one that comes back is told.

use std::time::Duration;

use flashsale_core::{Micros, SaleId, invariants};
use flashsale_sinks::sse::Config;
use flashsale_testkit::wait_until;
use serde_json::{Value, json};

use crate::{Instance, Listener, PATIENCE, STOCK, Shop};

/// Nothing comes for as long as two events would take.
const SILENCE: Duration = Duration::from_millis(300);

/// Waits until a new listener is told at once what `is_newest` accepts.
async fn until_streamed(instance: &Instance, is_newest: impl Fn(&Value) -> bool) {
    wait_until(PATIENCE, "the newest state to be streamed", async || {
        let initial = instance.listen(None).await.next().await.unwrap();
        if is_newest(&initial.data) { Ok(()) } else { Err(initial) }
    })
    .await;
}

#[tokio::test]
async fn i_11_a_listener_sees_a_sale_from_its_beginning_to_its_end() {
    let mut shop = Shop::open().await;
    let instance = shop.instance().await;
    let mut listener = instance.listen(None).await;
    for field in ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"] {
        assert!(listener.head.iter().any(|line| line == field), "{field} in {:?}", listener.head);
    }
    let initial = listener.next().await.unwrap();
    let mut data = initial.data.clone();
    let clock = data.as_object_mut().unwrap().remove("serverTime").unwrap();
    assert!(clock.as_str().unwrap().ends_with('Z'));
    assert_eq!(
        (initial.name.as_str(), data),
        (
            "initial",
            json!({"sku": "PHONE", "state": "UPCOMING", "stock": 100, "initialStock": 100, "productName": "A phone ☎",
                "startTime": "2026-11-23T12:00:00.000Z", "endTime": "2026-11-23T13:00:00.500Z"})
        )
    );
    assert!(listener.retry_ms.is_some_and(|millis| (1_000..5_000).contains(&millis)), "{listener:?}");

    shop.start().await;
    let started = listener.next().await.unwrap();
    assert_eq!((started.name.as_str(), started.data), ("state-change", json!({"sku": "PHONE", "state": "ACTIVE"})));
    shop.sell(1).await;
    let sold = listener.next().await.unwrap();
    assert_eq!((sold.name.as_str(), sold.data), ("stock-update", json!({"sku": "PHONE", "stock": 99})));
    shop.pause(true).await;
    let paused = listener.next().await.unwrap();
    assert_eq!((paused.name.as_str(), &paused.data["paused"]), ("initial", &json!(true)), "the whole of it");
    shop.pause(false).await;
    let resumed = listener.next().await.unwrap();
    assert_eq!((resumed.name.as_str(), &resumed.data["paused"]), ("initial", &json!(null)));
    shop.sell_out().await;
    let last = listener.next().await.unwrap();
    assert_eq!((last.name.as_str(), last.data), ("stock-update", json!({"sku": "PHONE", "stock": 0})));
    let ended = listener.next().await.unwrap();
    let reason = json!({"sku": "PHONE", "state": "ENDED", "reason": "SOLD_OUT"});
    assert_eq!((ended.name.as_str(), ended.data), ("state-change", reason));
    let ids = [initial.id, started.id, sold.id, paused.id, resumed.id, last.id, ended.id];
    assert_eq!(ids.iter().collect::<std::collections::HashSet<_>>().len(), ids.len(), "{ids:?}");
}

#[tokio::test]
async fn i_11_any_instance_resumes_any_listener_at_its_place() {
    let mut shop = Shop::open().await;
    let (one, other) = tokio::join!(shop.instance(), shop.instance());
    let first = one.listen(None).await.next().await.unwrap();

    let mut same = other.listen(Some(&first.id)).await;
    assert!(same.within(SILENCE).await.is_err(), "it knows everything");
    shop.start().await;
    let started = same.next().await.unwrap();
    assert_eq!(started.name, "state-change");
    shop.sell(3).await;
    let sold = same.next().await.unwrap();
    drop(same);
    for instance in [&one, &other] {
        until_streamed(instance, |initial| initial["stock"] == 97).await;
    }

    // The change and the units since are led over, one after the other.
    let mut late = one.listen(Some(&first.id)).await;
    let steps = [late.next().await.unwrap(), late.next().await.unwrap()];
    assert_eq!(steps.each_ref().map(|event| event.name.as_str()), ["stock-update", "state-change"]);
    assert_eq!((&steps[0].data["stock"], &steps[1].id), (&json!(97), &sold.id));
    // Whoever was cut off between the two gets the second.
    let mut between = other.listen(Some(&steps[0].id)).await;
    assert_eq!(between.next().await.unwrap(), steps[1]);
    // The query is as good as the header, which wins.
    let path = format!("/api/v1/sales/events?sku=PHONE&lastEventId={}", started.id);
    let mut by_query = Listener::open(one.address, &path, &[]).await.unwrap();
    assert_eq!(by_query.next().await.unwrap(), sold);
    let mut by_both = Listener::open(one.address, &path, &[("Last-Event-ID", &sold.id)]).await.unwrap();
    assert!(by_both.within(SILENCE).await.is_err());
}

#[tokio::test]
async fn i_11_a_gap_is_announced() {
    let mut shop = Shop::open().await;
    let instance = shop.instance().await;
    let first = instance.listen(None).await.next().await.unwrap();
    shop.start().await;
    shop.pause(true).await;
    until_streamed(&instance, |initial| initial["paused"] == true).await;
    let older = SaleId::generate(Micros::from_millis(1_795_435_100_000), 1);
    for last in [first.id.as_str(), &format!("{older}-9-9"), "nonsense", "1-2"] {
        let mut listener = instance.listen(Some(last)).await;
        let (reset, initial) = (listener.next().await.unwrap(), listener.next().await.unwrap());
        assert_eq!((reset.name.as_str(), reset.data), ("reset", json!({"sku": "PHONE"})), "{last}");
        assert_eq!((initial.name.as_str(), &initial.data["paused"]), ("initial", &json!(true)), "{last}");
        // Cut off between the two: what was announced still comes.
        let mut listener = instance.listen(Some(&reset.id)).await;
        assert_eq!(listener.next().await.unwrap().name, "reset", "{last}");
        assert_eq!(listener.next().await.unwrap().name, "initial", "{last}");
    }
    // The SKU is sold anew.
    let mut listener = instance.listen(None).await;
    listener.next().await.unwrap();
    shop.sale.config.sale_id = SaleId::generate(Micros::from_millis(1_795_435_300_000), 1);
    (shop.sale.as_of_event, shop.sale.paused, shop.sale.as_of_sequence) = (1, false, 0);
    shop.tell().await;
    assert_eq!(listener.next().await.unwrap().name, "reset");
    assert_eq!(listener.next().await.unwrap().name, "initial");
}

#[tokio::test]
async fn i_11_an_instance_that_is_behind_says_nothing_old() {
    let mut shop = Shop::open().await;
    let instance = shop.instance().await;
    shop.start().await;
    instance.has_read(&shop.sale).await;
    // Elsewhere five units are sold already.
    let elsewhere = format!("{}-2-5", shop.sale.config.sale_id);
    let mut listener = instance.listen(Some(&elsewhere)).await;
    shop.sell(3).await;
    assert!(listener.within(SILENCE).await.is_err(), "97 after 95 would be a rise");
    shop.sell(4).await;
    assert_eq!(listener.next().await.unwrap().data, json!({"sku": "PHONE", "stock": 93}));
}

#[tokio::test]
async fn fe_2_units_are_told_together_and_the_last_one_always() {
    let mut shop = Shop::open().await;
    let instance = shop.instance().await;
    let mut listener = instance.listen(None).await;
    listener.next().await.unwrap();
    shop.start().await;
    listener.next().await.unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..60 {
        shop.sell(1).await;
    }
    let mut stocks = vec![STOCK];
    while stocks.last() != Some(&40) {
        stocks.push(listener.next().await.unwrap().data["stock"].as_u64().unwrap());
    }
    let intervals = began.elapsed().as_millis() / 100;
    assert_eq!(invariants::stock_never_rises(&stocks), Ok(()));
    assert!(stocks.len() as u128 <= intervals + 3, "{} in {intervals} intervals", stocks.len());
}

#[tokio::test]
async fn i_11_one_that_does_not_read_for_a_while_gets_the_newest_state() {
    let mut shop = Shop::open().await;
    let config = Config { coalesce_ms: 1, ..Config::default() };
    let instance = shop.instance_with(config, "").await;
    let mut listener = instance.listen(None).await;
    shop.start().await;
    for _ in 0..40 {
        shop.sell(1).await;
    }
    shop.sell_out().await;
    instance.has_read(&shop.sale).await;
    let mut stocks = Vec::new();
    loop {
        let event = listener.next().await.unwrap();
        stocks.extend(event.data["stock"].as_u64());
        if event.data["state"] == "ENDED" {
            break;
        }
    }
    assert_eq!((invariants::stock_never_rises(&stocks), stocks.last()), (Ok(()), Some(&0)));
}

#[tokio::test]
async fn i_11_a_removed_sale_ends_its_streams() {
    let shop = Shop::open().await;
    let instance = shop.instance().await;
    let mut listener = instance.listen(None).await;
    listener.next().await.unwrap();
    let delivery = flashsale_streaming::Delivery::begin();
    shop.ledger.send_tombstone(&delivery, &shop.sale.config.sku, &shop.sale.config.sale_id);
    delivery.seal();
    delivery.wait().await.unwrap();
    assert_eq!(listener.next().await, None);
    let refusal = Listener::open(instance.address, "/api/v1/sales/events?sku=PHONE", &[]).await.unwrap_err();
    assert_eq!(refusal.code(), (404, "NOT_FOUND"));
}
