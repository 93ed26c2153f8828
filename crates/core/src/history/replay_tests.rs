//! Whatever the model decided verifies, and every single mutation of it is found.

use proptest::{
    prelude::*,
    sample::{Index, select},
};

use super::{tests::*, *};
use crate::EndReason;

/// One unit of time, user, request, what to do.
type Step = (i64, u32, u32, u32);

fn generated(stock: u64, steps: &[Step]) -> Log {
    let mut log = Log::create(config(stock), 0);
    let mut now = START - 100;
    log.update(now, config(stock));
    for &(wait, user, request, what) in steps {
        now += wait;
        match what {
            0 => log.pause(now, true),
            1 | 2 => log.pause(now, false),
            _ => drop(log.buy(now, &format!("u{user}"), &format!("r{request}"))),
        }
    }
    match log.book.end_reason() {
        Some(EndReason::SoldOut) => log.edge("nobody", LoggedOutcome::SoldOut),
        Some(EndReason::TimeExpired) => log.edge("nobody", LoggedOutcome::NotActive(NotActive::TimeExpired)),
        None => {}
    }
    log
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Many at the same time, as in a batch.
    let wait = prop_oneof![3 => Just(0i64), 2 => 1i64..30];
    prop::collection::vec((wait, 0u32..25, 0u32..3, 0u32..25), 1..150)
}

#[derive(Debug, Clone, Copy)]
enum Mutation {
    Drop,
    DuplicateUser,
    Time,
    SwapUser,
    OutOfWindow,
    SoldOut,
    AlreadyPurchased,
}

impl Mutation {
    const ALL: [Self; 7] = [
        Self::Drop,
        Self::DuplicateUser,
        Self::Time,
        Self::SwapUser,
        Self::OutOfWindow,
        Self::SoldOut,
        Self::AlreadyPurchased,
    ];

    /// Makes it in `log`, at a unit that `pick` chooses; returns the invariant that is broken.
    fn make(self, log: &mut Log, pick: Index) -> Option<&'static str> {
        let sold = log.book.sold();
        let sequence = pick.index(usize::try_from(sold).unwrap()) as u64 + 1;
        let at = log.unit(sequence).decided_at;
        let mut refusal = LoggedDecision {
            attempt: attempt("stranger", "r"),
            outcome: LoggedOutcome::SoldOut,
            as_of_sequence: Some(sequence),
            remaining: Some(log.book.config().initial_stock - sequence),
            ..log.unit(sequence).clone()
        };
        match self {
            Self::Drop => {
                log.decisions.retain(|decision| decision.outcome != LoggedOutcome::Accepted(sequence));
                // Of the last unit only what came after it tells.
                (log.history().known_sequence() >= sequence).then_some("I9")
            }
            Self::DuplicateUser => {
                let other = sequence % sold + 1;
                let user = log.unit(other).attempt.user.clone();
                log.unit(sequence).attempt.user = user;
                (other != sequence).then_some("I2")
            }
            Self::Time => {
                let before = sequence.checked_sub(1).filter(|before| *before > 0)?;
                let before = log.unit(before).decided_at;
                log.unit(sequence).decided_at = Micros(before.0 - 1);
                (before.0 > START).then_some("I9")
            }
            Self::SwapUser => {
                let mut again = log.unit(sequence).clone();
                again.attempt.user = UserId::new("stranger").unwrap();
                log.decisions.push(again);
                Some("I9")
            }
            Self::OutOfWindow => {
                log.unit(sequence).decided_at = Micros(if sequence.is_multiple_of(2) { END } else { START - 1 });
                Some("I14")
            }
            Self::SoldOut => {
                log.decisions.push(refusal);
                (sequence < log.book.config().initial_stock).then_some("I6")
            }
            Self::AlreadyPurchased => {
                refusal.outcome = LoggedOutcome::AlreadyPurchased(Some(sequence));
                refusal.decided_at = at;
                log.decisions.push(refusal);
                Some("I6")
            }
        }
    }
}

proptest! {
    #[test]
    fn i_9_what_the_model_decided_verifies_in_any_order(
        stock in 1u64..20,
        steps in steps(),
        order in any::<u64>(),
    ) {
        let log = generated(stock, &steps);
        let straight = log.history();
        prop_assert_eq!(straight.verify(), []);
        // Any order, some twice: by a hash of the place.
        let hasher = RandomState::new();
        let mut decisions: Vec<_> = log.decisions.iter().chain(log.decisions.iter().step_by(3)).enumerate().collect();
        decisions.sort_by_key(|(place, _)| hasher.hash_one((order, *place)));
        let mut changes: Vec<_> = log.changes.iter().chain(&log.changes).enumerate().collect();
        changes.sort_by_key(|(place, _)| hasher.hash_one((order, *place)));
        let mut history = History::new(sale_id());
        let mut changes = changes.into_iter();
        for (_, decision) in decisions {
            history.take(decision.clone());
            if let Some((_, (change, after))) = changes.next() {
                history.take_change(*change, after.clone());
            }
        }
        changes.for_each(|(_, (change, after))| history.take_change(*change, after.clone()));
        prop_assert_eq!(history.verify(), []);
        prop_assert_eq!(history.status(), straight.status());
        prop_assert_eq!(history.sold(), log.book.sold());
        prop_assert_eq!(history.counts().decisions(), straight.counts().decisions());
    }

    #[test]
    fn i_9_every_single_mutation_is_found(
        stock in 2u64..20,
        steps in steps(),
        mutation in select(&Mutation::ALL[..]),
        pick in any::<Index>(),
    ) {
        let mut log = generated(stock, &steps);
        if log.book.sold() == 0 {
            return Ok(());
        }
        if let Some(expected) = mutation.make(&mut log, pick) {
            let found = log.history().verify();
            prop_assert!(found.iter().any(|violation| violation.invariant == expected), "{expected}: {found:?}");
        }
    }
}
