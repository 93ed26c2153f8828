use super::*;
use crate::{
    Attempt, Challenge, Receipt, RequestId, SaleConfig, SaleStatus, Sku,
    decision::Change,
    history::{LoggedDecision, LoggedOutcome},
};

fn sale_id() -> SaleId {
    SaleId::new("06C5HN3T8Q2Z").unwrap()
}

fn user(n: u64) -> UserId {
    UserId::new(&format!("u{n}")).unwrap()
}

fn sold(n: u64) -> Sold {
    let receipt = Receipt { sale_id: sale_id(), sequence: n, decided_at: at(n) };
    Sold { user: user(n), request_id: RequestId::new("r").unwrap(), receipt }
}

fn at(n: u64) -> Micros {
    Micros(100 + i64::try_from(n).unwrap())
}

fn number(n: u64) -> String {
    sold(n).receipt.number()
}

fn status(event: u64) -> SaleStatus {
    SaleStatus {
        config: SaleConfig {
            sale_id: sale_id(),
            sku: Sku::new("A").unwrap(),
            product_name: "A".into(),
            initial_stock: 10,
            start: Micros(100),
            end: Micros(1_000),
            challenge: Challenge::None,
        },
        state: if event < 2 { SaleState::Upcoming } else { SaleState::Active },
        end_reason: None,
        paused: event == 3,
        as_of_sequence: 0,
        as_of_event: event,
        as_of: Micros(100),
    }
}

/// All stores of one sale, with five units sold, as a test changes them.
struct Stores {
    units: Vec<Sold>,
    changes: Vec<(Change, SaleStatus)>,
    redis: Option<HotSale>,
    rows: Vec<Sold>,
}

impl Stores {
    fn equal() -> Self {
        let hot = HotSale {
            sale_id: sale_id(),
            initial_stock: 10,
            stock: 5,
            held: 5,
            sequence: 5,
            state: SaleState::Active,
            paused: false,
            events: 2,
            buyers: (1..=5).map(|n| (user(n), (n, at(n)))).collect(),
            pending: Vec::new(),
            pending_changes: Vec::new(),
        };
        Self {
            units: (1..=5).map(sold).collect(),
            changes: vec![(Change::Created, status(1)), (Change::Started, status(2))],
            redis: Some(hot),
            rows: (1..=5).map(sold).collect(),
        }
    }

    fn hot(&mut self) -> &mut HotSale {
        self.redis.as_mut().unwrap()
    }

    /// Sells unit 6 in Redis; it is in the outbox yet.
    fn pending() -> Self {
        let mut stores = Self::equal();
        let hot = stores.hot();
        (hot.stock, hot.sequence) = (4, 6);
        hot.buyers.insert(user(6), (6, at(6)));
        hot.pending.push(sold(6));
        stores
    }

    fn report(&self) -> Report {
        let mut log = History::new(sale_id());
        for Sold { user, request_id, receipt } in self.units.iter().cloned() {
            log.take(LoggedDecision {
                attempt: Attempt { user, request_id },
                sale_id: sale_id(),
                outcome: LoggedOutcome::Accepted(receipt.sequence),
                decided_at: receipt.decided_at,
                as_of_sequence: Some(receipt.sequence),
                remaining: None,
            });
        }
        for (change, after) in self.changes.iter().cloned() {
            log.take_change(change, after);
        }
        // Read at one moment, as from a Redis at rest.
        let redis = self.redis.clone().map(|hot| HotSale { held: hot.buyers.len() as u64, ..hot });
        compare(&Sides { log: &log, redis: redis.as_ref(), rows: &self.rows })
    }

    fn found(&self) -> Vec<(Class, String)> {
        let report = self.report();
        assert_eq!(report.total(), report.discrepancies.len() as u64);
        report.discrepancies.into_iter().map(|found| (found.class, found.subject)).collect()
    }
}

fn sale(class: Class) -> (Class, String) {
    (class, sale_id().to_string())
}

fn unit(class: Class, n: u64) -> (Class, String) {
    (class, number(n))
}

#[test]
fn i_12_equal_stores_have_no_discrepancy() {
    let report = Stores::equal().report();
    assert!(report.agrees(), "{report:?}");
    assert_eq!(report.compared, 5);
    let report = Stores::pending().report();
    assert!(report.agrees(), "what is in the outbox is on its way: {report:?}");
    assert_eq!(report.compared, 6);
    for class in Class::ALL {
        assert_eq!(Class::parse(class.as_str()), Some(class));
    }
}

#[test]
fn i_4_what_a_store_lacks_is_named() {
    let mut stores = Stores::equal();
    stores.rows.remove(2);
    assert_eq!(stores.found(), [unit(Class::MissingInPostgres, 3)]);
    let mut stores = Stores::equal();
    stores.hot().buyers.remove(&user(3));
    assert_eq!(stores.found(), [unit(Class::MissingInRedis, 3)]);
}

#[test]
fn i_5_what_the_log_lacks_is_named() {
    let mut stores = Stores::equal();
    stores.units.remove(2);
    assert_eq!(stores.found(), [unit(Class::MissingInLog, 3)], "once, though two stores have it");
    let mut stores = Stores::equal();
    stores.rows.push(sold(6));
    assert_eq!(stores.found(), [unit(Class::MissingInLog, 6)]);
    let mut stores = Stores::pending();
    stores.hot().pending.clear();
    assert_eq!(stores.found(), [unit(Class::MissingInLog, 6)]);
    // A second row of somebody who holds a unit rightly.
    let mut stores = Stores::equal();
    stores.rows.push(Sold { user: user(2), ..sold(6) });
    assert_eq!(stores.found(), [unit(Class::MissingInLog, 6)]);
}

#[test]
fn i_4_a_unit_told_differently_is_a_conflict() {
    let mut stores = Stores::equal();
    stores.rows[2].user = user(9);
    assert_eq!(stores.found(), [unit(Class::Conflict, 3)]);
    let mut stores = Stores::equal();
    stores.rows[2].receipt.decided_at = Micros(999);
    assert_eq!(stores.found(), [unit(Class::Conflict, 3)]);
    let mut stores = Stores::equal();
    stores.rows[2].request_id = RequestId::new("other").unwrap();
    assert_eq!(stores.found(), [unit(Class::Conflict, 3)]);
    let mut stores = Stores::equal();
    stores.rows[4].receipt.sequence = 6;
    assert_eq!(stores.found(), [unit(Class::Conflict, 5)], "another sequence, told once");
    let mut stores = Stores::equal();
    stores.hot().buyers.insert(user(3), (3, Micros(999)));
    stores.rows[2].user = user(9);
    let report = stores.report();
    assert_eq!(report.discrepancies.len(), 1);
    assert!(report.discrepancies[0].detail.contains("Redis has unit 3 of u3 at 999"), "{report:?}");
    assert!(report.discrepancies[0].detail.contains("Postgres has unit 3 of u9"), "{report:?}");
    let mut stores = Stores::equal();
    stores.hot().buyers.remove(&user(3));
    stores.hot().buyers.insert(user(9), (3, at(3)));
    assert_eq!(stores.found(), [unit(Class::Conflict, 3)]);
    let mut stores = Stores::pending();
    stores.hot().pending[0].user = user(9);
    assert_eq!(stores.found(), [unit(Class::Conflict, 6)], "the outbox and Redis");
    let mut stores = Stores::equal();
    stores.hot().pending.push(Sold { user: user(9), ..sold(3) });
    assert_eq!(stores.found(), [unit(Class::Conflict, 3)], "the outbox and the log");
}

#[test]
fn i_7_a_unit_that_nobody_holds_has_leaked() {
    let mut stores = Stores::equal();
    stores.units.remove(2);
    stores.rows.remove(2);
    stores.hot().buyers.remove(&user(3));
    let leaked = |n: u64| (Class::LeakedUnit, format!("06C5HN3T8Q2Z-{n}"));
    assert_eq!(stores.found(), [leaked(3)]);
    let mut stores = Stores::equal();
    (stores.hot().stock, stores.hot().sequence) = (3, 7);
    assert_eq!(stores.found(), [leaked(6), leaked(7)]);
}

#[test]
fn i_12_an_emptied_redis_is_one_discrepancy() {
    let mut stores = Stores::equal();
    stores.redis = None;
    assert_eq!(stores.found(), [sale(Class::SaleMissingInRedis)]);
    let mut stores = Stores::equal();
    stores.hot().sale_id = SaleId::new("06C5HN3T8Q30").unwrap();
    assert_eq!(stores.found(), [sale(Class::SaleMissingInRedis)]);
    assert!(stores.report().discrepancies[0].detail.contains("06C5HN3T8Q30"));
    // A removed sale is missing rightly, and its units with it.
    let mut stores = Stores::equal();
    stores.changes.push((Change::Deleted, SaleStatus { as_of_event: 3, ..status(2) }));
    assert_eq!(stores.found(), [sale(Class::StateMismatch)]);
    stores.redis = None;
    stores.rows.clear();
    assert_eq!(stores.found(), []);
}

#[test]
fn i_3_numbers_that_do_not_add_up_are_a_mismatch() {
    let broken: [fn(&mut HotSale); 3] =
        [|hot| hot.stock = 6, |hot| hot.initial_stock = 11, |hot| (hot.sequence, hot.stock) = (4, 6)];
    for breaks in broken {
        let mut stores = Stores::equal();
        breaks(stores.hot());
        assert_eq!(stores.found(), [sale(Class::StockMismatch)]);
    }
}

#[test]
fn i_14_another_state_than_the_log_has_is_a_mismatch() {
    let broken: [fn(&mut HotSale); 4] =
        [|hot| hot.state = SaleState::Ended, |hot| hot.paused = true, |hot| hot.events = 1, |hot| hot.events = 4];
    for breaks in broken {
        let mut stores = Stores::equal();
        breaks(stores.hot());
        assert_eq!(stores.found(), [sale(Class::StateMismatch)]);
    }
    let mut stores = Stores::equal();
    (stores.hot().events, stores.hot().paused) = (3, true);
    stores.hot().pending_changes = vec![3];
    assert_eq!(stores.found(), [], "the change is on its way");
    stores.changes.push((Change::Paused, status(3)));
    assert_eq!(stores.found(), [], "there, and not settled yet");
    stores.changes.remove(1);
    assert_eq!(stores.found(), [sale(Class::StateMismatch)], "a hole");
}

#[test]
fn i_12_a_second_look_keeps_what_it_finds_again() {
    let mut first = Stores::equal();
    first.rows.remove(2);
    first.rows.remove(2);
    let mut second = Stores::equal();
    second.rows.remove(3);
    second.hot().paused = true;
    let confirmed = first.report().confirmed_by(&second.report());
    let subjects: Vec<_> = confirmed.discrepancies.iter().map(|found| found.subject.clone()).collect();
    assert_eq!(subjects, [number(4)]);
    assert_eq!(confirmed.counts, [(Class::MissingInPostgres, 1)].into());
    assert!(first.report().confirmed_by(&Stores::equal().report()).agrees());
}

#[test]
fn i_12_a_second_look_tells_units_apart_that_are_not_listed() {
    let looked_at = |missing: std::ops::RangeInclusive<u64>| {
        let mut stores = Stores::equal();
        stores.units = (1..=9_000).map(sold).collect();
        stores.rows = stores.units.iter().filter(|unit| !missing.contains(&unit.receipt.sequence)).cloned().collect();
        stores.redis = None;
        stores.report()
    };
    let missing = |report: Report| report.counts.get(&Class::MissingInPostgres).copied().unwrap_or_default();
    // Under load thousands are under way at each look, and other ones at the next.
    let (first, second, third) = (looked_at(1..=5_000), looked_at(4_991..=9_000), looked_at(5_001..=5_112));
    assert_eq!(missing(first.confirmed_by(&second)), 10);
    assert_eq!(missing(first.confirmed_by(&third)), 0);
    assert_eq!(missing(first.confirmed_by(&second).confirmed_by(&third)), 0);
    assert_eq!(missing(first.confirmed_by(&first)), 5_000);
}

#[test]
fn i_12_a_report_is_bounded_and_counts_all() {
    let mut stores = Stores::equal();
    stores.rows.clear();
    stores.units = (1..=3_000).map(sold).collect();
    let report = stores.report();
    assert_eq!(report.counts[&Class::MissingInPostgres], 3_000);
    assert_eq!(report.counts[&Class::MissingInRedis], 2_995);
    assert_eq!(report.counts[&Class::StockMismatch], 1);
    assert_eq!((report.compared, report.discrepancies.len()), (3_000, 999));
    assert_eq!(report.discrepancies[0].class, Class::StockMismatch);
    let again = report.confirmed_by(&report);
    assert_eq!(again, report);
    // Whatever the counter is.
    (stores.hot().sequence, stores.hot().stock) = (u64::MAX, u64::MAX);
    assert_eq!(stores.report().counts[&Class::LeakedUnit], u64::MAX - 3_000);
}
