//! What each shopper did.

use flashsale_core::Micros;

use crate::builder::{Answer, Facts};

/// One shopper.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shopper {
    pub(crate) attempts: u64,
    /// Units bought; more than one is a broken promise.
    pub(crate) units: u64,
    /// When the first attempt that was decided after the start arrived. Of one whose arrival is not known, when it was
    /// decided: that is later by its latency.
    pub(crate) arrived_at: Option<Micros>,
}

/// All shoppers of a sale that begins at `start`, by their number.
pub(crate) fn shoppers(facts: &Facts, start: Micros) -> Vec<Shopper> {
    let mut shoppers = vec![Shopper::default(); facts.shoppers.count()];
    for attempt in &facts.attempts {
        let shopper = &mut shoppers[attempt.shopper as usize];
        shopper.attempts += 1;
        shopper.units += u64::from(attempt.answer == Answer::Accepted);
        if attempt.decided_at >= start {
            let arrived_at = attempt.arrived_at().unwrap_or(attempt.decided_at);
            shopper.arrived_at = Some(shopper.arrived_at.map_or(arrived_at, |first| first.min(arrived_at)));
        }
    }
    shoppers
}
