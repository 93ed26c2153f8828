//! What shoppers were told, beside what the log and Postgres hold.

use std::collections::{BTreeSet, HashMap, HashSet};

use flashsale_core::{History, Receipt, UserId, invariants::Sold};

use super::Findings;
use crate::{
    history::tells_of_unit,
    recorder::{Attempt, Lookup, Outcome, ToldReceipt},
};

/// One sale in the two stores that keep it for ever.
pub(super) struct Sides<'a> {
    pub(super) logged: &'a History,
    pub(super) rows: &'a [Sold],
    pub(super) initial_stock: u64,
    /// In front of the number in the name of every shopper of the run.
    pub(super) prefix: &'a str,
}

/// Who holds the units, by the log.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// How many units shoppers of the run hold.
    pub(super) ours: u64,
    /// The sequences of those that somebody else holds.
    pub(super) others: BTreeSet<u64>,
}

impl Sides<'_> {
    pub(super) fn holders(&self) -> Holders {
        let mut holders = Holders::default();
        for (sequence, unit) in self.logged.units() {
            if number_of(self.prefix, unit.user.as_str()).is_some() {
                holders.ours += 1;
            } else {
                holders.others.insert(sequence);
            }
        }
        holders
    }

    fn logged_of(&self, user: &UserId) -> Option<Receipt> {
        let (sequence, _) = self.logged.unit_of(user)?;
        self.logged.receipt(sequence)
    }

    /// The shopper with this number.
    fn user(&self, shopper: u64, findings: &mut Findings) -> Option<UserId> {
        let name = format!("{}-{shopper}", self.prefix);
        let user = UserId::new(&name).ok();
        if user.is_none() {
            findings.add("I4", format!("{name} is no name of a shopper"));
        }
        user
    }

    fn rows_by_user(&self) -> Rows<'_> {
        self.rows.iter().map(|row| (&row.user, &row.receipt)).collect()
    }
}

/// The receipts in Postgres, by their holders.
type Rows<'a> = HashMap<&'a UserId, &'a Receipt>;

/// The number of a shopper whose name is `<prefix>-<number>`.
fn number_of(prefix: &str, user: &str) -> Option<u64> {
    user.strip_prefix(prefix)?.strip_prefix('-')?.parse().ok()
}

/// I4 of every success, I6 of every refusal, I13 of whoever was not served.
pub(super) fn compare(sides: &Sides<'_>, attempts: &[Attempt], findings: &mut Findings) {
    let rows = sides.rows_by_user();
    let (sold, initial_stock) = (sides.logged.sold(), sides.initial_stock);
    for attempt in attempts {
        let shopper = attempt.shopper;
        if attempt.outcome == Outcome::SoldOut && sold < initial_stock {
            findings.add("I6", format!("shopper {shopper} was told SOLD_OUT, {sold} of {initial_stock} are sold"));
        }
        if !attempt.polite {
            let outcome = attempt.outcome.name();
            findings.add("I13", format!("shopper {shopper} was answered {outcome}, and not when to come back"));
        }
        let Some(receipt) = attempt.receipt.as_ref().filter(|_| tells_of_unit(attempt.outcome)) else { continue };
        let Some(user) = sides.user(shopper, findings) else { continue };
        if attempt.outcome == Outcome::AlreadyPurchased && sides.logged_of(&user).is_none() {
            findings.add("I6", format!("{user} was told ALREADY_PURCHASED and holds nothing"));
        }
        stands(sides, &rows, &user, receipt, findings);
    }
}

/// I4 of one receipt that a shopper was told: it stands in the log and in Postgres.
fn stands(sides: &Sides<'_>, rows: &Rows<'_>, user: &UserId, receipt: &ToldReceipt, findings: &mut Findings) {
    let logged = sides.logged_of(user);
    for (store, kept) in [("the log", logged.as_ref()), ("Postgres", rows.get(user).copied())] {
        if !kept.is_some_and(|kept| is_same(receipt, kept)) {
            let kept = kept.map_or_else(|| "nothing".to_owned(), |kept| format!("{kept} of {}", kept.decided_at));
            findings.add("I4", format!("{user} was told {} of {}, {store} has {kept}", receipt.number, receipt.at));
        }
    }
}

fn is_same(told: &ToldReceipt, kept: &Receipt) -> bool {
    *told.number == *kept.number() && *told.at == *kept.decided_at.to_string()
}

/// I4 of every receipt that was shown to who looked theirs up, I6 of every answer that there is none: it cannot be true
/// when its shopper had been told of a unit before they asked. Returns how many of these answers there are.
pub(super) fn looked_up(sides: &Sides<'_>, attempts: &[Attempt], lookups: &[Lookup], findings: &mut Findings) -> u64 {
    let (rows, told_at) = (sides.rows_by_user(), first_told(attempts, lookups));
    let mut compared = 0;
    for Lookup { shopper, sent_us, outcome, receipt, .. } in lookups {
        match (outcome, receipt) {
            (Outcome::Found, Some(receipt)) => {
                if let Some(user) = sides.user(*shopper, findings) {
                    stands(sides, &rows, &user, receipt, findings);
                }
            }
            (Outcome::Found, None) => {
                findings.add("I4", format!("shopper {shopper} looked their receipt up and was shown none"));
            }
            (Outcome::NotFound, _) => {
                if let Some(at) = told_at.get(shopper).filter(|at| *at <= sent_us) {
                    let what = format!("shopper {shopper} was told of a unit at {at} µs, and of none at {sent_us} µs");
                    findings.add("I6", what);
                }
            }
            // Refused or lost, it says nothing of a unit.
            _ => continue,
        }
        compared += 1;
    }
    compared
}

/// When each shopper had first been told that a unit is theirs, in microseconds since the start of the run.
fn first_told(attempts: &[Attempt], lookups: &[Lookup]) -> HashMap<u64, u64> {
    let tried = attempts.iter().filter(|one| tells_of_unit(one.outcome)).map(|one| (one.shopper, one.answered_us));
    let seen = lookups.iter().filter(|one| one.outcome == Outcome::Found).map(|one| (one.shopper, one.answered_us));
    let mut first: HashMap<u64, u64> = HashMap::new();
    for (shopper, at) in tried.chain(seen) {
        first.entry(shopper).and_modify(|known| *known = at.min(*known)).or_insert(at);
    }
    first
}

/// I6 of everybody who holds a unit: somebody told them, or they do not know what became of an attempt. Without attempts
/// nobody can tell.
pub(super) fn nobody_holds_what_they_were_refused(sides: &Sides<'_>, attempts: &[Attempt], findings: &mut Findings) {
    if attempts.is_empty() {
        return;
    }
    let may_hold = |one: &&Attempt| {
        let is_unknown = matches!(one.outcome, Outcome::Unavailable | Outcome::Broken | Outcome::Unexpected(_));
        is_unknown || tells_of_unit(one.outcome)
    };
    let may_hold: HashSet<u64> = attempts.iter().filter(may_hold).map(|one| one.shopper).collect();
    for (sequence, unit) in sides.logged.units() {
        if number_of(sides.prefix, unit.user.as_str()).is_some_and(|shopper| !may_hold.contains(&shopper)) {
            findings.add("I6", format!("{} was refused, or never came, and holds unit {sequence}", unit.user));
        }
    }
}

/// How many shoppers were there while something was for sale, as far as they know what became of them.
pub(super) fn who_could_buy(attempts: &[Attempt]) -> u64 {
    let decided = attempts.iter().filter(|one| tells_of_unit(one.outcome) || one.outcome == Outcome::SoldOut);
    decided.map(|one| one.shopper).collect::<HashSet<_>>().len() as u64
}

#[cfg(test)]
mod tests {
    use flashsale_core::{Attempt as LoggedAttempt, LoggedDecision, LoggedOutcome, Micros, RequestId, SaleId};

    use super::*;
    use crate::verdict::State;

    fn sale() -> SaleId {
        SaleId::new("06C5HN3T8Q2Z").unwrap()
    }

    fn sold(user: &str, sequence: u64) -> Sold {
        let decided_at = Micros::from_millis(1_795_435_200_000 + i64::try_from(sequence).unwrap());
        Sold {
            user: UserId::new(user).unwrap(),
            request_id: RequestId::new("r").unwrap(),
            receipt: Receipt { sale_id: sale(), sequence, decided_at },
        }
    }

    fn history(units: &[Sold]) -> History {
        let mut history = History::new(sale());
        for Sold { user, request_id, receipt } in units.iter().cloned() {
            history.take(LoggedDecision {
                attempt: LoggedAttempt { user, request_id },
                sale_id: sale(),
                outcome: LoggedOutcome::Accepted(receipt.sequence),
                decided_at: receipt.decided_at,
                as_of_sequence: Some(receipt.sequence),
                remaining: Some(2 - receipt.sequence),
            });
        }
        history
    }

    fn told(shopper: u64, outcome: Outcome, unit: Option<&Sold>) -> Attempt {
        let receipt = unit.map(|unit| ToldReceipt {
            number: unit.receipt.number().into(),
            at: unit.receipt.decided_at.to_string().into(),
        });
        Attempt { shopper, key: 0, due_us: 0, sent_us: 0, answered_us: 1, outcome, polite: true, receipt }
    }

    fn found(rows: &[Sold], attempts: &[Attempt]) -> Vec<&'static str> {
        let logged = history(&[sold("run-1", 1), sold("somebody", 2)]);
        let sides = Sides { logged: &logged, rows, initial_stock: 2, prefix: "run" };
        let holders = sides.holders();
        assert_eq!((holders.ours, holders.others), (1, BTreeSet::from([2])));
        let mut findings = Findings::default();
        compare(&sides, attempts, &mut findings);
        broken(findings)
    }

    fn broken(findings: Findings) -> Vec<&'static str> {
        let checks = findings.into_checks(None, None).into_iter();
        checks.filter(|check| check.state == State::Broken).map(|check| check.id).collect()
    }

    /// What is found of shoppers who look up what they hold of a sale of which `run-1` has the first unit.
    fn looked(rows: &[Sold], attempts: &[Attempt], lookups: &[Lookup]) -> (u64, Vec<&'static str>) {
        let logged = history(&[sold("run-1", 1), sold("somebody", 2)]);
        let sides = Sides { logged: &logged, rows, initial_stock: 2, prefix: "run" };
        let mut findings = Findings::default();
        let compared = looked_up(&sides, attempts, lookups, &mut findings);
        (compared, broken(findings))
    }

    fn lookup(shopper: u64, times: std::ops::Range<u64>, outcome: Outcome, unit: Option<&Sold>) -> Lookup {
        let receipt = told(shopper, outcome, unit).receipt;
        Lookup { shopper, sent_us: times.start, answered_us: times.end, outcome, receipt }
    }

    #[test]
    fn i_4_what_was_told_stands_in_both_stores() {
        let (unit, other) = (sold("run-1", 1), sold("run-1", 2));
        let (rows, bought) = ([unit.clone()], told(1, Outcome::Purchased, Some(&unit)));
        let nothing = Vec::<&str>::new();
        assert_eq!(found(&rows, &[bought.clone(), told(2, Outcome::SoldOut, None)]), nothing);
        assert_eq!(found(&[], &[bought]), ["I4"], "Postgres lacks it");
        assert_eq!(found(&rows, &[told(1, Outcome::Purchased, Some(&other))]), ["I4"], "another unit");
        assert_eq!(found(&rows, &[told(3, Outcome::Purchased, Some(&unit))]), ["I4"], "another shopper");
        let later = Sold { receipt: Receipt { decided_at: Micros(0), ..unit.receipt.clone() }, ..unit };
        assert_eq!(
            found(std::slice::from_ref(&later), &[told(1, Outcome::Pending, Some(&later))]),
            ["I4"],
            "another time"
        );
    }

    #[test]
    fn i_6_and_i_13_refusals_are_true_and_polite() {
        let unit = sold("run-3", 1);
        assert_eq!(found(&[], &[told(3, Outcome::AlreadyPurchased, Some(&unit))]), ["I4", "I6"]);
        let rude = Attempt { polite: false, ..told(3, Outcome::Unavailable, None) };
        assert_eq!(found(&[], &[rude]), ["I13"]);
        let early = Sides { logged: &history(&[]), rows: &[], initial_stock: 2, prefix: "run" };
        let mut findings = Findings::default();
        compare(&early, &[told(3, Outcome::SoldOut, None)], &mut findings);
        assert_eq!(broken(findings), ["I6"]);
    }

    #[test]
    fn i_4_a_receipt_that_was_shown_stands_in_both_stores() {
        let (unit, other) = (sold("run-1", 1), sold("run-1", 2));
        let rows = [unit.clone()];
        let shown = |shopper: u64, unit: Option<&Sold>| [lookup(shopper, 5..6, Outcome::Found, unit)];
        assert_eq!(looked(&rows, &[], &shown(1, Some(&unit))), (1, vec![]));
        assert_eq!(looked(&[], &[], &shown(1, Some(&unit))), (1, vec!["I4"]), "Postgres lacks it");
        assert_eq!(looked(&rows, &[], &shown(1, Some(&other))), (1, vec!["I4"]), "another unit");
        assert_eq!(looked(&rows, &[], &shown(3, Some(&unit))), (1, vec!["I4"]), "another shopper");
        assert_eq!(looked(&rows, &[], &shown(1, None)), (1, vec!["I4"]), "a receipt that cannot be read");
        let later = Sold { receipt: Receipt { decided_at: Micros(0), ..unit.receipt.clone() }, ..unit.clone() };
        assert_eq!(looked(&rows, &[], &shown(1, Some(&later))), (1, vec!["I4"]), "another time");
    }

    #[test]
    fn i_6_who_has_been_told_of_a_unit_is_not_told_of_none() {
        let unit = sold("run-1", 1);
        let rows = [unit.clone()];
        let none = |sent: u64| lookup(1, sent..sent + 10, Outcome::NotFound, None);
        for outcome in [Outcome::Purchased, Outcome::Pending, Outcome::AlreadyPurchased] {
            let bought = [Attempt { sent_us: 2, answered_us: 20, ..told(1, outcome, Some(&unit)) }];
            assert_eq!(looked(&rows, &bought, &[none(1), none(19)]), (2, vec![]), "not told yet: {outcome:?}");
            assert_eq!(looked(&rows, &bought, &[none(20)]), (1, vec!["I6"]), "{outcome:?}");
        }
        let seen = lookup(1, 30..40, Outcome::Found, Some(&unit));
        assert_eq!(looked(&rows, &[], &[none(35), seen.clone()]), (2, vec![]));
        assert_eq!(looked(&rows, &[], &[seen, none(41)]), (2, vec!["I6"]), "it was shown before");
        let sold_out = [told(1, Outcome::SoldOut, None)];
        assert_eq!(looked(&[], &sold_out, &[none(50)]), (1, vec![]), "who holds none is told so");
        let unanswered =
            [Outcome::Unavailable, Outcome::RateLimited, Outcome::Broken].map(|why| lookup(1, 60..61, why, None));
        assert_eq!(looked(&rows, &[], &unanswered), (0, vec![]), "says nothing");
    }

    #[test]
    fn i_6_who_was_refused_holds_nothing() {
        let logged = history(&[sold("run-1", 1), sold("somebody", 2)]);
        let sides = Sides { logged: &logged, rows: &[], initial_stock: 2, prefix: "run" };
        let refused_holds = |attempts: &[Attempt]| {
            let mut findings = Findings::default();
            nobody_holds_what_they_were_refused(&sides, attempts, &mut findings);
            broken(findings) == ["I6"]
        };
        // Another attempt whose outcome nobody knows is no excuse.
        let other = told(2, Outcome::Unavailable, None);
        for outcome in [Outcome::SoldOut, Outcome::NotActive, Outcome::RateLimited] {
            assert!(refused_holds(&[told(1, outcome, None), other.clone()]), "{outcome:?}");
        }
        assert!(refused_holds(&[other]), "one who never came");
        for outcome in [Outcome::Purchased, Outcome::Pending, Outcome::Unavailable, Outcome::Broken] {
            assert!(!refused_holds(&[told(1, Outcome::SoldOut, None), told(1, outcome, None)]), "{outcome:?}");
        }
        assert!(!refused_holds(&[]), "nobody kept the answers");
    }

    #[test]
    fn only_a_number_behind_the_prefix_is_one_of_ours() {
        assert_eq!(number_of("load-1", "load-1-12"), Some(12));
        for other in ["load-1", "load-1-", "load-12-3", "load-1-first", "other-1"] {
            assert_eq!(number_of("load-1", other), None, "{other}");
        }
    }
}
