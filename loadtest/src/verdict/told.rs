//! What shoppers were told, beside what the log and Postgres hold.

use std::collections::{BTreeSet, HashMap, HashSet};

use flashsale_core::{History, Receipt, UserId, invariants::Sold};

use super::Findings;
use crate::{
    history::tells_of_unit,
    recorder::{Attempt, Outcome, ToldReceipt},
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
}

/// The number of a shopper whose name is `<prefix>-<number>`.
fn number_of(prefix: &str, user: &str) -> Option<u64> {
    user.strip_prefix(prefix)?.strip_prefix('-')?.parse().ok()
}

/// I4 of every success, I6 of every refusal, I13 of whoever was not served.
pub(super) fn compare(sides: &Sides<'_>, attempts: &[Attempt], findings: &mut Findings) {
    let rows: HashMap<&UserId, &Receipt> = sides.rows.iter().map(|row| (&row.user, &row.receipt)).collect();
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
        let Ok(user) = UserId::new(&format!("{}-{shopper}", sides.prefix)) else {
            findings.add("I4", format!("{}-{shopper} is no name of a shopper", sides.prefix));
            continue;
        };
        let logged = sides.logged_of(&user);
        if logged.is_none() && attempt.outcome == Outcome::AlreadyPurchased {
            findings.add("I6", format!("{user} was told ALREADY_PURCHASED and holds nothing"));
        }
        for (store, kept) in [("the log", logged.as_ref()), ("Postgres", rows.get(&user).copied())] {
            if !kept.is_some_and(|kept| is_same(receipt, kept)) {
                let kept = kept.map_or_else(|| "nothing".to_owned(), |kept| format!("{kept} of {}", kept.decided_at));
                findings.add("I4", format!("{user} was told {} of {}, {store} has {kept}", receipt.number, receipt.at));
            }
        }
    }
}

fn is_same(told: &ToldReceipt, kept: &Receipt) -> bool {
    *told.number == *kept.number() && *told.at == *kept.decided_at.to_string()
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
        findings.into_checks().into_iter().filter(|check| !check.holds).map(|check| check.id).collect()
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
        assert!(!findings.into_checks().iter().find(|check| check.id == "I6").unwrap().holds);
    }

    #[test]
    fn i_6_who_was_refused_holds_nothing() {
        let logged = history(&[sold("run-1", 1), sold("somebody", 2)]);
        let sides = Sides { logged: &logged, rows: &[], initial_stock: 2, prefix: "run" };
        let refused_holds = |attempts: &[Attempt]| {
            let mut findings = Findings::default();
            nobody_holds_what_they_were_refused(&sides, attempts, &mut findings);
            findings.into_checks().iter().any(|check| check.id == "I6" && !check.holds)
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
