//! T-1..3: random histories through the real scripts and through the core model agree answer by answer.

use flashsale_core::{Attempt, Micros, SaleBook, SaleConfig, SaleId, decision::Change};
use flashsale_lua::{Entry, HotState, SaleReply};
use proptest::{
    prelude::*,
    test_runner::{Config as Runner, TestRunner},
};

use crate::{attempt, hot_state, sale};

#[derive(Debug, Clone)]
enum Step {
    /// Users and request numbers, and whether the caller means another sale.
    Decide(Vec<(u8, u8)>, bool),
    /// Until this many ms after the first step, by Redis' clock.
    Wait(i64),
    Tick,
    Pause(bool),
    Update {
        stock: u64,
        start_in: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::collection::vec((0u8..40, 0u8..3), 1..40), prop::bool::weighted(0.05)).prop_map(|(a, o)| Step::Decide(a, o)),
        3 => (1i64..40).prop_map(Step::Wait),
        1 => Just(Step::Tick),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => (1u64..50, -5i64..20).prop_map(|(stock, start_in)| Step::Update { stock, start_in }),
    ]
}

struct History {
    redis: HotState,
    config: SaleConfig,
    book: SaleBook,
    changes: Vec<Change>,
    units: u64,
}

impl History {
    async fn begin(redis: HotState, config: SaleConfig) -> Self {
        let created = redis.create(&config).await.expect("create");
        assert_eq!(created.reply, SaleReply::Ok);
        let book = SaleBook::create(config.clone(), created.now);
        let changes = created.changes.iter().map(|change| change.change).collect();
        Self { redis, config, book, changes, units: 0 }
    }

    async fn take(&mut self, step: &Step, began: Micros) {
        let (redis, sku) = (self.redis.clone(), self.config.sku.clone());
        let changed = match step {
            Step::Decide(attempts, other_sale) => return self.decide(attempts, *other_sale).await,
            Step::Wait(ms) => {
                while redis.now().await.expect("time") - began < ms * 1_000 {
                    tokio::task::yield_now().await;
                }
                return;
            }
            Step::Tick => {
                let changed = redis.transition(&sku).await.expect("transition");
                self.book.tick(changed.now);
                changed
            }
            Step::Pause(pause) => {
                let changed = redis.pause(&sku, &self.config.sale_id, *pause).await.expect("pause");
                let expected = self.book.pause(changed.now, *pause);
                assert_eq!(changed.reply == SaleReply::Ok, expected.is_ok(), "{step:?}");
                changed
            }
            Step::Update { stock, start_in } => {
                let start = Micros::from_millis(began.as_millis() + start_in);
                let config = SaleConfig { initial_stock: *stock, start, ..self.config.clone() };
                let changed = redis.update(&config).await.expect("update");
                let expected = self.book.update(changed.now, config.clone());
                assert_eq!(changed.reply == SaleReply::Ok, expected.is_ok(), "{step:?}");
                if expected.is_ok() {
                    self.config = config;
                }
                changed
            }
        };
        self.changes.extend(changed.changes.iter().map(|change| change.change));
        self.compare().await;
    }

    async fn decide(&mut self, attempts: &[(u8, u8)], other_sale: bool) {
        let attempts: Vec<Attempt> =
            attempts.iter().map(|(user, request)| attempt(&format!("u|{user}"), &format!("r|{request}"))).collect();
        let expected = if other_sale { SaleId::generate(Micros(0), 1) } else { self.config.sale_id.clone() };
        let batch = self.redis.decide(&self.config.sku, &expected, "ingest-1", &attempts).await.expect("decide");
        for (attempt, decided) in attempts.iter().zip(&batch.decided) {
            let model = self.book.decide(batch.decided_at, &expected, attempt);
            assert_eq!(decided.decision, model, "{attempt:?}");
        }
        self.changes.extend(batch.changes.iter().map(|change| change.change));
        self.compare().await;
    }

    /// State, stock, buyers, changes and outbox are what the model says.
    async fn compare(&mut self) {
        let snapshot = self.redis.snapshot(&self.config.sku).await.expect("snapshot").expect("there is a sale");
        assert_eq!(snapshot.state, self.book.state());
        assert_eq!((snapshot.stock, snapshot.sequence), (self.book.stock(), self.book.sold()));
        assert_eq!(snapshot.buyers, self.book.sold());
        assert_eq!(self.changes, self.book.changes());
        let outbox = self.redis.outbox(&self.config.sku, 10_000).await.expect("outbox");
        let mut changes = Vec::new();
        self.units = 0;
        for entry in outbox {
            match entry.entry {
                Entry::Change(change) => {
                    changes.push(change.change);
                    assert_eq!(change.status.as_of_event, changes.len() as u64);
                    assert_eq!(change.status.as_of_sequence, self.units, "a change stands where it happened");
                }
                Entry::Sold { units, .. } => {
                    for unit in units {
                        self.units += 1;
                        assert_eq!(unit.receipt.sequence, self.units, "the outbox is dense");
                        assert_eq!(self.book.receipt_of(&unit.user), Some(&unit.receipt));
                    }
                }
            }
        }
        assert_eq!(changes, self.book.changes());
        assert_eq!(self.units, self.book.sold());
    }
}

#[test]
fn t_1_to_3_the_scripts_and_the_model_agree_on_every_history() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(120);
    let mut runner =
        TestRunner::new(Runner { cases, failure_persistence: None, max_shrink_iters: 200, ..Runner::default() });
    let histories = (1u64..30, -20i64..25, 5i64..60, prop::collection::vec(step(), 1..25));
    runner
        .run(&histories, |(stock, start_in, lasts, steps)| {
            runtime.block_on(async {
                let redis = hot_state().await;
                let config = sale(&redis, stock, start_in, start_in + lasts).await;
                let began = redis.now().await.expect("time");
                let mut history = History::begin(redis, config).await;
                for step in &steps {
                    history.take(step, began).await;
                }
            });
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
