//! Each check is shown a history that breaks it: a check that cannot fail proves nothing.

use super::*;
use crate::{Challenge, NotActive, Sku};

fn unit(user: &str, sequence: u64, at: i64) -> Sold {
    Sold {
        user: UserId::new(user).unwrap(),
        request_id: RequestId::new("r").unwrap(),
        receipt: Receipt { sale_id: SaleId::new("06C5HN3T8Q2Z").unwrap(), sequence, decided_at: Micros(at) },
    }
}

fn broken(check: Check) -> &'static str {
    check.unwrap_err().invariant
}

#[test]
fn sound_histories_pass() {
    let sold = [unit("b", 2, 20), unit("a", 1, 10)];
    assert_eq!(no_oversell(2, &sold), Ok(()));
    assert_eq!(one_unit_per_user(&sold), Ok(()));
    assert_eq!(dense_sequence(&sold), Ok(()));
    assert_eq!(nothing_lost(&sold[..1], &sold), Ok(()));
    assert_eq!(nothing_invented(&sold, &sold), Ok(()));
    assert_eq!(nothing_left_unsold(5, 2, 2), Ok(()));
    assert_eq!(overload_is_polite(200, false), Ok(()));
    assert_eq!(overload_is_polite(503, true), Ok(()));
    assert_eq!(converged(0, 0, 0), Ok(()));
    assert_eq!(accounted(&Accounts { consumed: 4, applied: 1, duplicate: 1, rejected: 1, skipped: 1 }), Ok(()));
}

#[test]
fn broken_histories_are_named() {
    let config = SaleConfig {
        sale_id: SaleId::new("06C5HN3T8Q2Z").unwrap(),
        sku: Sku::new("A").unwrap(),
        product_name: "A".into(),
        initial_stock: 2,
        start: Micros(10),
        end: Micros(20),
        challenge: Challenge::None,
    };
    assert_eq!(broken(no_oversell(1, &[unit("a", 2, 0)])), "I1");
    assert_eq!(broken(no_oversell(1, &[unit("a", 1, 0), unit("b", 1, 0)])), "I1");
    assert_eq!(broken(one_unit_per_user(&[unit("a", 1, 0), unit("a", 2, 0)])), "I2");
    assert_eq!(broken(stock_conserved(5, 2, 2)), "I3");
    assert_eq!(broken(nothing_lost(&[unit("a", 1, 0)], &[])), "I4");
    assert_eq!(broken(nothing_lost(&[unit("a", 1, 0)], &[unit("a", 1, 0), unit("a", 1, 0)])), "I4");
    assert_eq!(broken(nothing_invented(&[unit("a", 1, 0)], &[unit("a", 1, 1)])), "I5");
    assert_eq!(broken(refusal_is_true(3, 2, false, &Outcome::SoldOut)), "I6");
    let held = Outcome::AlreadyPurchased(unit("a", 1, 0).receipt);
    assert_eq!(broken(refusal_is_true(3, 3, false, &held)), "I6");
    assert_eq!(broken(nothing_left_unsold(5, 9, 4)), "I7");
    assert_eq!(broken(same_key_same_answer([("a/1", "x"), ("a/1", "y")])), "I8");
    assert_eq!(broken(dense_sequence(&[unit("a", 1, 0), unit("b", 3, 0)])), "I9");
    assert_eq!(broken(dense_sequence(&[unit("a", 1, 0), unit("b", 1, 0)])), "I9");
    assert_eq!(broken(dense_sequence(&[unit("a", 1, 9), unit("b", 2, 8)])), "I9");
    let logged = Logged {
        attempt: Attempt { user: UserId::new("a").unwrap(), request_id: RequestId::new("r").unwrap() },
        expected: config.sale_id.clone(),
        decided_at: Micros(15),
        decision: Decision { outcome: Outcome::NotActive(NotActive::Paused), as_of_sequence: 0, remaining: 2 },
    };
    assert_eq!(broken(replay_agrees(&config, Micros(0), &[logged])), "I9");
    assert_eq!(broken(accounted(&Accounts { consumed: 1, ..Accounts::default() })), "I10");
    assert_eq!(broken(stock_never_rises(&[3, 2, 3])), "I11");
    assert_eq!(broken(converged(0, 1, 0)), "I12");
    assert_eq!(broken(overload_is_polite(503, false)), "I13");
    assert_eq!(broken(overload_is_polite(500, true)), "I13");
    assert_eq!(broken(within_window(&config, &[unit("a", 1, 20)])), "I14");
    assert_eq!(broken(legal_transitions(&[SaleState::Upcoming, SaleState::Ended])), "I14");
}
