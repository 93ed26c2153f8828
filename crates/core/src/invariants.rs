//! The invariants of the system as functions over recorded facts.
//!
//! Tests, verification, reconciliation and the load tool's verdict call these and nothing else, so
//! a promise means the same wherever it is checked. The ids are those of the acceptance tables.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use crate::{Attempt, Decision, Micros, Outcome, Receipt, RequestId, SaleBook, SaleConfig, SaleId, SaleState, UserId};

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its id, such as `I1`.
    pub invariant: &'static str,
    /// What was seen, with the numbers.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

/// What a check returns: nothing, or what is wrong.
pub type Check = Result<(), Violation>;

fn violated(invariant: &'static str, detail: impl Into<String>) -> Check {
    Err(Violation { invariant, detail: detail.into() })
}

/// One sold unit, as one store tells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sold {
    /// Who.
    pub user: UserId,
    /// By which attempt.
    pub request_id: RequestId,
    /// Which unit, of which sale, when.
    pub receipt: Receipt,
}

/// I1: at every prefix in sequence order no more is sold than there was.
pub fn no_oversell(initial_stock: u64, sold: &[Sold]) -> Check {
    match sold.iter().map(|unit| unit.receipt.sequence).max() {
        Some(highest) if highest > initial_stock => {
            violated("I1", format!("unit {highest} of {initial_stock} was sold"))
        }
        _ if sold.len() as u64 > initial_stock => {
            violated("I1", format!("{} units of {initial_stock} were sold", sold.len()))
        }
        _ => Ok(()),
    }
}

/// I2: nobody holds two units.
pub fn one_unit_per_user(sold: &[Sold]) -> Check {
    let mut seen = HashMap::with_capacity(sold.len());
    for unit in sold {
        if let Some(first) = seen.insert(&unit.user, unit.receipt.sequence) {
            return violated("I2", format!("{} holds units {first} and {}", unit.user, unit.receipt.sequence));
        }
    }
    Ok(())
}

/// I3: initial = remaining + accepted.
pub fn stock_conserved(initial_stock: u64, remaining: u64, accepted: u64) -> Check {
    if remaining.checked_add(accepted) == Some(initial_stock) {
        return Ok(());
    }
    violated("I3", format!("{remaining} left + {accepted} sold is not {initial_stock}"))
}

/// I4: everything in `answered` stands in `store` once, with the same user, attempt and receipt.
pub fn nothing_lost(answered: &[Sold], store: &[Sold]) -> Check {
    let mut kept: HashMap<&Sold, usize> = HashMap::with_capacity(store.len());
    for unit in store {
        *kept.entry(unit).or_default() += 1;
    }
    for unit in answered {
        match kept.get(unit) {
            Some(1) => {}
            Some(times) => return violated("I4", format!("{} is stored {times} times", unit.receipt)),
            None => {
                return violated("I4", format!("{} of {} was confirmed but is not stored", unit.receipt, unit.user));
            }
        }
    }
    Ok(())
}

/// I5: everything in `rows` stands in `log` (the other direction of I4).
pub fn nothing_invented(rows: &[Sold], log: &[Sold]) -> Check {
    let known: HashSet<&Sold> = log.iter().collect();
    match rows.iter().find(|row| !known.contains(row)) {
        Some(row) => violated("I5", format!("{} of {} is not in the log", row.receipt, row.user)),
        None => Ok(()),
    }
}

/// I6 for one refusal: what `outcome` claims was so after `sold` units of `initial_stock`.
pub fn refusal_is_true(initial_stock: u64, sold: u64, holds_unit: bool, outcome: &Outcome) -> Check {
    match outcome {
        Outcome::SoldOut if sold < initial_stock => {
            violated("I6", format!("SOLD_OUT with {} units left", initial_stock - sold))
        }
        Outcome::AlreadyPurchased(receipt) if !holds_unit => {
            violated("I6", format!("ALREADY_PURCHASED with {receipt}, but the shopper holds no unit"))
        }
        _ => Ok(()),
    }
}

/// I7: enough eligible shoppers leave nothing on the shelf.
pub fn nothing_left_unsold(initial_stock: u64, eligible_users: u64, accepted: u64) -> Check {
    let due = initial_stock.min(eligible_users);
    if accepted >= due {
        return Ok(());
    }
    violated("I7", format!("{accepted} units sold to {eligible_users} eligible shoppers, {due} were due"))
}

/// I8: equal keys, equal answers. The pairs are (user and key, answer).
pub fn same_key_same_answer<'a>(answers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Check {
    let mut first: HashMap<&str, &str> = HashMap::new();
    for (key, answer) in answers {
        if let Some(before) = first.insert(key, answer)
            && before != answer
        {
            return violated("I8", format!("{key} was answered {before} and {answer}"));
        }
    }
    Ok(())
}

/// I9: the sequences are 1, 2, … without a hole or a repeat, and time does not run backwards.
pub fn dense_sequence(sold: &[Sold]) -> Check {
    let mut in_order: Vec<&Receipt> = sold.iter().map(|unit| &unit.receipt).collect();
    in_order.sort_by_key(|receipt| receipt.sequence);
    let mut before = Micros(i64::MIN);
    for (expected, receipt) in (1..).zip(in_order) {
        if receipt.sequence != expected {
            let what = if receipt.sequence > expected { "missing" } else { "there twice" };
            return violated("I9", format!("sequence {} is {what}", expected.min(receipt.sequence)));
        }
        if receipt.decided_at < before {
            return violated("I9", format!("{receipt} was decided before the unit in front of it"));
        }
        before = receipt.decided_at;
    }
    Ok(())
}

/// One logged decision with what it answered.
#[derive(Debug, Clone)]
pub struct Logged {
    /// The attempt.
    pub attempt: Attempt,
    /// The sale it named.
    pub expected: SaleId,
    /// When Redis decided.
    pub decided_at: Micros,
    /// The answer.
    pub decision: Decision,
}

/// I9, second half: the history through the model gives every answer again. `history` is in the
/// order in which Redis decided.
pub fn replay_agrees(config: &SaleConfig, created_at: Micros, history: &[Logged]) -> Check {
    let mut book = SaleBook::create(config.clone(), created_at);
    for entry in history {
        let again = book.decide(entry.decided_at, &entry.expected, &entry.attempt);
        if again != entry.decision {
            return violated(
                "I9",
                format!("{}: logged {:?}, the model says {again:?}", entry.attempt.user, entry.decision),
            );
        }
    }
    Ok(())
}

/// What a consumer did with the records of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Records read.
    pub consumed: u64,
    /// Records that changed the view.
    pub applied: u64,
    /// Records whose effect was there already.
    pub duplicate: u64,
    /// Records sent to the dead letters.
    pub rejected: u64,
    /// Records that do not concern the view.
    pub skipped: u64,
}

/// I10: every record read is accounted for.
pub fn accounted(accounts: &Accounts) -> Check {
    let sum = accounts.applied + accounts.duplicate + accounts.rejected + accounts.skipped;
    if sum == accounts.consumed {
        return Ok(());
    }
    violated("I10", format!("{} records consumed, {sum} accounted for: {accounts:?}", accounts.consumed))
}

/// I11: the stock that one listener saw of one sale never rises.
pub fn stock_never_rises(seen: &[u64]) -> Check {
    match seen.windows(2).find(|pair| pair[1] > pair[0]) {
        Some(pair) => violated("I11", format!("stock rose from {} to {}", pair[0], pair[1])),
        None => Ok(()),
    }
}

/// I12: after healing nothing is left to do.
pub fn converged(drift: u64, lag: u64, outbox: u64) -> Check {
    if drift == 0 && lag == 0 && outbox == 0 {
        return Ok(());
    }
    violated("I12", format!("drift {drift}, lag {lag}, outbox {outbox}"))
}

/// I13: a refusal for overload is a 429 or 503 and says when to come back.
pub fn overload_is_polite(status: u16, has_retry_after: bool) -> Check {
    match status {
        200..=499 if status != 429 => Ok(()),
        429 | 503 if has_retry_after => Ok(()),
        _ => violated("I13", format!("status {status}, Retry-After: {has_retry_after}")),
    }
}

/// I14: every unit was sold in `[start, end)`.
pub fn within_window(config: &SaleConfig, sold: &[Sold]) -> Check {
    match sold.iter().find(|unit| unit.receipt.decided_at < config.start || unit.receipt.decided_at >= config.end) {
        Some(unit) => violated("I14", format!("{} was sold outside the sale's time", unit.receipt)),
        None => Ok(()),
    }
}

/// I14: the states one sale went through are UPCOMING, ACTIVE, ENDED in this order, none left out.
pub fn legal_transitions(states: &[SaleState]) -> Check {
    let mut steps = states.to_vec();
    steps.dedup();
    let legal = [SaleState::Upcoming, SaleState::Active, SaleState::Ended];
    if legal.starts_with(&steps) {
        return Ok(());
    }
    violated("I14", format!("states were {steps:?}"))
}

#[cfg(test)]
#[path = "invariants_tests.rs"]
mod tests;
