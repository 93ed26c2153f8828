//! The scripts on a real Redis.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod differential;
mod fence;
mod scripts;
mod tls;

use std::time::Duration;

use flashsale_core::{Attempt, Challenge, Micros, RequestId, SaleConfig, SaleId, Sku, UserId};
use flashsale_lua::{Config, HotState};

/// A hot state of this test alone.
async fn hot_state() -> HotState {
    let mut config = Config::new(flashsale_testkit::redis().await);
    config.key_prefix = format!("{}:", flashsale_testkit::unique("lua"));
    config.response_timeout = Duration::from_secs(10);
    let hot = HotState::connect(&config).await.expect("Redis answers");
    hot.open_new("test").await.expect("nobody recovers");
    hot
}

/// A sale with times in ms from Redis' now.
async fn sale(redis: &HotState, stock: u64, start_in: i64, end_in: i64) -> SaleConfig {
    let now = redis.now().await.expect("Redis tells the time").as_millis();
    SaleConfig {
        sale_id: SaleId::generate(Micros::from_millis(now), 7),
        sku: Sku::new("PHONE").expect("valid"),
        product_name: "A \"phone\" | with odd | name ☎".into(),
        initial_stock: stock,
        start: Micros::from_millis(now + start_in),
        end: Micros::from_millis(now + end_in),
        challenge: Challenge::ProofOfWork,
    }
}

fn attempt(user: &str, request: &str) -> Attempt {
    Attempt { user: UserId::new(user).expect("valid"), request_id: RequestId::new(request).expect("valid") }
}
