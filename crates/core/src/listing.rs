//! A sale as shoppers are shown it.

use serde::Serialize;

use crate::{Challenge, EndReason, Micros, SaleState, SaleStatus, Sku};

/// What everybody may know of a sale, in the JSON of the HTTP contract: in `GET sales`, in the catalogue, and as the
/// `initial` event of the live stream.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing<'a> {
    sku: &'a Sku,
    state: SaleState,
    stock: u64,
    initial_stock: u64,
    product_name: &'a str,
    start_time: String,
    end_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<EndReason>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<Challenge>,
    server_time: String,
}

impl<'a> Listing<'a> {
    /// The sale at `now`, the time of whoever tells of it.
    pub fn of(status: &'a SaleStatus, now: Micros) -> Self {
        let config = &status.config;
        Self {
            sku: &config.sku,
            state: status.state,
            stock: status.stock(),
            initial_stock: config.initial_stock,
            product_name: &config.product_name,
            start_time: config.start.to_string(),
            end_time: config.end.to_string(),
            end_reason: status.end_reason,
            paused: status.paused,
            challenge: Some(config.challenge).filter(|challenge| *challenge != Challenge::None),
            server_time: now.to_string(),
        }
    }
}
