use proptest::prelude::*;

use super::*;
use crate::{
    Challenge, Sku,
    invariants::{self, Logged, Sold},
};

fn config(stock: u64) -> SaleConfig {
    SaleConfig {
        sale_id: SaleId::new("06C5HN3T8Q2Z").unwrap(),
        sku: Sku::new("PHONE").unwrap(),
        product_name: "Phone".into(),
        initial_stock: stock,
        start: Micros::from_millis(1_000),
        end: Micros::from_millis(2_000),
        challenge: Challenge::None,
    }
}

fn attempt(user: &str, request: &str) -> Attempt {
    Attempt { user: UserId::new(user).unwrap(), request_id: RequestId::new(request).unwrap() }
}

fn decide(book: &mut SaleBook, at_ms: i64, user: &str, request: &str) -> Outcome {
    let sale = book.config.sale_id.clone();
    book.decide(Micros::from_millis(at_ms), &sale, &attempt(user, request)).outcome
}

#[test]
fn fl_1_fl_2_fl_3_the_window_is_closed_open_and_inclusive_of_the_start() {
    let mut book = SaleBook::create(config(5), Micros(0));
    assert_eq!(decide(&mut book, 999, "a", "1"), Outcome::NotActive(NotActive::NotStarted));
    assert_eq!(book.state(), SaleState::Upcoming);
    assert!(matches!(decide(&mut book, 1_000, "a", "2"), Outcome::Accepted(_)));
    assert!(matches!(decide(&mut book, 1_999, "b", "3"), Outcome::Accepted(_)));
    assert_eq!(decide(&mut book, 2_000, "c", "4"), Outcome::NotActive(NotActive::TimeExpired));
    assert_eq!(book.end_reason(), Some(EndReason::TimeExpired));
}

#[test]
fn fl_4_fl_5_the_last_unit_ends_the_sale_for_ever() {
    let mut book = SaleBook::create(config(1), Micros(0));
    decide(&mut book, 1_500, "a", "1");
    assert_eq!((book.state(), book.end_reason()), (SaleState::Ended, Some(EndReason::SoldOut)));
    assert_eq!(decide(&mut book, 1_501, "b", "2"), Outcome::SoldOut);
    assert_eq!(decide(&mut book, 9_000, "b", "2"), Outcome::SoldOut, "the same answer after the end");
    assert_eq!(book.changes(), [Change::Created, Change::Started, Change::Ended]);
}

#[test]
fn fl_5_a_sale_that_nobody_noticed_still_passes_through_active() {
    let mut book = SaleBook::create(config(1), Micros(0));
    book.tick(Micros::from_millis(5_000));
    assert_eq!(book.changes(), [Change::Created, Change::Started, Change::Ended]);
}

#[test]
fn pr_1_pr_2_pr_7_a_buyer_keeps_the_receipt() {
    let mut book = SaleBook::create(config(1), Micros(0));
    let Outcome::Accepted(receipt) = decide(&mut book, 1_500, "a", "1") else { panic!("not accepted") };
    assert_eq!(decide(&mut book, 1_600, "a", "1"), Outcome::Repeated(receipt.clone()));
    assert_eq!(decide(&mut book, 1_600, "a", "2"), Outcome::AlreadyPurchased(receipt.clone()));
    assert_eq!(decide(&mut book, 9_600, "a", "1"), Outcome::Repeated(receipt.clone()));
    assert_eq!(decide(&mut book, 9_600, "a", "2"), Outcome::AlreadyPurchased(receipt));
}

#[test]
fn a_paused_or_replaced_sale_says_so() {
    let mut book = SaleBook::create(config(2), Micros(0));
    book.pause(Micros::from_millis(1_100), true).unwrap();
    assert_eq!(decide(&mut book, 1_200, "a", "1"), Outcome::NotActive(NotActive::Paused));
    book.pause(Micros::from_millis(1_300), false).unwrap();
    let other = SaleId::new("06C5HN3T8Q30").unwrap();
    let decision = book.decide(Micros::from_millis(1_400), &other, &attempt("a", "2"));
    assert_eq!(decision.outcome, Outcome::NotActive(NotActive::SaleReplaced));
    assert!(matches!(decide(&mut book, 1_500, "a", "3"), Outcome::Accepted(_)));
    assert_eq!(book.update(Micros::from_millis(1_500), config(9)), Err(Refused::NotModifiable));
    decide(&mut book, 1_500, "b", "4");
    assert_eq!(book.pause(Micros::from_millis(1_600), true), Err(Refused::Ended));
}

proptest! {
    /// Whatever the history, the book keeps every invariant.
    #[test]
    fn im_1_to_5_t_1_to_3_every_history_keeps_the_invariants(
        stock in 1u64..20,
        steps in prop::collection::vec((0i64..60, 0u32..30, 0u32..3, 0u32..20), 0..120),
    ) {
        let config = config(stock);
        let mut book = SaleBook::create(config.clone(), Micros(0));
        let (mut now, mut sold, mut history) = (900, Vec::new(), Vec::new());
        for (wait, user, request, pause) in steps {
            now += wait;
            let at = Micros::from_millis(now);
            if pause < 2 {
                // Refused only once ended, which the time of this very call may bring.
                prop_assert!(book.pause(at, pause == 0).is_ok() || book.state() == SaleState::Ended);
                continue;
            }
            let attempt = attempt(&format!("u{user}"), &format!("r{request}"));
            let held = book.receipt_of(&attempt.user).is_some();
            let decision = book.decide(at, &config.sale_id, &attempt);
            prop_assert_eq!(
                invariants::refusal_is_true(stock, decision.as_of_sequence, held, &decision.outcome), Ok(()));
            prop_assert_eq!(invariants::stock_conserved(stock, decision.remaining, decision.as_of_sequence), Ok(()));
            if let Outcome::Accepted(receipt) = &decision.outcome {
                sold.push(Sold {
                    user: attempt.user.clone(), request_id: attempt.request_id.clone(), receipt: receipt.clone() });
            }
            history.push(Logged { attempt, expected: config.sale_id.clone(), decided_at: at, decision });
        }
        prop_assert_eq!(invariants::no_oversell(stock, &sold), Ok(()));
        prop_assert_eq!(invariants::one_unit_per_user(&sold), Ok(()));
        prop_assert_eq!(invariants::dense_sequence(&sold), Ok(()));
        prop_assert_eq!(invariants::within_window(&config, &sold), Ok(()));
        let states: Vec<_> = book.changes().iter().filter_map(|change| match change {
            Change::Created => Some(SaleState::Upcoming),
            Change::Started => Some(SaleState::Active),
            Change::Ended => Some(SaleState::Ended),
            _ => None,
        }).collect();
        prop_assert_eq!(invariants::legal_transitions(&states), Ok(()));
        if !book.changes().contains(&Change::Paused) {
            prop_assert_eq!(invariants::replay_agrees(&config, Micros(0), &history), Ok(()));
        }
    }
}
