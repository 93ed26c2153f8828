use proptest::prelude::*;

use super::*;

fn receipt(unit: u64) -> ToldReceipt {
    ToldReceipt {
        number: format!("PUR-20261123-06C5HN3T8Q2Z-{unit:06}").into(),
        at: format!("2026-11-23T12:00:{:02}.{:03}Z", unit / 1_000, unit % 1_000).into(),
    }
}

fn attempt(shopper: u64, key: u64, times: std::ops::Range<u64>, outcome: Outcome) -> Attempt {
    Attempt {
        shopper,
        key,
        due_us: times.start,
        sent_us: times.start,
        answered_us: times.end,
        outcome,
        polite: true,
        receipt: None,
    }
}

fn told(shopper: u64, key: u64, times: std::ops::Range<u64>, outcome: Outcome, unit: u64) -> Attempt {
    Attempt { receipt: Some(receipt(unit)), ..attempt(shopper, key, times, outcome) }
}

fn bought(shopper: u64, times: std::ops::Range<u64>, unit: u64) -> Attempt {
    told(shopper, shopper + 100, times, Outcome::Purchased, unit)
}

/// The ids of what is found in a sale of three units.
fn broken(attempts: &[Attempt]) -> Vec<&'static str> {
    let mut ids: Vec<_> = check(attempts, 3).into_iter().map(|violation| violation.invariant).collect();
    ids.dedup();
    ids
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_can_have_happened_is_passed_over() {
    use Outcome::{AlreadyPurchased, Broken, Pending, Purchased, RateLimited, SoldOut, Unavailable};
    assert_eq!(broken(&[]), NOTHING);
    // Answers overtake each other; a key is used again, another one is not served, the third shopper never hears.
    let attempts = [
        bought(1, 0..90, 2),
        bought(2, 10..20, 1),
        told(1, 101, 100..110, Purchased, 2),
        told(1, 5, 95..120, AlreadyPurchased, 2),
        attempt(1, 0, 96..121, RateLimited),
        attempt(3, 103, 30..200, Broken),
        attempt(4, 104, 130..140, SoldOut),
        attempt(4, 104, 150..160, SoldOut),
    ];
    assert_eq!(broken(&attempts), NOTHING);
    let late = [
        attempt(1, 7, 0..50, Unavailable),
        told(1, 8, 60..70, AlreadyPurchased, 1),
        told(2, 9, 61..62, Pending, 2),
        told(2, 9, 63..64, Purchased, 2),
    ];
    assert_eq!(broken(&late), NOTHING);
}

#[test]
fn i_1_more_units_than_there_were_are_found() {
    let all: Vec<Attempt> = (1..=4).map(|n| bought(n, 0..10, n)).collect();
    assert_eq!(broken(&all), ["I1"]);
    assert_eq!(broken(&all[..3]), NOTHING);
    let others = BTreeSet::from([3]);
    assert_eq!(check_beside(&all[..2], 3, &others), Vec::new());
    assert_eq!(check_beside(&all[..2], 2, &others)[0].invariant, "I1");
}

#[test]
fn i_2_a_shopper_with_two_units_is_found() {
    assert_eq!(broken(&[bought(1, 0..10, 1), told(1, 5, 20..30, Outcome::Purchased, 2)]), ["I2"]);
    let twice = [bought(1, 0..10, 1), told(1, 0, 20..30, Outcome::Purchased, 1)];
    assert_eq!(broken(&twice), ["I2"], "another attempt is told of ALREADY_PURCHASED");
}

#[test]
fn i_6_refusals_that_cannot_be_true_are_found() {
    let all = [bought(1, 0..10, 1), bought(2, 0..10, 2), bought(3, 0..10, 3)];
    let with = |more: Attempt| [&all[..], &[more]].concat();
    assert_eq!(broken(&with(attempt(4, 104, 1..2, Outcome::SoldOut))), NOTHING, "all were sold by then");
    let mut late = with(attempt(4, 104, 1..2, Outcome::SoldOut));
    late[2].sent_us = 3;
    assert_eq!(broken(&late), ["I6"], "bought after the end");
    assert_eq!(broken(&with(attempt(3, 5, 20..30, Outcome::SoldOut))), ["I6"], "the shopper holds a unit");
    assert_eq!(broken(&[bought(1, 0..10, 1), attempt(2, 102, 20..30, Outcome::SoldOut)]), ["I6"], "too early");
    let never = [told(1, 5, 20..30, Outcome::AlreadyPurchased, 1)];
    assert_eq!(broken(&never), ["I6"], "nobody bought it");
    let before = [bought(1, 20..30, 1), told(1, 5, 0..10, Outcome::AlreadyPurchased, 1)];
    assert_eq!(broken(&before), ["I6"], "told before it was tried for");
}

#[test]
fn i_8_a_key_with_two_answers_is_found() {
    let mut other_time = told(1, 101, 20..30, Outcome::Purchased, 1);
    other_time.receipt = Some(ToldReceipt { at: receipt(2).at, ..receipt(1) });
    assert_eq!(broken(&[bought(1, 0..10, 1), other_time.clone()]), ["I8"]);
    other_time.key = 5;
    other_time.outcome = Outcome::AlreadyPurchased;
    assert_eq!(broken(&[bought(1, 0..10, 1), other_time]), ["I8"], "one unit, two times");
    let other_word = told(1, 101, 20..30, Outcome::AlreadyPurchased, 1);
    assert_eq!(broken(&[bought(1, 0..10, 1), other_word]), ["I8"]);
    assert_eq!(broken(&[attempt(1, 101, 0..10, Outcome::Purchased)]), ["I8"], "no receipt");
    let ids = broken(&[bought(1, 0..10, 1), told(1, 101, 20..30, Outcome::Purchased, 2), bought(2, 0..10, 2)]);
    assert!(ids.contains(&"I8") && ids.contains(&"I2"), "{ids:?}");
    let ids = broken(&[bought(1, 0..10, 1), attempt(1, 101, 20..30, Outcome::SoldOut)]);
    assert!(ids.contains(&"I8") && ids.contains(&"I6"), "{ids:?}");
}

#[test]
fn i_8_a_key_with_two_answers_is_told_from_one_with_a_single_answer() {
    let first = bought(1, 0..10, 1);
    for other in [
        bought(2, 0..10, 2),
        told(1, 5, 20..30, Outcome::AlreadyPurchased, 1),
        attempt(1, 101, 20..30, Outcome::Unavailable),
        attempt(1, 101, 20..30, Outcome::Broken),
        attempt(2, 101, 20..30, Outcome::SoldOut),
    ] {
        assert!(!has_key_answered_twice(&[first.clone(), other.clone()]), "{other:?}");
    }
    let without_key = [Outcome::SoldOut; 2].map(|outcome| attempt(3, 0, 0..10, outcome));
    assert!(!has_key_answered_twice(&without_key));
    for other in [bought(1, 20..30, 1), attempt(1, 101, 20..30, Outcome::SoldOut)] {
        assert!(has_key_answered_twice(&[first.clone(), bought(2, 0..10, 2), other.clone()]), "{other:?}");
    }
}

#[test]
fn i_9_units_out_of_order_are_found() {
    assert_eq!(broken(&[bought(1, 0..10, 2), bought(2, 20..30, 1)]), ["I9"], "unit 2 before anybody asked for unit 1");
    assert_eq!(broken(&[bought(1, 0..25, 2), bought(2, 20..30, 1)]), NOTHING);
    assert_eq!(broken(&[bought(1, 0..10, 1), bought(2, 0..10, 1)]), ["I9"], "one unit, two shoppers");
    assert_eq!(broken(&[bought(1, 0..10, 1), bought(2, 0..10, 3)]), ["I9"], "nobody holds unit 2");
    let maybe = [bought(1, 0..10, 1), bought(2, 0..10, 3), attempt(3, 103, 0..10, Outcome::Broken)];
    assert_eq!(broken(&maybe), NOTHING, "the third may");
    let others = check_beside(&[bought(1, 0..10, 1)], 3, &BTreeSet::from([1]));
    assert_eq!(others[0].invariant, "I9");
    let mut times = [bought(1, 0..10, 1), bought(2, 0..10, 2)];
    times[1].receipt = Some(ToldReceipt { at: receipt(0).at, ..receipt(2) });
    assert_eq!(broken(&times), ["I9"], "unit 2 has an earlier time");
}

#[test]
fn findings_are_bounded() {
    let twins: Vec<Attempt> = (0..1_000).map(|n| bought(n, 0..10, 1)).collect();
    let found = check(&twins, 2_000);
    assert_eq!(found.len(), FINDINGS_MAX + 1);
    assert_eq!(found[FINDINGS_MAX].what, "and 979 more");
}

/// What becomes of a simulated attempt.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    /// Decided, but the answer is lost.
    Lost,
    /// Refused before it was decided.
    Limited,
    /// Never got there.
    Vanished,
}

#[derive(Debug, Clone)]
struct Step {
    shopper: u64,
    key: u64,
    /// From when the one before was sent.
    gap: u64,
    /// From sending to the decision, and from there to the answer.
    way: u64,
    back: u64,
    fate: Fate,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        8 => Just(Fate::Answered),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Limited),
        1 => Just(Fate::Vanished),
    ];
    (0..8_u64, 0..4_u64, 0..20_u64, 1..40_u64, 1..40_u64, fate).prop_map(|(shopper, key, gap, way, back, fate)| Step {
        shopper,
        key,
        gap,
        way,
        back,
        fate,
    })
}

/// What clients see of a sale that decides one attempt after the other.
fn simulate(steps: &[Step], units: u64) -> Vec<Attempt> {
    let mut sent = 0;
    let mut under_way: Vec<(u64, Step, u64)> = Vec::new();
    for step in steps {
        sent += step.gap;
        under_way.push((sent + step.way, step.clone(), sent));
    }
    // Stable: of two in one moment the first comes first.
    under_way.sort_by_key(|(decided, ..)| *decided);
    let mut holders: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut attempts = Vec::new();
    for (decided, Step { shopper, key, back, fate, .. }, sent) in under_way {
        let seen = sent..decided + back;
        let decision = |holders: &mut BTreeMap<u64, (u64, u64)>| match holders.get(&shopper) {
            Some((unit, by)) if *by == key && key != 0 => told(shopper, key, seen.clone(), Outcome::Purchased, *unit),
            Some((unit, _)) => told(shopper, key, seen.clone(), Outcome::AlreadyPurchased, *unit),
            None if holders.len() as u64 == units => attempt(shopper, key, seen.clone(), Outcome::SoldOut),
            None => {
                let unit = holders.len() as u64 + 1;
                holders.insert(shopper, (unit, key));
                told(shopper, key, seen.clone(), Outcome::Purchased, unit)
            }
        };
        attempts.push(match fate {
            Fate::Answered => decision(&mut holders),
            Fate::Lost => Attempt { outcome: Outcome::Broken, receipt: None, ..decision(&mut holders) },
            Fate::Limited => attempt(shopper, key, seen, Outcome::RateLimited),
            Fate::Vanished => attempt(shopper, key, seen, Outcome::Unavailable),
        });
    }
    attempts
}

/// Puts the receipts of the first and the last sale in each other's place.
fn swap_receipts(attempts: &mut [Attempt]) -> bool {
    let is_sale = |attempt: &Attempt| attempt.outcome == Outcome::Purchased;
    let (first, last) = (attempts.iter().position(is_sale), attempts.iter().rposition(is_sale));
    let (Some(first), Some(last)) = (first, last) else { return false };
    let apart = attempts[first].receipt != attempts[last].receipt;
    let receipt = attempts[first].receipt.take();
    attempts[first].receipt = attempts[last].receipt.take();
    attempts[last].receipt = receipt;
    apart
}

proptest! {
    #[test]
    fn what_one_sale_decided_is_always_possible(steps in prop::collection::vec(step(), 0..80), units in 1..10_u64) {
        let attempts = simulate(&steps, units);
        prop_assert_eq!(check(&attempts, units), Vec::new());
    }

    #[test]
    fn a_swapped_pair_of_receipts_is_found(steps in prop::collection::vec(step(), 2..60), units in 2..10_u64) {
        // One after the other, so that only one order is possible.
        let apart = steps.into_iter().map(|step| Step { gap: 100, fate: Fate::Answered, ..step });
        let mut attempts = simulate(&apart.collect::<Vec<_>>(), units);
        prop_assume!(swap_receipts(&mut attempts));
        prop_assert!(!check(&attempts, units).is_empty());
    }
}
