use super::*;
use crate::{Challenge, Decision, EndReason, SaleBook, SaleState, Sku};

const SALE: &str = "06C5HN3T8Q2Z";
pub(super) const START: i64 = 1_000;
pub(super) const END: i64 = 2_000;

pub(super) fn sale_id() -> SaleId {
    SaleId::new(SALE).unwrap()
}

pub(super) fn config(stock: u64) -> SaleConfig {
    SaleConfig {
        sale_id: sale_id(),
        sku: Sku::new("PHONE").unwrap(),
        product_name: "Phone".into(),
        initial_stock: stock,
        start: Micros(START),
        end: Micros(END),
        challenge: Challenge::None,
    }
}

pub(super) fn attempt(user: &str, request: &str) -> Attempt {
    Attempt { user: UserId::new(user).unwrap(), request_id: RequestId::new(request).unwrap() }
}

/// A log of one sale, written by the model as ingest writes it.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) book: SaleBook,
    pub(super) changes: Vec<(Change, SaleStatus)>,
    pub(super) decisions: Vec<LoggedDecision>,
}

impl Log {
    pub(super) fn create(config: SaleConfig, at: i64) -> Self {
        let book = SaleBook::create(config, Micros(at));
        let mut log = Self { book, changes: Vec::new(), decisions: Vec::new() };
        log.note(at);
        log
    }

    /// Writes down the changes that the book made since the last call.
    fn note(&mut self, at: i64) {
        for number in self.changes.len()..self.book.changes().len() {
            let change = self.book.changes()[number];
            let last = self.changes.last().map(|(_, after)| after);
            let (state, end_reason) = match change {
                Change::Created | Change::Updated => (SaleState::Upcoming, None),
                Change::Started => (SaleState::Active, None),
                Change::Ended => (SaleState::Ended, self.book.end_reason()),
                _ => (self.book.state(), None),
            };
            let after = SaleStatus {
                config: self.book.config().clone(),
                state,
                end_reason,
                paused: match change {
                    Change::Paused => true,
                    Change::Resumed => false,
                    _ => last.is_some_and(|after| after.paused),
                },
                as_of_sequence: self.book.sold(),
                as_of_event: number as u64 + 1,
                as_of: Micros(at),
            };
            self.changes.push((change, after));
        }
    }

    pub(super) fn pause(&mut self, at: i64, paused: bool) {
        // Refused once ended, which is as well.
        self.book.pause(Micros(at), paused).unwrap_or_default();
        self.note(at);
    }

    pub(super) fn update(&mut self, at: i64, config: SaleConfig) {
        self.book.update(Micros(at), config).unwrap_or_default();
        self.note(at);
    }

    pub(super) fn buy(&mut self, at: i64, user: &str, request: &str) -> Decision {
        let attempt = attempt(user, request);
        self.book.tick(Micros(at));
        self.note(at);
        let decision = self.book.decide(Micros(at), &sale_id(), &attempt);
        self.note(at);
        let again = matches!(decision.outcome, Outcome::Repeated(_));
        if !again {
            self.decisions.push(LoggedDecision {
                attempt,
                sale_id: sale_id(),
                outcome: LoggedOutcome::from(&decision.outcome),
                decided_at: decision.outcome.receipt().map_or(Micros(at), |receipt| match decision.outcome {
                    Outcome::Accepted(_) => receipt.decided_at,
                    _ => Micros(at),
                }),
                as_of_sequence: Some(decision.as_of_sequence),
                remaining: Some(decision.remaining),
            });
        }
        decision
    }

    pub(super) fn edge(&mut self, user: &str, outcome: LoggedOutcome) {
        let attempt = attempt(user, "edge");
        let decided_at = Micros(END + 50);
        self.decisions.push(LoggedDecision {
            attempt,
            sale_id: sale_id(),
            outcome,
            decided_at,
            as_of_sequence: None,
            remaining: None,
        });
    }

    pub(super) fn history(&self) -> History {
        let mut history = History::new(sale_id());
        self.decisions.iter().cloned().for_each(|decision| history.take(decision));
        self.changes.iter().cloned().for_each(|(change, after)| history.take_change(change, after));
        history
    }

    pub(super) fn unit(&mut self, sequence: u64) -> &mut LoggedDecision {
        let found = self.decisions.iter_mut().find(|decision| decision.outcome == LoggedOutcome::Accepted(sequence));
        found.unwrap()
    }

    fn broken(&self) -> Vec<&'static str> {
        let violations = self.history().verify();
        let mut ids: Vec<_> = violations.iter().map(|violation| violation.invariant).collect();
        ids.dedup();
        ids
    }
}

/// Ten units, five of them sold one a microsecond from the start, refusals of every kind, a pause.
fn sound() -> Log {
    let mut log = Log::create(config(10), 0);
    log.buy(START - 10, "early", "r");
    for n in 1..=5 {
        log.buy(START + 10 * n, &format!("u{n}"), "r");
    }
    log.buy(START + 55, "u2", "again");
    log.pause(START + 60, true);
    log.buy(START + 70, "u9", "r");
    log.pause(START + 80, false);
    log
}

fn sold_out() -> Log {
    let mut log = sound();
    for n in 6..=10 {
        log.buy(START + 100 + n, &format!("u{n}"), "r");
    }
    log.buy(START + 200, "late", "r");
    log.edge("late", LoggedOutcome::SoldOut);
    log
}

fn expired() -> Log {
    let mut log = sound();
    log.buy(END + 1, "late", "r");
    log.edge("late", LoggedOutcome::NotActive(NotActive::TimeExpired));
    log
}

#[test]
fn i_9_sound_histories_verify() {
    for log in [sound(), sold_out(), expired()] {
        assert_eq!(log.history().verify(), []);
    }
    let history = sold_out().history();
    let counts = history.counts();
    assert_eq!((counts.accepted, counts.sold_out, counts.paused, counts.not_started), (10, 2, 1, 1));
    assert_eq!((counts.already_purchased, counts.at_the_edge, counts.repeats), (1, 1, 0));
    assert_eq!((counts.decisions(), counts.refused()), (15, 5));
    let status = history.status().unwrap();
    assert_eq!((status.state, status.end_reason), (SaleState::Ended, Some(EndReason::SoldOut)));
    assert_eq!((status.as_of_sequence, status.stock()), (10, 0));
    assert_eq!(status.as_of, Micros(START + 200), "the edge's guess does not count");
    assert_eq!(history.unit_of(&UserId::new("u7").unwrap()).unwrap().0, 7);
    assert_eq!(history.sold_unit(7).unwrap().receipt.decided_at, Micros(START + 107));
    assert_eq!((history.missing(), history.missing_changes()), (vec![], vec![]));
}

#[test]
fn i_1_a_unit_beyond_the_stock_is_found() {
    let mut log = sold_out();
    let extra = LoggedDecision {
        attempt: attempt("extra", "r"),
        sale_id: sale_id(),
        outcome: LoggedOutcome::Accepted(11),
        decided_at: Micros(START + 300),
        as_of_sequence: Some(11),
        remaining: Some(0),
    };
    log.decisions.push(extra);
    assert!(log.broken().contains(&"I1"), "{:?}", log.history().verify());
}

#[test]
fn i_6_false_refusals_are_found() {
    for outcome in [LoggedOutcome::SoldOut, LoggedOutcome::AlreadyPurchased(Some(3))] {
        let mut log = sound();
        let refusal = LoggedDecision {
            attempt: attempt("nobody", "r"),
            sale_id: sale_id(),
            outcome,
            decided_at: Micros(START + 58),
            as_of_sequence: Some(5),
            remaining: Some(5),
        };
        log.decisions.push(refusal);
        assert_eq!(log.broken(), ["I6"], "{outcome}");
    }
    let mut log = sold_out();
    log.edge("u3", LoggedOutcome::SoldOut);
    assert_eq!(log.broken(), ["I6"], "a buyer refused at the edge");
    let mut log = expired();
    log.edge("late", LoggedOutcome::SoldOut);
    assert_eq!(log.broken(), ["I6"], "it ended with units left");
    let mut log = sold_out();
    log.edge("late", LoggedOutcome::NotActive(NotActive::TimeExpired));
    assert_eq!(log.broken(), ["I9"], "it ended without units");
    let mut log = sound();
    log.decisions.retain(|decision| decision.outcome != LoggedOutcome::NotActive(NotActive::Paused));
    log.edge("late", LoggedOutcome::SoldOut);
    assert_eq!(log.broken(), ["I6"], "it had not ended");
}

#[test]
fn i_9_a_pause_is_what_the_changes_say() {
    let refusal = |log: &mut Log, at: i64, reason| {
        log.decisions.push(LoggedDecision {
            attempt: attempt("u9", &format!("p{at}")),
            sale_id: sale_id(),
            outcome: LoggedOutcome::NotActive(reason),
            decided_at: Micros(at),
            as_of_sequence: Some(5),
            remaining: Some(5),
        });
    };
    let mut log = sound();
    refusal(&mut log, START + 60, NotActive::Paused);
    refusal(&mut log, START + 80, NotActive::Paused);
    assert_eq!(log.history().verify(), [], "both ends belong to it");
    for at in [START + 59, START + 81] {
        let mut log = sound();
        refusal(&mut log, at, NotActive::Paused);
        assert_eq!(log.broken(), ["I9"], "{at}");
    }
    let mut log = sound();
    refusal(&mut log, START + 70, NotActive::TimeExpired);
    assert_eq!(log.broken(), ["I9"]);
    // A unit inside: the pause is told to stand in front of unit 5, which was sold later.
    let mut log = sound();
    log.changes[2].1.as_of_sequence = 4;
    log.changes[2].1.as_of = Micros(START + 45);
    assert_eq!(log.broken(), ["I9"], "{:?}", log.history().verify());
}

#[test]
fn i_9_records_that_contradict_each_other_are_found() {
    let mut log = sound();
    let mut other = log.unit(3).clone();
    other.attempt = attempt("mallory", "r");
    log.decisions.push(other);
    let violations = log.history().verify();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].detail.contains("u3") && violations[0].detail.contains("mallory"), "{violations:?}");
    let mut log = sound();
    log.unit(3).remaining = Some(9);
    assert_eq!(log.broken(), ["I9"]);
    let mut log = sound();
    log.unit(3).as_of_sequence = Some(4);
    assert_eq!(log.broken(), ["I9"]);
}

#[test]
fn i_9_a_lost_last_unit_is_found_by_what_came_after_it() {
    let mut log = sold_out();
    log.decisions.retain(|decision| decision.outcome != LoggedOutcome::Accepted(10));
    let history = log.history();
    assert_eq!((history.highest_sequence(), history.known_sequence()), (9, 10));
    assert_eq!(history.missing(), [10..=10]);
    assert_eq!(log.broken(), ["I9"]);
}

#[test]
fn i_14_changes_that_cannot_follow_each_other_are_found() {
    let mut log = expired();
    log.changes.remove(0);
    assert_eq!(log.broken(), ["I14"], "{:?}", log.history().verify());
    let mut log = expired();
    log.changes.clear();
    assert_eq!(log.broken(), ["I14"]);
    let mut log = expired();
    log.changes.remove(2);
    assert_eq!(log.history().missing_changes(), [3..=3]);
    assert_eq!(log.broken(), ["I14"], "whatever depends on the lost PAUSED is not judged");
    let mut log = expired();
    let (_, mut again) = log.changes.last().unwrap().clone();
    again.as_of_event += 1;
    log.changes.push((Change::Ended, again.clone()));
    assert_eq!(log.broken(), ["I14"], "ended twice");
    log.changes.pop();
    log.changes.push((Change::Deleted, again));
    assert_eq!(log.broken(), [""; 0], "a removal may come last");
    assert!(log.history().deleted());
    let mut log = expired();
    log.decisions.pop();
    log.decisions.pop();
    log.changes.last_mut().unwrap().1.end_reason = Some(EndReason::SoldOut);
    assert_eq!(log.broken(), ["I14"], "sold out with five units left");
    let mut log = sound();
    log.changes[1].1.config.initial_stock = 11;
    assert_eq!(log.broken(), ["I14"], "another stock without UPDATED");
}

#[test]
fn i_9_an_update_counts_from_when_it_was_made() {
    let mut log = Log::create(config(3), 0);
    log.buy(10, "a", "1");
    log.update(20, SaleConfig { start: Micros(500), initial_stock: 2, ..config(3) });
    log.buy(30, "a", "2");
    log.buy(600, "a", "3");
    log.buy(700, "b", "4");
    log.buy(800, "c", "5");
    assert_eq!(log.history().verify(), []);
    assert_eq!(log.history().config().unwrap().initial_stock, 2);
}

#[test]
fn i_9_findings_are_bounded() {
    let mut log = sound();
    for n in 0..50 {
        log.decisions.push(LoggedDecision {
            attempt: attempt(&format!("x{n}"), "r"),
            sale_id: sale_id(),
            outcome: LoggedOutcome::SoldOut,
            decided_at: Micros(START + 90),
            as_of_sequence: Some(5),
            remaining: Some(5),
        });
    }
    let violations = log.history().verify();
    assert_eq!(violations.len(), 21);
    assert_eq!(violations[20].to_string(), "I6: ... and 30 more");
}

#[test]
fn i_9_absurd_numbers_cannot_stop_it() {
    let mut log = sound();
    for sequence in [0, 1 << 62, u64::MAX] {
        let mut unit = log.unit(3).clone();
        unit.outcome = LoggedOutcome::Accepted(sequence);
        unit.as_of_sequence = Some(sequence);
        unit.remaining = Some(u64::MAX);
        unit.decided_at = Micros(i64::MIN);
        log.decisions.push(unit);
    }
    log.changes[1].1.as_of = Micros(i64::MAX);
    assert!(!log.history().verify().is_empty());
    log.changes.clear();
    assert!(!log.history().verify().is_empty());
}
