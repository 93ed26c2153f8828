//! What the decision itself costs: one call after the other, on a Redis that has nothing else to do.

use std::{
    slice,
    time::{Duration, Instant},
};

use flashsale_core::{Attempt, Challenge, Micros, Outcome, SaleConfig, SaleId, Sku};
use flashsale_lua::{ATTEMPTS_MAX, Config, Decided, HotState};
use flashsale_testkit::{
    Private,
    figures::{Figures, median},
    private_redis,
};

use crate::{
    dial::{BUYERS, Dial, SALES},
    installation::{buyers::attempt, processes::thread_nanos},
    shop::STOCK,
};

/// A round of the buyers adds no more buyers than there were at the first point.
const BUYERS_ROUNDS: usize = 25;
const BUYERS_CALLS: usize = 8;
/// In a round of the sales each of them is called as often as the others, however many there are.
const SALES_ROUNDS: usize = 9;
const SALES_CALLS: usize = 64;
/// CPU of an attempt at the last point, as a multiple of the first.
const GROWTH_MAX: f64 = 1.5;

/// What was measured at one point.
#[derive(Default)]
struct Cost {
    /// What its caller waits for a decision of 128 attempts, in µs; of each call.
    call: Vec<f64>,
    /// CPU of Redis an attempt, in µs, with its part of the settling; of each round.
    cpu: Vec<f64>,
}

/// A Redis that has nothing else to do.
struct Quiet {
    hot: HotState,
    server: Private,
    shoppers: usize,
    sales: u64,
}

impl Quiet {
    async fn start() -> Self {
        let server = private_redis().await;
        let hot = HotState::connect(&Config::new(server.url())).await.unwrap();
        hot.open_new("bench").await.unwrap();
        Self { hot, server, shoppers: 0, sales: 0 }
    }

    async fn create_sale(&mut self) -> SaleConfig {
        self.sales += 1;
        let now = self.hot.now().await.unwrap();
        let sale = SaleConfig {
            sale_id: SaleId::generate(now, self.sales),
            sku: Sku::new(&format!("SCALE-{}", self.sales)).unwrap(),
            product_name: "bench".into(),
            initial_stock: STOCK,
            start: Micros::from_millis(now.as_millis() - 1_000),
            end: Micros::from_millis(now.as_millis() + 3_600_000),
            challenge: Challenge::None,
        };
        self.hot.create(&sale).await.unwrap();
        sale
    }

    /// A sale with so many buyers.
    async fn create_sold(&mut self, buyers: usize) -> SaleConfig {
        let sale = self.create_sale().await;
        let mut left = buyers;
        while left > 0 {
            let batch = self.batch(left.min(ATTEMPTS_MAX));
            self.decide(&sale, &batch).await;
            left -= batch.len();
        }
        sale
    }

    /// Attempts of shoppers that nobody has seen.
    fn batch(&mut self, count: usize) -> Vec<Attempt> {
        let first = self.shoppers;
        self.shoppers += count;
        (first..self.shoppers).map(attempt).collect()
    }

    /// Decides and settles; returns what the decision took, in µs.
    async fn decide(&self, sale: &SaleConfig, batch: &[Attempt]) -> f64 {
        let began = Instant::now();
        let decided = self.hot.decide(&sale.sku, &sale.sale_id, "bench", batch).await.unwrap();
        let took = began.elapsed().as_secs_f64() * 1e6;
        let is_accepted = |one: &Decided| matches!(one.decision.outcome, Outcome::Accepted(_));
        assert!(decided.decided.iter().all(is_accepted), "everybody gets a unit");
        let ids: Vec<String> = decided.outbox_id.into_iter().collect();
        self.hot.settle(&sale.sku, &ids).await.unwrap();
        took
    }

    /// CPU time of Redis so far.
    async fn cpu_nanos(&self) -> u64 {
        // The kernel counts what is running when it stops to.
        tokio::time::sleep(Duration::from_millis(1)).await;
        thread_nanos(self.server.pid())
    }

    /// A round of so many calls, for the sales in turn.
    async fn measure(&mut self, sales: &[SaleConfig], calls: usize, cost: &mut Cost) {
        let batches: Vec<Vec<Attempt>> = (0..calls).map(|_| self.batch(ATTEMPTS_MAX)).collect();
        let before = self.cpu_nanos().await;
        for (batch, sale) in batches.iter().zip(sales.iter().cycle()) {
            cost.call.push(self.decide(sale, batch).await);
        }
        let nanos = self.cpu_nanos().await - before;
        cost.cpu.push(nanos as f64 / 1e3 / (calls * ATTEMPTS_MAX) as f64);
    }

    async fn delete(&self, sales: &[SaleConfig]) {
        for sale in sales {
            self.hot.delete(&sale.sku, &sale.sale_id).await.unwrap();
        }
    }
}

/// One sale with more and more buyers. Returns whether the cost stays.
pub(crate) async fn by_buyers(figures: &mut Figures) -> bool {
    let mut redis = Quiet::start().await;
    let mut kept = Vec::new();
    for buyers in &BUYERS.values[1..] {
        kept.push(redis.create_sold(*buyers).await);
    }
    let mut costs: Vec<Cost> = BUYERS.values.iter().map(|_| Cost::default()).collect();
    for _ in 0..BUYERS_ROUNDS {
        // Anew each time: after a few rounds a sale with few buyers would be one with many.
        let few = redis.create_sold(BUYERS.values[0]).await;
        for (sale, cost) in std::iter::once(&few).chain(&kept).zip(&mut costs) {
            redis.measure(slice::from_ref(sale), BUYERS_CALLS, cost).await;
        }
        redis.delete(slice::from_ref(&few)).await;
    }
    show(figures, &BUYERS, &costs)
}

/// More and more sales, each with as many buyers as the others. Returns whether the cost stays.
pub(crate) async fn by_sales(figures: &mut Figures) -> bool {
    let mut redis = Quiet::start().await;
    let mut costs: Vec<Cost> = SALES.values.iter().map(|_| Cost::default()).collect();
    for _ in 0..SALES_ROUNDS {
        for (count, cost) in SALES.values.iter().zip(&mut costs) {
            let mut sales = Vec::new();
            for _ in 0..*count {
                sales.push(redis.create_sold(BUYERS.values[0]).await);
            }
            redis.measure(&sales, SALES_CALLS, cost).await;
            redis.delete(&sales).await;
        }
    }
    show(figures, &SALES, &costs)
}

/// Adds the medians; returns whether the last point costs about what the first does.
fn show(figures: &mut Figures, dial: &Dial, costs: &[Cost]) -> bool {
    let calls: Vec<Vec<f64>> = costs.iter().map(|cost| vec![median(cost.call.clone())]).collect();
    let cpu: Vec<Vec<f64>> = costs.iter().map(|cost| vec![median(cost.cpu.clone())]).collect();
    let mut is_met = false;
    for number in 0..costs.len() {
        let name = format!("a decision of {ATTEMPTS_MAX} attempts");
        figures.add(dial.figure(number, "call", &name, "µs", &calls));
        let mut figure = dial.figure(number, "cpu", "CPU of Redis an attempt", "µs", &cpu);
        if number + 1 == costs.len() {
            figure = figure.at_most_times(GROWTH_MAX);
            is_met = figure.is_met() == Some(true);
        }
        figures.add(figure);
    }
    is_met
}
