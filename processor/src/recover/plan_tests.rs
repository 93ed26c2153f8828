use flashsale_core::{
    Attempt, Challenge, RequestId, SaleConfig, SaleId, Sku,
    decision::Change,
    history::{LoggedDecision, LoggedOutcome},
    invariants::Sold,
};

use super::*;

const AT: i64 = 1_795_000_000_000_000;

fn user(number: u64) -> UserId {
    UserId::new(&format!("u{number}")).unwrap()
}

fn request(number: u64) -> RequestId {
    RequestId::new(&format!("r{number}")).unwrap()
}

fn created(stock: u64) -> SaleStatus {
    SaleStatus {
        config: SaleConfig {
            sale_id: SaleId::new("06C5HN3T8Q2Z").unwrap(),
            sku: Sku::new("A").unwrap(),
            product_name: "A".into(),
            initial_stock: stock,
            start: Micros(AT),
            end: Micros(AT + 60_000_000),
            challenge: Challenge::None,
        },
        state: SaleState::Active,
        end_reason: None,
        paused: false,
        as_of_sequence: 0,
        as_of_event: 2,
        as_of: Micros(AT),
    }
}

/// Units of one batch have one time.
fn at(sequence: u64) -> Micros {
    Micros(AT + 1_000 * i64::try_from(sequence.div_ceil(2)).unwrap())
}

/// A log with these units; number `n` is of user `n`.
fn log(stock: u64, units: impl IntoIterator<Item = u64>) -> History {
    let status = created(stock);
    let mut log = History::new(status.config.sale_id.clone());
    log.take_change(Change::Created, SaleStatus { state: SaleState::Upcoming, as_of_event: 1, ..status.clone() });
    log.take_change(Change::Started, status.clone());
    for sequence in units {
        log.take(LoggedDecision {
            attempt: Attempt { user: user(sequence), request_id: request(sequence) },
            sale_id: status.config.sale_id.clone(),
            outcome: LoggedOutcome::Accepted(sequence),
            decided_at: at(sequence),
            as_of_sequence: Some(sequence),
            remaining: Some(stock - sequence),
        });
    }
    log
}

/// A Redis that holds these units.
fn redis(stock: u64, units: impl IntoIterator<Item = u64>) -> HotSale {
    let buyers: HashMap<UserId, (u64, Micros)> =
        units.into_iter().map(|sequence| (user(sequence), (sequence, at(sequence)))).collect();
    let sequence = buyers.values().map(|(sequence, _)| *sequence).max().unwrap_or(0);
    HotSale {
        sale_id: created(stock).config.sale_id,
        initial_stock: stock,
        stock: stock - sequence,
        held: buyers.len() as u64,
        sequence,
        state: SaleState::Active,
        paused: false,
        events: 2,
        buyers,
        pending: Vec::new(),
        pending_changes: Vec::new(),
    }
}

fn outbox(units: std::ops::RangeInclusive<u64>) -> OutboxEntry {
    let sale_id = created(1).config.sale_id;
    let units: Vec<Sold> = units
        .map(|sequence| Sold {
            user: user(sequence),
            request_id: request(sequence),
            receipt: flashsale_core::Receipt { sale_id: sale_id.clone(), sequence, decided_at: at(sequence) },
        })
        .collect();
    let entry = Entry::Sold { ingest_id: "i".into(), units, remaining_after_first: 1 };
    OutboxEntry { id: "1-1".into(), at: Micros(AT), entry }
}

#[test]
fn equal_stores_need_nothing() {
    assert!(plan(&log(10, 1..=4), Some(&redis(10, 1..=4)), &[]).is_empty());
}

#[test]
fn f_5_what_redis_lost_is_restored_in_its_batches() {
    let plan = plan(&log(10, 1..=5), Some(&redis(10, 1..=2)), &[]);
    let batches: Vec<(u64, usize)> = plan.restore.iter().map(|batch| (batch.first, batch.buyers.len())).collect();
    assert_eq!(batches, [(3, 2), (5, 1)], "3 and 4 were decided together");
    let status = plan.status.unwrap();
    assert_eq!((status.as_of_sequence, status.stock(), status.as_of), (5, 5, at(5)));
    assert!(plan.forget.is_empty() && plan.publish_entries.is_empty() && plan.publish_buyers.is_empty());
}

#[test]
fn f_6_an_empty_redis_gets_everything() {
    let plan = plan(&log(10, 1..=10), None, &[]);
    assert_eq!(plan.restored(), 10);
    assert_eq!(plan.status.unwrap().stock(), 0);
}

#[test]
fn f_1_what_only_the_outbox_has_the_log_learns() {
    let plan = plan(&log(10, 1..=2), Some(&redis(10, 1..=4)), &[outbox(1..=2), outbox(3..=4)]);
    assert_eq!(plan.publish_entries, [1], "the other is in the log");
    assert!(plan.restore.is_empty() && plan.publish_buyers.is_empty() && plan.status.is_none());
}

#[test]
fn a_buyer_that_neither_log_nor_outbox_knows_is_published() {
    let plan = plan(&log(10, 1..=2), Some(&redis(10, 1..=3)), &[]);
    assert_eq!(plan.publish_buyers, [user(3)]);
    assert!(plan.forget.is_empty());
}

#[test]
fn where_two_claim_one_unit_the_log_wins() {
    let mut hot = redis(10, 1..=2);
    hot.buyers.remove(&user(2));
    hot.buyers.insert(user(9), (2, at(2)));
    let plan = plan(&log(10, 1..=2), Some(&hot), &[]);
    assert_eq!(plan.forget, [user(9)]);
    assert_eq!(plan.restored(), 1);
    assert!(plan.publish_buyers.is_empty(), "that unit is somebody else's");
}

#[test]
fn im_1_stock_that_was_written_by_hand_is_set_right() {
    let hot = HotSale { stock: 9, ..redis(10, 1..=4) };
    assert_eq!(plan(&log(10, 1..=4), Some(&hot), &[]).status.unwrap().stock(), 6);
}

#[test]
fn fl_4_a_sale_without_stock_that_has_not_ended_is_looked_at_again() {
    let plan = plan(&log(4, 1..=4), Some(&redis(4, 1..=4)), &[]);
    assert!(plan.status.is_some(), "the script makes the end that was lost");
}

#[test]
fn i_2_two_units_of_one_shopper_in_the_log_do_not_keep_the_fence_closed() {
    let mut log = log(10, 1..=2);
    log.take(LoggedDecision {
        attempt: Attempt { user: user(1), request_id: request(9) },
        sale_id: created(10).config.sale_id,
        outcome: LoggedOutcome::Accepted(3),
        decided_at: at(3),
        as_of_sequence: Some(3),
        remaining: Some(7),
    });
    let hot = HotSale { sequence: 3, stock: 7, ..redis(10, 1..=2) };
    assert!(plan(&log, Some(&hot), &[]).is_empty(), "Redis holds the first of them, and no more than that");
}

#[test]
fn a_buyer_that_somebody_wrote_by_hand_is_taken_out() {
    let mut hot = redis(10, 1..=2);
    hot.buyers.insert(user(7), (999, at(2)));
    let plan = plan(&log(10, 1..=2), Some(&hot), &[]);
    assert_eq!(plan.forget, [user(7)]);
    assert_eq!(plan.status.unwrap().as_of_sequence, 2, "and no stock goes with it");
}
