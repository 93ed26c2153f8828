//! What must hold when all is quiet, by the functions that every other check of the project uses.

use std::collections::{BTreeMap, BTreeSet};

use flashsale_core::{
    Class, History, LoggedDecision, Outcome, Receipt, Sides, compare,
    invariants::{
        Check, Sold, Violation, converged, no_oversell, nothing_invented, nothing_left_unsold, nothing_lost,
        one_unit_per_user, refusal_is_true, same_key_same_answer, stock_conserved,
    },
};

use crate::{
    redis::Hot,
    shop::{Answer, Shop},
};

/// What a case came to.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Broken promises.
    pub(crate) broken: Vec<String>,
    /// Promises that a shopper was given of a unit which nobody holds now, and that the protocol does not
    /// cover: 202 and ALREADY_PURCHASED, each with its receipt.
    pub(crate) void: Vec<Answer>,
    /// Units that were decided and that the log never got.
    pub(crate) vanished: Vec<Sold>,
    /// What the log breaks by refusals in a time that was taken back, together with units.
    pub(crate) outdated: Vec<String>,
}

impl Verdict {
    fn take(&mut self, check: Check) {
        if let Err(violation) = check {
            self.broken.push(violation.to_string());
        }
    }

    fn demand(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(otherwise());
        }
    }
}

/// Looks at every store by itself, and at every answer.
pub(crate) fn judge(shop: &Shop, users: u64) -> Verdict {
    let mut verdict = Verdict { broken: shop.broken.clone(), ..Verdict::default() };
    let units = shop.log.units();
    let logged: Vec<Sold> = units.units().filter_map(|(sequence, _)| units.sold_unit(sequence)).collect();
    let rows: Vec<Sold> = shop.postgres.rows.values().cloned().collect();
    vanished(shop, &logged, &mut verdict);
    verdict.take(no_oversell(shop.stock, &logged));
    verdict.take(one_unit_per_user(&logged));
    verdict.take(one_unit_per_user(&rows));
    verdict.take(nothing_invented(&rows, &logged));
    verdict.demand(shop.postgres.dead_letters.is_empty(), || {
        format!("I5: the log tells of units twice: {:?}", shop.postgres.dead_letters)
    });
    answers(shop, &logged, &rows, &mut verdict);

    // Of a refusal in a time that was taken back, together with units, nothing is asked.
    let taken_back = !verdict.vanished.is_empty();
    let in_force = |decision: &LoggedDecision| !taken_back || !is_taken_back(shop, decision);
    let history = shop.log.history(in_force);
    let holes = replay(&history, &mut verdict);
    let all = shop.log.history(|_| true).verify().into_iter().filter(|violation| !is_hole(violation));
    verdict.outdated =
        all.map(|violation| violation.to_string()).filter(|text| !verdict.broken.contains(text)).collect();
    verdict.take(nothing_left_unsold(shop.stock, users, history.sold() + holes.len() as u64));
    stores(shop, &history, &rows, &holes, &mut verdict);
    verdict
}

fn is_taken_back(shop: &Shop, decision: &LoggedDecision) -> bool {
    let accepted = matches!(decision.outcome, flashsale_core::LoggedOutcome::Accepted(_));
    let at = decision.decided_at;
    let first = shop.redis.lost_times.iter().map(|(after, _)| *after).min();
    let within = shop.redis.lost_times.iter().any(|(after, until)| *after < at && at <= *until);
    // The edge guesses the time, and remembers losers of then.
    !accepted && (within || decision.as_of_sequence.is_none() && first.is_some_and(|first| first < at))
}

fn is_hole(violation: &Violation) -> bool {
    violation.detail.ends_with("missing in the log")
}

/// I7: a unit vanishes only when Redis lost it, and whoever knew of it could not tell the log.
fn vanished(shop: &Shop, logged: &[Sold], verdict: &mut Verdict) {
    for unit in shop.redis.sold.iter().filter(|unit| !logged.contains(unit)) {
        let Sold { user, receipt, .. } = unit;
        verdict
            .demand(shop.redis.lost.contains(unit), || format!("I7: {receipt} of {user} vanished; Redis lost nothing"));
        let untold = shop.forgotten.contains(unit) || shop.log.dropped.contains(unit);
        verdict.demand(untold, || format!("I7: {receipt} of {user} vanished, though its record was not lost"));
        verdict.vanished.push(unit.clone());
    }
}

/// I4, I6, I8: what shoppers were told is so.
fn answers(shop: &Shop, logged: &[Sold], rows: &[Sold], verdict: &mut Verdict) {
    let holds = |user: &str, receipt: &Receipt| {
        logged.iter().any(|unit| unit.user.as_str() == user && unit.receipt == *receipt)
    };
    let (mut confirmed, mut by_key) = (Vec::new(), Vec::new());
    let mut refused_after: BTreeMap<String, String> = BTreeMap::new();
    for (attempt, answer) in &shop.told {
        let key = format!("{}/{}", attempt.user, attempt.request_id);
        let user = attempt.user.as_str();
        match answer {
            Answer::Purchased(receipt) => {
                let (user, request_id) = (attempt.user.clone(), attempt.request_id.clone());
                confirmed.push(Sold { user, request_id, receipt: receipt.clone() });
                by_key.push((key.clone(), receipt.to_string()));
                refused_after.insert(key, receipt.to_string());
            }
            // Of a receipt that came to nothing.
            Answer::Pending(receipt) | Answer::AlreadyPurchased(receipt) if !holds(user, receipt) => {
                let gone = verdict.vanished.iter().any(|unit| unit.user.as_str() == user && unit.receipt == *receipt);
                verdict.demand(gone, || format!("I4: {key} was told {answer}, which is not in the log"));
                verdict.void.push(answer.clone());
            }
            Answer::Pending(receipt) => by_key.push((key, receipt.to_string())),
            Answer::AlreadyPurchased(receipt) => {
                let outcome = Outcome::AlreadyPurchased(receipt.clone());
                verdict.take(refusal_is_true(shop.stock, shop.stock, holds(user, receipt), &outcome));
            }
            Answer::SoldOut => {
                let before = refused_after.get(&key);
                verdict.demand(before.is_none(), || format!("I8: {key} was told 200 {before:?}, then SOLD_OUT"));
            }
            Answer::Unavailable => {}
        }
    }
    verdict.take(nothing_lost(&confirmed, logged));
    verdict.take(nothing_lost(&confirmed, rows));
    verdict.take(same_key_same_answer(by_key.iter().map(|(key, answer)| (key.as_str(), answer.as_str()))));
}

/// I1, I2, I6, I9, I14 by replay. Returns the sequences that nobody holds; each must have vanished.
fn replay(history: &History, verdict: &mut Verdict) -> BTreeSet<u64> {
    let vanished: BTreeSet<u64> = verdict.vanished.iter().map(|unit| unit.receipt.sequence).collect();
    let holes: BTreeSet<u64> = history.missing().into_iter().flatten().collect();
    verdict.demand(holes.is_subset(&vanished), || format!("I9: the log lacks {holes:?}; only {vanished:?} vanished"));
    let broken = history.verify().into_iter().filter(|violation| !is_hole(violation));
    verdict.broken.extend(broken.map(|violation| violation.to_string()));
    holes
}

/// I3, I12: Redis, log and Postgres agree, and nothing is left to do.
fn stores(shop: &Shop, history: &History, rows: &[Sold], holes: &BTreeSet<u64>, verdict: &mut Verdict) {
    let hot = shop.redis.hot().map(Hot::whole);
    let report = compare(&Sides { log: history, redis: hot.as_ref(), rows });
    let leak = |class: Class| !holes.is_empty() && matches!(class, Class::LeakedUnit | Class::StockMismatch);
    for found in report.discrepancies.iter().filter(|found| !leak(found.class)) {
        verdict.broken.push(format!("I12: {}: {}", found.class, found.detail));
    }
    let drift = report.counts.iter().filter(|(class, _)| !leak(**class)).map(|(_, count)| count).sum();
    let outbox = hot.as_ref().map_or(0, |hot| hot.pending.len() + hot.pending_changes.len());
    verdict.take(converged(drift, shop.postgres.lag(&shop.log) as u64, outbox as u64));
    if let Some(hot) = hot {
        let leaked = holes.iter().filter(|hole| **hole <= hot.sequence).count();
        verdict.take(stock_conserved(hot.initial_stock, hot.stock, (hot.buyers.len() + leaked) as u64));
    }
    verdict.demand(shop.redis.is_open(), || "I12: the fence is still closed".to_owned());
}
