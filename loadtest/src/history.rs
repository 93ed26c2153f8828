//! Whether all that the clients were told can be true at once: is the history linearizable?
//!
//! The object is a bounded counter with a set of buyers. In general the question is a search over all orders. Here each
//! receipt carries the sequence of its unit, so the order of the sales is given, and what remains is whether the times
//! allow it: one clock measured them all. Sorting is the most that it costs.
//!
//! An attempt without an answer may have bought a unit or not; whatever explains the rest is taken for what happened.

use std::collections::{BTreeMap, BTreeSet};

use crate::recorder::{Attempt, Outcome, ToldReceipt};

/// Findings of one invariant that are told; the others are counted.
const FINDINGS_MAX: usize = 20;

/// What cannot be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise that it breaks: `I1`, `I2`, `I6`, `I8` or `I9`.
    pub invariant: &'static str,
    /// What was seen, with the numbers.
    pub what: String,
}

/// Everything in `attempts`, all of one sale of `units`, that cannot be true beside the rest; at most twenty an
/// invariant and then how many more. Nobody else bought.
pub fn check(attempts: &[Attempt], units: u64) -> Vec<Violation> {
    check_beside(attempts, units, &BTreeSet::new())
}

/// The same of a sale in which the units with these sequences went to `others`, whose attempts nobody recorded.
pub fn check_beside(attempts: &[Attempt], units: u64, others: &BTreeSet<u64>) -> Vec<Violation> {
    let mut found = Findings::default();
    let mut sorted: Vec<&Attempt> = attempts.iter().collect();
    sorted.sort_by_key(|attempt| (attempt.shopper, attempt.key, attempt.sent_us));
    let (mut holdings, mut unknown) = (Vec::new(), 0);
    for of_shopper in sorted.chunk_by(|one, next| one.shopper == next.shopper) {
        match holding(of_shopper, &mut found) {
            Some(holding) => holdings.push(holding),
            None => unknown += u64::from(may_hold(of_shopper)),
        }
    }
    holdings.sort_by_key(|holding| (holding.sequence, holding.shopper));
    bounded(&holdings, units, others, &mut found);
    in_order(&holdings, &mut found);
    let sold_out = attempts.iter().filter(|one| one.outcome == Outcome::SoldOut).min_by_key(|one| one.answered_us);
    if let Some(sold_out) = sold_out {
        ended_for_all(sold_out, &holdings, &mut found);
    }
    // Who was told SOLD_OUT knows that the last unit has a holder.
    without_holes(&holdings, sold_out.map(|_| units), others, unknown, &mut found);
    found.into_violations()
}

/// The unit that a receipt is of, from the end of its number.
pub fn sequence(receipt: &ToldReceipt) -> Option<u64> {
    receipt.number.rsplit('-').next()?.parse().ok()
}

/// Whether the answer says that the shopper holds a unit.
pub fn tells_of_unit(outcome: Outcome) -> bool {
    is_success(outcome) || outcome == Outcome::AlreadyPurchased
}

/// Whether a key was answered more than once, so that there is something to compare. What decides nothing, as a 503, is
/// no answer here.
pub fn has_key_answered_twice(attempts: &[Attempt]) -> bool {
    let is_answer = |one: &&Attempt| tells_of_unit(one.outcome) || one.outcome == Outcome::SoldOut;
    let with_key = attempts.iter().filter(is_answer).filter(|one| one.key != 0);
    let mut keys: Vec<(u64, u64)> = with_key.map(|one| (one.shopper, one.key)).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

fn is_success(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Purchased | Outcome::Pending)
}

/// Whether such an attempt may have been decided all the same. A 429 comes before any decision.
fn is_unknown(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Unavailable | Outcome::Unexpected(_) | Outcome::Broken)
}

/// A unit and its shopper, and between which two moments it was sold.
#[derive(Debug)]
struct Holding<'a> {
    shopper: u64,
    sequence: u64,
    receipt: &'a ToldReceipt,
    /// The first attempt was sent that can have bought it, in µs since the start of the run.
    sent_us: u64,
    /// The first answer told of it, likewise.
    answered_us: u64,
}

#[derive(Debug, Default)]
struct Findings(BTreeMap<&'static str, (Vec<String>, u64)>);

impl Findings {
    fn add(&mut self, invariant: &'static str, what: String) {
        let (told, count) = self.0.entry(invariant).or_default();
        *count += 1;
        if told.len() < FINDINGS_MAX {
            told.push(what);
        }
    }

    fn into_violations(self) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (invariant, (told, count)) in self.0 {
            let more = count - told.len() as u64;
            violations.extend(told.into_iter().map(|what| Violation { invariant, what }));
            if more > 0 {
                violations.push(Violation { invariant, what: format!("and {more} more") });
            }
        }
        violations
    }
}

type Told<'a> = (&'a Attempt, &'a ToldReceipt);

/// What a shopper was told that they hold; none when they were told of nothing. The attempts are all theirs, by key.
fn holding<'a>(attempts: &[&'a Attempt], found: &mut Findings) -> Option<Holding<'a>> {
    let mut told: Vec<Told<'a>> = Vec::new();
    for &attempt in attempts.iter().filter(|attempt| tells_of_unit(attempt.outcome)) {
        match &attempt.receipt {
            Some(receipt) => told.push((attempt, receipt)),
            None => found.add("I8", format!("{} was told of a unit without a receipt", named(attempt))),
        }
    }
    // The lowest of several, which is wrong already.
    let (first, receipt) = *told.iter().min_by_key(|(_, receipt)| sequence(receipt))?;
    let shopper = first.shopper;
    one_receipt(&told, found);
    let Some(sequence) = sequence(receipt) else {
        found.add("I8", format!("{} was shown the receipt {}, which names no unit", named(first), receipt.number));
        return None;
    };
    let sent_us = bought_from(attempts, &told, found);
    if let Some(refused) = attempts.iter().find(|attempt| attempt.outcome == Outcome::SoldOut) {
        // By then every unit had its holder, so this shopper had theirs.
        found.add("I6", format!("{} was told SOLD_OUT and holds unit {sequence}", named(refused)));
    }
    let is_of_one_key = |refused: &&&Attempt| {
        let is_same = |(one, _): &Told<'_>| one.key == refused.key;
        refused.outcome == Outcome::SoldOut && refused.key != 0 && told.iter().any(is_same)
    };
    if let Some(refused) = attempts.iter().find(is_of_one_key) {
        found.add("I8", format!("{} was answered SOLD_OUT, and told of unit {sequence}", named(refused)));
    }
    for (early, _) in told.iter().filter(|(one, _)| one.answered_us < sent_us) {
        let at = early.answered_us;
        found.add(
            "I6",
            format!("{} was told at {at} µs of unit {sequence}, first tried for at {sent_us} µs", named(early)),
        );
    }
    let answered_us = told.iter().map(|(one, _)| one.answered_us).min().unwrap_or(u64::MAX);
    Some(Holding { shopper, sequence, receipt, sent_us, answered_us })
}

fn named(attempt: &Attempt) -> String {
    match attempt.key {
        0 => format!("shopper {}", attempt.shopper),
        key => format!("shopper {} with key {key}", attempt.shopper),
    }
}

/// One receipt a shopper (I2), and equal answers for equal keys (I8).
fn one_receipt(told: &[Told<'_>], found: &mut Findings) {
    let mut is_told = false;
    for pair in told.windows(2) {
        let [(one, before), (next, after)] = pair else { continue };
        let one_key = one.key == next.key && one.key != 0;
        if one_key && (before != after || is_success(one.outcome) != is_success(next.outcome)) {
            let answers = (answer(one, before), answer(next, after));
            found.add("I8", format!("{} was answered {} and {}", named(one), answers.0, answers.1));
            is_told = true;
        }
    }
    let units: BTreeSet<u64> = told.iter().filter_map(|(_, receipt)| sequence(receipt)).collect();
    let Some((first, receipt)) = told.first() else { return };
    if units.len() > 1 {
        found.add("I2", format!("shopper {} holds the units {units:?}", first.shopper));
    } else if let Some((_, other)) = told.iter().find(|(_, other)| other != receipt)
        && !is_told
    {
        let what = format!(
            "shopper {} was told {} of {} and {} of {}",
            first.shopper, receipt.number, receipt.at, other.number, other.at
        );
        found.add("I8", what);
    }
}

fn answer(attempt: &Attempt, receipt: &ToldReceipt) -> String {
    format!("{} with {} of {}", attempt.outcome.name(), receipt.number, receipt.at)
}

/// When the first attempt was sent that can have bought the unit that the shopper was told of, in µs.
fn bought_from(attempts: &[&Attempt], told: &[Told<'_>], found: &mut Findings) -> u64 {
    let mut successes = told.iter().map(|(one, _)| *one).filter(|one| is_success(one.outcome));
    let Some(bought) = successes.next() else {
        // The answer that told of the success never came.
        let lost = attempts.iter().filter(|one| is_unknown(one.outcome)).map(|one| one.sent_us).min();
        if lost.is_none()
            && let Some((first, _)) = told.first()
        {
            found.add("I6", format!("{} was told ALREADY_PURCHASED, and no attempt before bought", named(first)));
        }
        return lost.unwrap_or(0);
    };
    if let Some(other) = successes.find(|other| other.key == 0 || other.key != bought.key) {
        found.add("I2", format!("{} was sold the unit that {} had been sold", named(other), named(bought)));
    }
    // Under the key that bought, also one whose answer is lost.
    let able =
        |one: &Attempt| is_success(one.outcome) || (is_unknown(one.outcome) && one.key == bought.key && one.key != 0);
    attempts.iter().filter(|one| able(one)).map(|one| one.sent_us).min().unwrap_or(bought.sent_us)
}

/// Whether a shopper who was told of no unit may hold one. Who was told SOLD_OUT does not: holders are told otherwise.
fn may_hold(attempts: &[&Attempt]) -> bool {
    let refused = attempts.iter().any(|one| one.outcome == Outcome::SoldOut);
    !refused && attempts.iter().any(|one| is_unknown(one.outcome))
}

/// No more units than there were (I1), and none told twice (I9).
fn bounded(holdings: &[Holding<'_>], units: u64, others: &BTreeSet<u64>, found: &mut Findings) {
    let sold = holdings.len() as u64 + others.len() as u64;
    if sold > units {
        found.add("I1", format!("{sold} of {units} units were sold"));
    }
    for Holding { shopper, sequence, .. } in holdings {
        if *sequence == 0 || *sequence > units {
            found.add("I1", format!("shopper {shopper} was sold unit {sequence} of {units}"));
        }
        if others.contains(sequence) {
            found.add("I9", format!("shopper {shopper} was told of unit {sequence}, which somebody else holds"));
        }
    }
    for pair in holdings.windows(2).filter(|pair| pair[0].sequence == pair[1].sequence) {
        let (one, other) = (pair[0].shopper, pair[1].shopper);
        found.add("I9", format!("the shoppers {one} and {other} were both told of unit {}", pair[0].sequence));
    }
}

/// A unit was told of before somebody even asked for an earlier one, or times of receipts run backwards (I9).
fn in_order(holdings: &[Holding<'_>], found: &mut Findings) {
    let mut latest: Option<&Holding<'_>> = None;
    for holding in holdings {
        if let Some(before) = latest.filter(|before| before.sent_us > holding.answered_us) {
            let (unit, at) = (holding.sequence, holding.answered_us);
            let what = format!(
                "unit {unit} was told at {at} µs, but unit {} was first tried for at {} µs",
                before.sequence, before.sent_us
            );
            found.add("I9", what);
        }
        if latest.is_none_or(|before| before.sent_us < holding.sent_us) {
            latest = Some(holding);
        }
    }
    for pair in holdings.windows(2).filter(|pair| pair[0].receipt.at > pair[1].receipt.at) {
        let (one, next) = (pair[0].receipt, pair[1].receipt);
        found.add("I9", format!("{} of {} stands before {} of {}", one.number, one.at, next.number, next.at));
    }
}

/// Nobody bought after somebody was told that nothing is left (I6).
fn ended_for_all(sold_out: &Attempt, holdings: &[Holding<'_>], found: &mut Findings) {
    let at = sold_out.answered_us;
    for late in holdings.iter().filter(|holding| holding.sent_us > at) {
        let what = format!(
            "{} was told SOLD_OUT at {at} µs, and unit {} was bought by an attempt sent at {} µs",
            named(sold_out),
            late.sequence,
            late.sent_us
        );
        found.add("I6", what);
    }
}

/// Every unit up to the highest is held by somebody, or by one of those who never heard what became of their attempt:
/// else a sequence was left out (I9), or SOLD_OUT was told too early (I6).
fn without_holes(
    holdings: &[Holding<'_>],
    all_sold: Option<u64>,
    others: &BTreeSet<u64>,
    unknown: u64,
    found: &mut Findings,
) {
    let mut held: BTreeSet<u64> = holdings.iter().map(|holding| holding.sequence).collect();
    held.extend(others);
    let highest = held.last().copied().unwrap_or(0);
    let holes = highest.saturating_sub(held.len() as u64);
    if holes > unknown {
        found.add("I9", format!("{holes} of the {highest} first units are nobody's; {unknown} shoppers may hold one"));
    }
    if let Some(units) = all_sold.filter(|units| held.len() as u64 + unknown < *units) {
        let known = held.len();
        found.add(
            "I6",
            format!("SOLD_OUT was told; of {units} units {known} are held, and {unknown} shoppers may hold one"),
        );
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
