//! Where the units went.

use std::collections::{BTreeMap, HashMap};

use flashsale_core::Micros;
use serde::Serialize;

use crate::{builder::Facts, demand::second_of, fairness::share, report::iso, wording::shortened};

/// Ingest instances that are listed: those that sold most.
const INSTANCES_MAX: usize = 50;
/// Longest name of an instance in the report, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Points of the curve of sold units.
const CURVE_POINTS_MAX: u64 = 200;
const MINUTE_US: i64 = 60_000_000;

/// Where the units went.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Units {
    /// Units whose sale is in the log.
    pub sold: u64,
    /// Units that other records speak of as sold, and whose own record is missing. Anything but 0 is worth an alarm.
    pub missing: u64,
    /// Units that nobody bought.
    pub left_over: u64,
    /// Units sold within a minute of the start.
    pub in_first_minute: u64,
    /// Units sold later.
    pub after_first_minute: u64,
    /// When the first unit was sold.
    #[serde(serialize_with = "iso::maybe")]
    pub first_sold_at: Option<Micros>,
    /// When the last unit was sold.
    #[serde(serialize_with = "iso::maybe")]
    pub last_sold_at: Option<Micros>,
    /// Most units of one second.
    pub peak_per_second: u64,
    /// Which second that was.
    #[serde(serialize_with = "iso::maybe")]
    pub peak_at: Option<Micros>,
    /// Units a second from the start to the last unit; none when no time lies between them.
    pub mean_per_second: Option<f64>,
    /// How the sale went: at most two hundred points, the last unit among them.
    pub curve: Vec<SoldBy>,
    /// Different shoppers who hold a unit.
    pub buyers: u64,
    /// Those who hold one.
    pub buyers_with_one: u64,
    /// Those who hold more: 0, or a promise is broken.
    pub buyers_with_more: u64,
    /// Units by the ingest instance that sold them, most first; at most fifty instances.
    pub by_instance: Vec<Instance>,
    /// Units of further instances.
    pub by_other_instances: u64,
}

/// So many units were sold by then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SoldBy {
    /// Time from the start.
    pub after_ms: f64,
    /// Units.
    pub units: u64,
}

/// One start of an ingest instance.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its id.
    pub ingest_id: String,
    /// Units that it sold.
    pub units: u64,
    /// Their share of all sold units.
    pub share: f64,
}

impl Units {
    pub(crate) fn of(facts: &Facts, initial_stock: u64, start: Micros) -> Self {
        let sold = facts.units.len() as u64;
        let times: Vec<Micros> = facts.sales().map(|(_, attempt)| attempt.decided_at).collect();
        let in_first_minute = times.iter().filter(|at| **at - start < MINUTE_US).count() as u64;
        let peak = peak(&times);
        let last_sold_at = times.iter().copied().max();
        let seconds = last_sold_at.map_or(0.0, |at| at.since(start).as_secs_f64());
        let (by_instance, by_other_instances) = by_instance(facts);
        let mut held: HashMap<u32, u64> = HashMap::new();
        for (_, attempt) in facts.sales() {
            *held.entry(attempt.shopper).or_default() += 1;
        }
        let buyers_with_one = held.values().filter(|units| **units == 1).count() as u64;
        Self {
            sold,
            missing: facts.known_sequence.saturating_sub(sold),
            left_over: initial_stock.saturating_sub(facts.known_sequence),
            in_first_minute,
            after_first_minute: sold - in_first_minute,
            first_sold_at: times.iter().copied().min(),
            last_sold_at,
            peak_per_second: peak.map_or(0, |(units, _)| units),
            peak_at: peak.map(|(_, at)| at),
            mean_per_second: (seconds > 0.0).then(|| sold as f64 / seconds),
            curve: curve(&times, start),
            buyers: held.len() as u64,
            buyers_with_one,
            buyers_with_more: held.len() as u64 - buyers_with_one,
            by_instance,
            by_other_instances,
        }
    }
}

/// The second in which most units were sold, the first of several.
fn peak(times: &[Micros]) -> Option<(u64, Micros)> {
    let mut seconds: BTreeMap<i64, u64> = BTreeMap::new();
    for at in times {
        *seconds.entry(second_of(*at)).or_default() += 1;
    }
    let (second, units) = seconds.into_iter().rev().max_by_key(|(_, units)| *units)?;
    Some((units, Micros(second.saturating_mul(1_000_000))))
}

/// Points at equal distances in units.
fn curve(times: &[Micros], start: Micros) -> Vec<SoldBy> {
    let units = times.len() as u64;
    let points = units.min(CURVE_POINTS_MAX);
    let point = |number: u64| {
        let units = (units * number).div_ceil(points);
        let at = times.get(usize::try_from(units).ok()?.checked_sub(1)?)?;
        Some(SoldBy { after_ms: (*at - start) as f64 / 1_000.0, units })
    };
    (1..=points).filter_map(point).collect()
}

fn by_instance(facts: &Facts) -> (Vec<Instance>, u64) {
    let sold = facts.units.len() as u64;
    let mut units: HashMap<u32, u64> = HashMap::new();
    for (_, attempt) in facts.sales() {
        *units.entry(attempt.instance).or_default() += 1;
    }
    let mut instances: Vec<(&str, u64)> =
        units.into_iter().map(|(number, units)| (facts.instances.name(number), units)).collect();
    instances.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
    let others: u64 = instances.iter().skip(INSTANCES_MAX).map(|(_, units)| units).sum();
    let listed = instances.into_iter().take(INSTANCES_MAX).map(|(name, units)| Instance {
        ingest_id: shortened(name, NAME_CHARS_MAX),
        units,
        share: share(units, sold).unwrap_or_default(),
    });
    (listed.collect(), others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{SECOND, START, builder, log_of, unit};

    #[test]
    fn where_the_units_went() {
        let mut log = vec![
            unit(1, "ann", START, None),
            unit(2, "bob", START + SECOND / 2, None),
            unit(3, "cy", START + 59_999_999, None),
            unit(4, "dan", START + 60 * SECOND, None),
            unit(5, "ann", START + 80 * SECOND, None),
        ];
        log[4].ingest_id = "other".into();
        let units = log_of(&log).units;
        assert_eq!((units.sold, units.missing, units.left_over), (5, 0, 5));
        assert_eq!((units.in_first_minute, units.after_first_minute), (3, 2));
        assert_eq!((units.first_sold_at, units.last_sold_at), (Some(Micros(START)), Some(Micros(START + 80 * SECOND))));
        assert_eq!((units.peak_per_second, units.peak_at), (2, Some(Micros(START))));
        assert_eq!(units.mean_per_second, Some(5.0 / 80.0));
        assert_eq!((units.buyers, units.buyers_with_one, units.buyers_with_more), (4, 3, 1));
        let instances: Vec<_> = units.by_instance.iter().map(|one| (one.ingest_id.as_str(), one.units)).collect();
        assert_eq!(instances, [("ingest-1", 4), ("other", 1)]);
        assert_eq!(units.by_instance[0].share, 0.8);
        let curve: Vec<_> = units.curve.iter().map(|point| (point.after_ms, point.units)).collect();
        assert_eq!(curve, [(0.0, 1), (500.0, 2), (59_999.999, 3), (60_000.0, 4), (80_000.0, 5)]);
    }

    #[test]
    fn a_unit_without_its_record_is_missing_and_not_left_over() {
        let units = log_of(&[unit(1, "ann", START, None), unit(3, "cy", START, None)]).units;
        assert_eq!((units.sold, units.missing, units.left_over), (2, 1, 7));
    }

    #[test]
    fn lists_are_bounded() {
        let mut builder = builder();
        for n in 1..=1_000 {
            let mut unit = unit(n, &format!("u{n}"), START + n, None);
            unit.ingest_id = format!("i{}", n % 60);
            builder.decision(&unit, None);
        }
        let units = builder.build(None).unwrap().units;
        assert_eq!((units.curve.len(), units.curve[0].units, units.curve[199].units), (200, 5, 1_000));
        assert_eq!(units.by_instance.len(), 50);
        assert_eq!(units.by_instance.iter().map(|one| one.units).sum::<u64>() + units.by_other_instances, 1_000);
    }
}
