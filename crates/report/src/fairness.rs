//! Whether who came first was served first.

use flashsale_core::Micros;
use serde::Serialize;

use crate::{builder::Facts, shoppers::Shopper};

/// Parts into which shoppers are divided.
const DECILES: usize = 10;
const SECOND_US: i64 = 1_000_000;

/// The order of the units compared with the order of arrival. Arrivals are read off the clocks of the ingest instances:
/// between two of them an overtaking may be a difference of clocks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fairness {
    /// Units of which the arrival is known.
    pub units_with_arrival: u64,
    /// Units that were published by the relay, or whose record has an arrival long after the decision. The next four
    /// leave them out.
    pub units_without_arrival: u64,
    /// The share of units that are followed by one which arrived no earlier; none with fewer than two units.
    pub neighbours_in_order: Option<f64>,
    /// Pairs of units of which the later one arrived earlier.
    pub inversions: u64,
    /// Their share of all pairs: 0 when everybody was served in order of arrival, 0.5 when chance decided.
    pub inversion_share: Option<f64>,
    /// By how much the one who was served earlier had arrived later, in the worst pair.
    pub largest_overtaking_ms: Option<f64>,
    /// Shoppers by the arrival of their first attempt after the start, in ten equal parts.
    pub deciles: Vec<Decile>,
    /// How many shoppers first arrived within a second of the start.
    pub shoppers_in_first_second: u64,
    /// How many of those got a unit.
    pub winners_in_first_second: u64,
}

/// A tenth of the shoppers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decile {
    /// 1 for those who came first, 10 for those who came last.
    pub decile: u64,
    /// How many there are.
    pub shoppers: u64,
    /// How many of them got a unit, then or later.
    pub winners: u64,
    /// Their share; none in a part without shoppers.
    pub share: Option<f64>,
    /// When the first of them came, after the start; a little before it when clocks differ.
    pub from_ms: Option<f64>,
    /// When the last of them came, likewise.
    pub to_ms: Option<f64>,
}

impl Fairness {
    pub(crate) fn of(facts: &Facts, shoppers: &[Shopper], start: Micros) -> Self {
        let mut arrivals: Vec<i64> = facts.sales().filter_map(|(_, attempt)| Some(attempt.arrived_at()?.0)).collect();
        let units = arrivals.len() as u64;
        let pairs = |number: u64| number.saturating_mul(number.saturating_sub(1)) / 2;
        let in_order = arrivals.windows(2).filter(|pair| pair[0] <= pair[1]).count() as u64;
        let largest = largest_overtaking(&arrivals);
        let inversions = sort_counting(&mut arrivals, &mut Vec::new());
        let first_second = |shopper: &&Shopper| shopper.arrived_at.is_some_and(|at| at - start < SECOND_US);
        let early = shoppers.iter().filter(first_second);
        Self {
            units_with_arrival: units,
            units_without_arrival: facts.units.len() as u64 - units,
            neighbours_in_order: share(in_order, units.saturating_sub(1)),
            inversions,
            inversion_share: share(inversions, pairs(units)),
            largest_overtaking_ms: largest.map(millis),
            deciles: deciles(shoppers, start),
            shoppers_in_first_second: early.clone().count() as u64,
            winners_in_first_second: early.filter(|shopper| shopper.units > 0).count() as u64,
        }
    }
}

/// A part of a whole; none of nothing.
pub(crate) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn millis(micros: i64) -> f64 {
    micros as f64 / 1_000.0
}

/// By how much the latest of those before a unit had arrived later, where that is most; none of no units.
fn largest_overtaking(arrivals: &[i64]) -> Option<i64> {
    let mut latest = *arrivals.first()?;
    let mut largest = 0;
    for &arrival in arrivals {
        latest = latest.max(arrival);
        largest = largest.max(latest.saturating_sub(arrival));
    }
    Some(largest)
}

/// Sorts by merging, and counts the pairs that stood the wrong way round.
fn sort_counting(values: &mut [i64], merged: &mut Vec<i64>) -> u64 {
    let (left, right) = values.split_at_mut(values.len() / 2);
    if left.is_empty() {
        return 0;
    }
    let mut inversions = sort_counting(left, merged) + sort_counting(right, merged);
    merged.clear();
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if left[i] <= right[j] {
            merged.push(left[i]);
            i += 1;
        } else {
            // All that is left on the left came before this one and is greater.
            inversions += (left.len() - i) as u64;
            merged.push(right[j]);
            j += 1;
        }
    }
    merged.extend_from_slice(&left[i..]);
    merged.extend_from_slice(&right[j..]);
    values.copy_from_slice(merged);
    inversions
}

fn deciles(shoppers: &[Shopper], start: Micros) -> Vec<Decile> {
    let mut arrived: Vec<(Micros, bool)> =
        shoppers.iter().filter_map(|shopper| Some((shopper.arrived_at?, shopper.units > 0))).collect();
    // Stable: of those who came at the same time, who stands first in the log is first.
    arrived.sort_by_key(|(at, _)| *at);
    let bound = |part: usize| arrived.len() * part / DECILES;
    let decile = |part: usize| {
        let members = &arrived[bound(part - 1)..bound(part)];
        let winners = members.iter().filter(|(_, won)| *won).count() as u64;
        Decile {
            decile: part as u64,
            shoppers: members.len() as u64,
            winners,
            share: share(winners, members.len() as u64),
            from_ms: members.first().map(|(at, _)| millis(*at - start)),
            to_ms: members.last().map(|(at, _)| millis(*at - start)),
        }
    };
    (1..=DECILES).map(decile).collect()
}

#[cfg(test)]
mod tests {
    use flashsale_schemas::events::Outcome;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Report,
        sample::{SECOND, START, log_of, refusal, unit},
    };

    /// Units in this order of sale, by their arrival in milliseconds after the start; all decided a second after it.
    fn sold(arrivals: &[i64]) -> Report {
        let unit = |(sequence, at): (i64, &i64)| {
            unit(sequence, &format!("u{sequence}"), START + SECOND, Some(START + at * 1_000))
        };
        log_of(&(1..).zip(arrivals).map(unit).collect::<Vec<_>>())
    }

    #[test]
    fn in_order_of_arrival() {
        let fairness = sold(&[1, 2, 2, 5]).fairness;
        assert_eq!((fairness.units_with_arrival, fairness.units_without_arrival), (4, 0));
        assert_eq!((fairness.neighbours_in_order, fairness.inversions), (Some(1.0), 0));
        assert_eq!((fairness.inversion_share, fairness.largest_overtaking_ms), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn known_inversions() {
        // 30 stands before 10 and 20, 50 before 20 and 40.
        let fairness = sold(&[30, 10, 50, 20, 40]).fairness;
        assert_eq!(fairness.inversions, 4);
        assert_eq!(fairness.inversion_share, Some(0.4));
        // 10 to 50 and 20 to 40 go up.
        assert_eq!(fairness.neighbours_in_order, Some(0.5));
        // 50 was served before 20.
        assert_eq!(fairness.largest_overtaking_ms, Some(30.0));
        assert_eq!(sold(&[3, 2, 1]).fairness.inversion_share, Some(1.0));
    }

    #[test]
    fn one_unit_or_none_has_no_order() {
        let one = sold(&[3]).fairness;
        assert_eq!((one.neighbours_in_order, one.inversion_share, one.largest_overtaking_ms), (None, None, Some(0.0)));
        let none = sold(&[]).fairness;
        assert_eq!((none.units_with_arrival, none.inversions, none.largest_overtaking_ms), (0, 0, None));
        assert!(none.deciles.iter().all(|decile| decile.shoppers == 0 && decile.share.is_none()));
    }

    #[test]
    fn units_without_a_true_arrival_have_no_place_in_the_order() {
        let fairness = log_of(&[
            unit(1, "ann", START, Some(START - 1_000)),
            unit(2, "bob", START + 1, None),
            // The record of a repeated request, a minute later.
            unit(3, "cy", START + 2, Some(START + 60 * SECOND)),
        ])
        .fairness;
        assert_eq!((fairness.units_with_arrival, fairness.units_without_arrival), (1, 2));
    }

    #[test]
    fn winners_by_tenth_of_arrival() {
        // Twenty shoppers, one a tenth of a second; the second, third and last get a unit.
        let mut log = Vec::new();
        for n in 0..20 {
            let (user, at) = (format!("u{n:02}"), START + n * SECOND / 10);
            log.push(match [1, 2, 19].iter().position(|winner| *winner == n) {
                Some(before) => unit(i64::try_from(before).unwrap() + 1, &user, at, Some(at)),
                None => refusal(n.unsigned_abs(), &user, Outcome::SaleNotActive, Some("PAUSED"), at),
            });
        }
        // Before the start, and a second try: neither is a first attempt after the start.
        log.push(refusal(100, "u19", Outcome::SaleNotActive, Some("NOT_STARTED"), START - 1));
        log.push(refusal(101, "u00", Outcome::SoldOut, None, START + 30 * SECOND));
        log.push(refusal(102, "late", Outcome::SaleNotActive, Some("NOT_STARTED"), START - 5));
        let fairness = log_of(&log).fairness;
        let winners: Vec<u64> = fairness.deciles.iter().map(|decile| decile.winners).collect();
        assert_eq!(winners, [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert!(fairness.deciles.iter().all(|decile| decile.shoppers == 2));
        assert_eq!(fairness.deciles[0].share, Some(0.5));
        assert_eq!((fairness.deciles[9].from_ms, fairness.deciles[9].to_ms), (Some(1_800.0), Some(1_900.0)));
        assert_eq!((fairness.shoppers_in_first_second, fairness.winners_in_first_second), (10, 2));
    }

    #[test]
    fn fewer_shoppers_than_deciles() {
        let deciles = sold(&[1, 2, 3]).fairness.deciles;
        assert_eq!(deciles.len(), 10);
        assert_eq!(deciles.iter().map(|decile| decile.shoppers).sum::<u64>(), 3);
        assert_eq!(deciles.iter().map(|decile| decile.winners).sum::<u64>(), 3);
    }

    proptest! {
        #[test]
        fn inversions_are_those_that_one_counts_by_hand(values in prop::collection::vec(-5_i64..5, 0..40)) {
            let mut by_hand = 0;
            for (index, one) in values.iter().enumerate() {
                by_hand += values[index..].iter().filter(|later| *later < one).count() as u64;
            }
            let mut sorted = values.clone();
            prop_assert_eq!(sort_counting(&mut sorted, &mut Vec::new()), by_hand);
            prop_assert!(sorted.is_sorted());
        }
    }
}
