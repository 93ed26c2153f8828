//! How often shoppers tried.

use std::cmp::Reverse;

use serde::Serialize;

use crate::{builder::Facts, shoppers::Shopper, wording::shortened};

/// Shoppers that are named.
const INSISTENT_MAX: usize = 10;
/// Longest name in the report, in characters: what the edge lets in.
const NAME_CHARS_MAX: usize = flashsale_core::ids::USER_ID_CHARS_MAX;

/// Attempts from, and how a band of the histogram is called.
const BANDS: [(u64, &str); 7] = [(1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5-9"), (10, "10-99"), (100, "100+")];

/// How often shoppers tried. A request that was repeated after its success counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Different shoppers.
    pub shoppers: u64,
    /// How many shoppers tried how often.
    pub attempts_per_shopper: Vec<Band>,
    /// The ten who tried most often, of those who tried more than once.
    pub most_insistent: Vec<Insistent>,
}

/// Shoppers who tried about equally often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Band {
    /// How often: `1`, `5-9`, `100+`.
    pub attempts: &'static str,
    /// How many shoppers.
    pub shoppers: u64,
}

/// A shopper who did not give up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Insistent {
    /// Who.
    pub user_id: String,
    /// How often.
    pub attempts: u64,
    /// Whether it helped.
    pub bought: bool,
}

impl Retries {
    pub(crate) fn of(facts: &Facts, shoppers: &[Shopper]) -> Self {
        let mut bands = BANDS.map(|(_, attempts)| Band { attempts, shoppers: 0 });
        for shopper in shoppers.iter().filter(|shopper| shopper.attempts > 0) {
            let band = BANDS.iter().rposition(|(from, _)| *from <= shopper.attempts).unwrap_or(0);
            bands[band].shoppers += 1;
        }
        let mut insistent: Vec<(u32, &Shopper)> =
            (0..).zip(shoppers).filter(|(_, shopper)| shopper.attempts > 1).collect();
        let rank = |(number, shopper): &(u32, &Shopper)| (Reverse(shopper.attempts), facts.shoppers.name(*number));
        insistent.sort_unstable_by(|one, other| rank(one).cmp(&rank(other)));
        let named = insistent.into_iter().take(INSISTENT_MAX).map(|(number, shopper)| Insistent {
            user_id: shortened(facts.shoppers.name(number), NAME_CHARS_MAX),
            attempts: shopper.attempts,
            bought: shopper.units > 0,
        });
        Self {
            shoppers: bands.iter().map(|band| band.shoppers).sum(),
            attempts_per_shopper: bands.to_vec(),
            most_insistent: named.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flashsale_schemas::events::Outcome;

    use crate::sample::{START, builder, refusal, unit};

    #[test]
    fn shoppers_by_the_number_of_their_attempts() {
        let mut builder = builder();
        builder.decision(&unit(1, "ann", START, None), None);
        let mut number = 0;
        for (user, attempts) in [("bob", 2), ("cy", 9), ("dan", 10), ("eve", 99), ("fay", 100), ("gus", 2), ("ann", 3)]
        {
            for _ in 0..attempts {
                number += 1;
                builder.decision(&refusal(number, user, Outcome::SoldOut, None, START), None);
            }
        }
        let retries = builder.build(None).unwrap().retries;
        let bands: Vec<_> = retries.attempts_per_shopper.iter().map(|band| (band.attempts, band.shoppers)).collect();
        assert_eq!(bands, [("1", 0), ("2", 2), ("3", 0), ("4", 1), ("5-9", 1), ("10-99", 2), ("100+", 1)]);
        assert_eq!(retries.shoppers, 7);
        let named: Vec<_> =
            retries.most_insistent.iter().map(|one| (one.user_id.as_str(), one.attempts, one.bought)).collect();
        let expected = [
            ("fay", 100, false),
            ("eve", 99, false),
            ("dan", 10, false),
            ("cy", 9, false),
            ("ann", 4, true),
            ("bob", 2, false),
            ("gus", 2, false),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn ten_are_named_and_nobody_who_came_once() {
        let mut builder = builder();
        for (number, user) in (1..).zip((0..12).flat_map(|user| [user, user]).chain([99])) {
            builder.decision(&refusal(number, &format!("u{user:02}"), Outcome::SoldOut, None, START), None);
        }
        let retries = builder.build(None).unwrap().retries;
        assert_eq!(retries.most_insistent.len(), 10);
        assert_eq!(retries.most_insistent[0].user_id, "u00");
        assert_eq!(retries.shoppers, 13);
    }
}
