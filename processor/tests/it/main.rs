//! The processor on a real Redis and a real broker.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod recover;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use flashsale_core::{
    Attempt, Challenge, EndReason, Micros, RequestId, SaleConfig, SaleId, SaleState, Sku, UserId, decision::Change,
};
use flashsale_ledger::{Ledger, SaleView};
use flashsale_lua::{Entry, HotState};
use flashsale_processor::{Config, Service};
use flashsale_schemas::{
    Topic,
    events::{ChangeKind, PurchaseDecision, SaleEvent, accepted_id},
};
use flashsale_streaming::{View, ViewConfig};
use flashsale_testkit::{unique, wait_until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

struct Shop {
    hot: HotState,
    ledger: Ledger,
    decisions: Arc<Mutex<Vec<PurchaseDecision>>>,
    events: Arc<Mutex<Vec<SaleEvent>>>,
    _views: [View; 2],
}

impl Shop {
    async fn open() -> Self {
        Self::open_on(flashsale_testkit::redis().await).await
    }

    async fn open_on(redis: &str) -> Self {
        let prefix = unique("processor");
        let mut hot = flashsale_lua::Config::new(redis);
        hot.key_prefix = format!("{prefix}:");
        let mut log = flashsale_ledger::Config::new(flashsale_testkit::kafka().await, "test");
        log.topic_prefix = format!("{prefix}.");
        let ledger = Ledger::open(log).await.unwrap();
        ledger.create_topics(1).await.unwrap();
        let (decisions, events) = (Arc::default(), Arc::default());
        let views = [
            collect::<PurchaseDecision>(&ledger, Topic::PurchaseDecisions, Arc::clone(&decisions)).await,
            collect::<SaleEvent>(&ledger, Topic::SaleEvents, Arc::clone(&events)).await,
        ];
        let hot = HotState::connect(&hot).await.unwrap();
        hot.open_new("test").await.unwrap();
        Self { hot, ledger, decisions, events, _views: views }
    }

    fn processor(&self) -> (CancellationToken, JoinHandle<()>) {
        let stop = CancellationToken::new();
        let service = Service::new(&Config::default(), &self.hot, &self.ledger, None, "");
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { service.run(stop).await.unwrap() }
        });
        (stop, task)
    }

    async fn sale(&self, sku: &str, stock: u64, start_in: i64, end_in: i64) -> SaleConfig {
        let now = self.hot.now().await.unwrap();
        let config = SaleConfig {
            sale_id: SaleId::generate(now, 1),
            sku: Sku::new(sku).unwrap(),
            product_name: "Phone".into(),
            initial_stock: stock,
            start: Micros::from_millis(now.as_millis() + start_in),
            end: Micros::from_millis(now.as_millis() + end_in),
            challenge: Challenge::None,
        };
        self.hot.create(&config).await.unwrap();
        config
    }

    /// Decides as an ingest that dies right after: nothing is published, nothing settled (F1).
    async fn decide_and_die(&self, sale: &SaleConfig, users: std::ops::Range<u32>) {
        let attempts: Vec<Attempt> = users
            .map(|n| Attempt {
                user: UserId::new(&format!("u{n}")).unwrap(),
                request_id: RequestId::new(&format!("r{n}")).unwrap(),
            })
            .collect();
        self.hot.decide(&sale.sku, &sale.sale_id, "dead-ingest", &attempts).await.unwrap();
    }

    async fn statuses(&self) -> SaleView {
        self.ledger.sales_by_status(&unique("status"), |_, _| {}).await.unwrap()
    }

    fn event_kinds(&self, sku: &Sku) -> Vec<ChangeKind> {
        let mut events: Vec<SaleEvent> =
            self.events.lock().unwrap().iter().filter(|event| event.sku == sku.as_str()).cloned().collect();
        events.sort_by_key(|event| event.event_number);
        events.dedup_by_key(|event| event.event_number);
        events.into_iter().map(|event| event.kind).collect()
    }
}

async fn collect<T>(ledger: &Ledger, topic: Topic, into: Arc<Mutex<Vec<T>>>) -> View
where
    T: flashsale_schemas::Event + Send,
{
    let decoder = ledger.decoder::<T>().await.unwrap();
    let config = ViewConfig { name: unique("collect"), topics: vec![ledger.topic(topic).to_owned()] };
    View::start(ledger.streaming(), config, move |record| {
        let event = decoder.decode(record.payload.as_deref().unwrap_or_default()).expect("our own record");
        into.lock().unwrap().push(event);
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fl_1_fl_2_fl_3_the_clock_makes_transitions_that_no_purchase_makes() {
    let shop = Shop::open().await;
    let (stop, task) = shop.processor();
    let view = shop.statuses().await;
    view.caught_up().await;
    let sale = shop.sale("A", 5, 3_000, 4_500).await;
    let created = shop.hot.outbox(&sale.sku, 1).await.unwrap().remove(0);
    let Entry::Change(created) = created.entry else { panic!("the creation comes first") };
    shop.ledger.publish_changes([(created.change, &created.status)]).await.unwrap();
    let seen = |state| move |sale: Option<&flashsale_core::SaleStatus>| sale.is_some_and(|sale| sale.state == state);
    assert!(view.wait_for(&sale.sku, PATIENCE, seen(SaleState::Upcoming)).await);
    assert!(view.wait_for(&sale.sku, PATIENCE, seen(SaleState::Active)).await);
    assert!(view.wait_for(&sale.sku, PATIENCE, seen(SaleState::Ended)).await);
    assert_eq!(view.get(&sale.sku).unwrap().end_reason, Some(EndReason::TimeExpired));
    assert_eq!(shop.event_kinds(&sale.sku), [ChangeKind::Created, ChangeKind::Started, ChangeKind::Ended]);
    for event in shop.events.lock().unwrap().iter() {
        let due = match event.kind {
            ChangeKind::Started => sale.start,
            ChangeKind::Ended => sale.end,
            _ => continue,
        };
        let late = event.occurred_at.since(due);
        assert!(event.occurred_at >= due, "{:?} happened before its time", event.kind);
        // The clock promises 100 ms, which its metric shows; a debug build on a shared machine gets more.
        assert!(late < Duration::from_secs(1), "{:?} was noticed {late:?} late", event.kind);
    }
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn f_1_what_a_dead_ingest_decided_is_published_and_settled() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 500, -1_000, 600_000).await;
    for batch in 0..5 {
        shop.decide_and_die(&sale, batch * 40..(batch + 1) * 40).await;
    }
    // Two at once: repeats do no harm.
    let processors = [shop.processor(), shop.processor()];
    let view = shop.statuses().await;
    let all = |sale: Option<&flashsale_core::SaleStatus>| sale.is_some_and(|sale| sale.as_of_sequence == 200);
    assert!(view.wait_for(&sale.sku, PATIENCE, all).await, "the status tells of every unit");
    wait_until(PATIENCE, "the outbox to be empty", async || shop.hot.outbox_len(&sale.sku).await.unwrap() == 0).await;
    let mut logged: Vec<PurchaseDecision> = shop.decisions.lock().unwrap().clone();
    logged.sort_by_key(|decision| decision.sequence);
    logged.dedup_by_key(|decision| decision.decision_id.clone());
    assert_eq!(logged.len(), 200);
    for (sequence, decision) in (1..).zip(&logged) {
        assert_eq!(decision.decision_id, accepted_id(&sale.sale_id, sequence));
        assert_eq!(decision.sequence, Some(sequence as i64));
        assert_eq!(decision.remaining_stock, Some(500 - sequence as i64));
        assert_eq!(decision.user_id, format!("u{}", sequence - 1));
        assert_eq!(decision.ingest_id, "dead-ingest");
    }
    for (stop, task) in processors {
        stop.cancel();
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fl_4_the_last_unit_ends_the_status_and_a_late_processor_still_tells_it() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 3, -1_000, 600_000).await;
    shop.decide_and_die(&sale, 0..3).await;
    let (stop, task) = shop.processor();
    let view = shop.statuses().await;
    let over = |sale: Option<&flashsale_core::SaleStatus>| {
        sale.is_some_and(|sale| sale.end_reason == Some(EndReason::SoldOut) && sale.stock() == 0)
    };
    assert!(view.wait_for(&sale.sku, PATIENCE, over).await);
    stop.cancel();
    task.await.unwrap();

    // A processor that comes later knows it from the log and says nothing else.
    let (stop, task) = shop.processor();
    let next = shop.sale("B", 3, -1_000, 600_000).await;
    assert!(view.wait_for(&next.sku, PATIENCE, |sale| sale.is_some()).await);
    assert!(over(view.get(&sale.sku).as_deref()));
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_sale_leaves_the_status_and_its_sku_can_be_sold_again() {
    let shop = Shop::open().await;
    let (stop, task) = shop.processor();
    let view = shop.statuses().await;
    let first = shop.sale("A", 3, -1_000, 600_000).await;
    assert!(view.wait_for(&first.sku, PATIENCE, |sale| sale.is_some()).await);
    let deleted = shop.hot.delete(&first.sku, &first.sale_id).await.unwrap();
    assert_eq!(deleted.changes.last().map(|change| change.change), Some(Change::Deleted));
    assert!(view.wait_for(&first.sku, PATIENCE, |sale| sale.is_none()).await, "the relay tells of the removal");
    let second = shop.sale("A", 7, -1_000, 600_000).await;
    let new = |sale: Option<&flashsale_core::SaleStatus>| sale.is_some_and(|sale| sale.config.initial_stock == 7);
    assert!(view.wait_for(&second.sku, PATIENCE, new).await);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbox_holds_changes_and_units_in_the_order_in_which_they_happened() {
    let shop = Shop::open().await;
    let sale = shop.sale("A", 2, -1_000, 600_000).await;
    shop.decide_and_die(&sale, 0..2).await;
    let kinds: Vec<&str> = shop
        .hot
        .outbox(&sale.sku, 10)
        .await
        .unwrap()
        .iter()
        .map(|entry| match &entry.entry {
            Entry::Change(change) => change.change.as_str(),
            Entry::Sold { .. } => "SOLD",
        })
        .collect();
    assert_eq!(kinds, ["CREATED", "STARTED", "SOLD", "ENDED"]);
}
