//! Replays a history through the model and names what cannot be true.
//!
//! The order is exact between units and changes, because a change says how many units were sold before
//! it. A refusal stands behind the unit it counts to; among the changes there it is placed by time, and
//! where times are equal on whichever side it is true.

use std::collections::BTreeMap;

use super::{CONFLICTS_MAX, History, LoggedOutcome, Refusal, Unit};
use crate::{
    Attempt, EndReason, Micros, NotActive, Outcome, SaleBook, SaleConfig, SaleState, SaleStatus,
    decision::Change,
    invariants::{self, Violation},
};

/// Findings listed an invariant; the rest is counted.
const LISTED_MAX: usize = 20;

/// What was found, bounded an invariant.
#[derive(Default)]
struct Findings(BTreeMap<&'static str, (Vec<Violation>, u64)>);

impl Findings {
    fn add(&mut self, invariant: &'static str, detail: impl FnOnce() -> String) {
        let (listed, count) = self.0.entry(invariant).or_default();
        *count += 1;
        if listed.len() < LISTED_MAX {
            listed.push(Violation { invariant, detail: detail() });
        }
    }

    /// More of the same that nobody kept.
    fn add_uncounted(&mut self, invariant: &'static str, more: u64) {
        if more > 0 {
            self.0.entry(invariant).or_default().1 += more;
        }
    }

    fn take(&mut self, check: invariants::Check) {
        if let Err(Violation { invariant, detail }) = check {
            self.add(invariant, || detail);
        }
    }

    fn into_violations(self) -> Vec<Violation> {
        let mut all = Vec::new();
        for (invariant, (listed, count)) in self.0 {
            let more = count - listed.len() as u64;
            all.extend(listed);
            if more > 0 {
                all.push(Violation { invariant, detail: format!("... and {more} more") });
            }
        }
        all
    }
}

pub(super) fn verify(history: &History) -> Vec<Violation> {
    let mut findings = Findings::default();
    contradictions(history, &mut findings);
    order_of_changes(history, &mut findings);
    match history.changes.values().next() {
        Some((first, after)) => {
            let mut replay = Replay::new(history, &after.config, after.as_of, *first, findings);
            replay.run();
            findings = replay.findings;
        }
        // Without a configuration neither stock nor window is known.
        None => {
            let sold: Vec<_> = history.units.keys().filter_map(|sequence| history.sold_unit(*sequence)).collect();
            findings.take(invariants::one_unit_per_user(&sold));
        }
    }
    findings.into_violations()
}

/// I9: what contradicts itself before any rule is asked.
fn contradictions(history: &History, findings: &mut Findings) {
    for range in history.missing() {
        findings.add("I9", || match range.end() - range.start() {
            0 => format!("unit {} is missing in the log", range.start()),
            _ => format!("units {} to {} are missing in the log", range.start(), range.end()),
        });
    }
    if history.units.contains_key(&0) {
        findings.add("I9", || "a unit has sequence 0; the first is 1".to_owned());
    }
    let told = |unit: &Unit| format!("{} by request {} at {}", unit.user, unit.request_id, unit.decided_at.0);
    for (sequence, other) in &history.conflicts.first {
        let first = history.units.get(sequence).map_or_else(String::new, told);
        findings.add("I9", || format!("unit {sequence} is told twice: sold to {first}, and to {}", told(other)));
    }
    for (sequence, sold) in &history.miscounted.first {
        findings.add("I9", || format!("unit {sequence} was sold, and its record counts {sold} sold units"));
    }
    for count in [history.conflicts.count, history.miscounted.count] {
        findings.add_uncounted("I9", count.saturating_sub(CONFLICTS_MAX as u64));
    }
}

/// I14: the changes by themselves: numbers, states, what may follow what.
fn order_of_changes(history: &History, findings: &mut Findings) {
    let Some((number, (first, _))) = history.changes.first_key_value() else {
        findings.add("I14", || "the log has no change of the sale, not even CREATED".to_owned());
        return;
    };
    let complete = (*number, *first) == (1, Change::Created);
    if !complete {
        findings.add("I14", || {
            format!("CREATED is missing in the log, which begins with change {number}, {}", first.as_str())
        });
    }
    for range in history.missing_changes().into_iter().filter(|range| complete || *range.start() > 1) {
        findings.add("I14", || format!("changes {} to {} are missing in the log", range.start(), range.end()));
    }
    for (number, change, after) in &history.change_conflicts.first {
        findings.add("I14", || {
            let first = history.changes.get(number).map_or("none", |(first, _)| first.as_str());
            format!("change {number} is told twice: {first}, and {} at {}", change.as_str(), after.as_of.0)
        });
    }
    if complete && history.missing_changes().is_empty() {
        let states: Vec<SaleState> = history.changes.values().map(|(_, after)| after.state).collect();
        findings.take(invariants::legal_transitions(&states));
    }
    let mut before: Option<(Change, &SaleStatus)> = None;
    for (number, (change, after)) in &history.changes {
        if let Some((last, status)) = before {
            follows(findings, (last, status), *number, (*change, after));
        }
        before = Some((*change, after));
    }
}

/// I14: whether change `number` may stand behind the one in front of it.
fn follows(
    findings: &mut Findings,
    before: (Change, &SaleStatus),
    number: u64,
    (change, after): (Change, &SaleStatus),
) {
    let (last, status) = before;
    let wrong = match (last, change) {
        (Change::Deleted, _) => Some("comes after DELETED"),
        (_, Change::Created) => Some("is not the first"),
        (Change::Ended, Change::Ended) => Some("comes after another ENDED"),
        (_, Change::Deleted) => None,
        _ if status.state == SaleState::Ended => Some("comes after the sale ended"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        findings.add("I14", || format!("change {number}, {}, {wrong}", change.as_str()));
    }
    if change != Change::Updated && after.config != status.config {
        findings.add("I14", || format!("change {number}, {}, has another configuration than before", change.as_str()));
    }
    if after.as_of < status.as_of || after.as_of_sequence < status.as_of_sequence {
        findings.add("I9", || {
            let (at, sold) = (after.as_of.0, after.as_of_sequence);
            let (at_before, sold_before) = (status.as_of.0, status.as_of_sequence);
            format!("change {number} at {at} with {sold} sold comes after one at {at_before} with {sold_before} sold")
        });
    }
}

struct Replay<'a> {
    history: &'a History,
    /// Without buyers: who holds what is looked up in the history.
    book: SaleBook,
    findings: Findings,
    /// Changes, by the units sold before them; what was lost with Redis' last second may count more.
    changes: Vec<(u64, u64, Change, &'a SaleStatus)>,
    next_change: usize,
    /// Refusals by Redis, by units sold and time.
    refusals: Vec<(u64, &'a Refusal)>,
    next_refusal: usize,
    /// Some user holds two units.
    doubles: bool,
    /// Changes are missing, so that nobody knows when the sale was paused.
    pauses_unknown: bool,
    /// Time of the last unit or change.
    before: Micros,
    /// Time of the last unit.
    unit_before: Micros,
}

impl<'a> Replay<'a> {
    fn new(history: &'a History, config: &SaleConfig, created: Micros, first: Change, findings: Findings) -> Self {
        let complete = first == Change::Created;
        let earliest = Micros(i64::MIN);
        let book = SaleBook::create(config.clone(), if complete { created } else { earliest });
        let mut place = 0;
        let changes = history.changes().map(|(number, change, after)| {
            place = after.as_of_sequence.max(place);
            (place, number, change, after)
        });
        let changes = changes.collect();
        let mut refusals: Vec<_> =
            history.refusals.iter().filter_map(|refusal| Some((refusal.as_of?, refusal))).collect();
        refusals.sort_unstable_by_key(|(as_of, refusal)| (*as_of, refusal.decided_at));
        Self {
            history,
            book,
            findings,
            changes,
            next_change: 0,
            refusals,
            next_refusal: 0,
            doubles: history.users.len() < history.units.len(),
            pauses_unknown: !complete || !history.missing_changes().is_empty(),
            before: earliest,
            unit_before: earliest,
        }
    }

    fn run(&mut self) {
        let history = self.history;
        for (sequence, unit) in history.units().filter(|(sequence, _)| *sequence > 0) {
            self.catch_up(sequence - 1);
            // A hole was reported as such; behind it everything is judged as if it were none.
            self.book.assume_sold(sequence - 1);
            self.unit(sequence, unit);
        }
        self.catch_up(u64::MAX);
        self.book.assume_sold(history.known_sequence);
        let initial_stock = self.book.config().initial_stock;
        for (total, sequence) in history.totals.iter().filter(|(total, _)| **total != initial_stock) {
            self.findings.add("I9", || {
                format!("unit {sequence}: sold and left are {total} together, there were {initial_stock}")
            });
        }
        for refusal in history.refusals.iter().filter(|refusal| refusal.as_of.is_none()) {
            if let Some((invariant, detail)) = self.edge(refusal) {
                self.findings.add(invariant, || detail);
            }
        }
    }

    /// Judges all changes and refusals that stand behind unit `through` or one before it.
    fn catch_up(&mut self, through: u64) {
        loop {
            let change = self.changes.get(self.next_change).map(|(place, ..)| *place);
            let refusal = self.refusals.get(self.next_refusal).map(|(place, _)| *place);
            let Some(place) = change.into_iter().chain(refusal).min().filter(|place| *place <= through) else { return };
            self.book.assume_sold(place);
            self.between_units(place);
        }
    }

    /// Judges what stands behind unit `place` and before the next.
    fn between_units(&mut self, place: u64) {
        // Refusals at the very time of a change that were not true before it.
        let mut again: Vec<&Refusal> = Vec::new();
        while let Some(&(_, number, change, after)) =
            self.changes.get(self.next_change).filter(|(change_place, ..)| *change_place == place)
        {
            self.next_change += 1;
            let mut waiting = std::mem::take(&mut again);
            while let Some(refusal) = self.next_refusal(place, after.as_of) {
                waiting.push(refusal);
            }
            for refusal in waiting {
                match self.refusal(place, refusal) {
                    Some(_) if refusal.decided_at == after.as_of => again.push(refusal),
                    Some((invariant, detail)) => self.findings.add(invariant, || detail),
                    None => {}
                }
            }
            self.change(number, change, after);
        }
        let mut last = again.into_iter();
        while let Some(refusal) = last.next().or_else(|| self.next_refusal(place, Micros(i64::MAX))) {
            if let Some((invariant, detail)) = self.refusal(place, refusal) {
                self.findings.add(invariant, || detail);
            }
        }
    }

    /// The next refusal with `place` units sold, decided at `until` or before.
    fn next_refusal(&mut self, place: u64, until: Micros) -> Option<&'a Refusal> {
        let (as_of, refusal) = *self.refusals.get(self.next_refusal)?;
        let due = as_of == place && refusal.decided_at <= until;
        self.next_refusal += usize::from(due);
        due.then_some(refusal)
    }

    fn unit(&mut self, sequence: u64, unit: &Unit) {
        let Unit { user, decided_at, .. } = unit;
        let at = decided_at.0;
        let SaleConfig { initial_stock, start, end, .. } = *self.book.config();
        let within = (start..end).contains(decided_at);
        if !within {
            self.findings
                .add("I14", || format!("unit {sequence} was sold to {user} at {at}, outside [{}, {})", start.0, end.0));
        }
        if sequence > initial_stock {
            self.findings.add("I1", || format!("unit {sequence} of {initial_stock} was sold, to {user} at {at}"));
        }
        if *decided_at < self.before {
            let before = self.before.0;
            self.findings
                .add("I9", || format!("unit {sequence} of {user} was sold at {at}, what came before it at {before}"));
        }
        if self.doubles
            && let Some((held, _)) = self.history.unit_of(user)
            && held != sequence
        {
            self.findings.add("I2", || format!("{user} holds units {held} and {sequence}"));
        }
        let answer = self.book.first_time(*decided_at, &self.history.sale_id);
        match &answer {
            Outcome::Accepted(_) => {
                self.book.tick(*decided_at);
            }
            Outcome::NotActive(NotActive::Paused) if self.pauses_unknown => {}
            Outcome::NotActive(NotActive::Paused) => {
                self.findings.add("I9", || format!("unit {sequence} was sold to {user} at {at}, while paused"));
            }
            // Said above.
            _ if !within || sequence > initial_stock => {}
            _ => {
                let model = LoggedOutcome::from(&answer);
                self.findings
                    .add("I14", || format!("unit {sequence} was sold to {user} at {at}; the model says {model}"));
            }
        }
        self.book.assume_sold(sequence);
        (self.before, self.unit_before) = (*decided_at, *decided_at);
    }

    /// What is wrong with a refusal by Redis with `place` units sold.
    fn refusal(&self, place: u64, refusal: &Refusal) -> Option<(&'static str, String)> {
        let Refusal { attempt, outcome, decided_at, remaining, .. } = refusal;
        let (user, at) = (&attempt.user, decided_at.0);
        if *decided_at < self.unit_before {
            let before = self.unit_before.0;
            return Some((
                "I9",
                format!("{user} got {outcome} at {at} after {place} units, the last of them at {before}"),
            ));
        }
        let initial_stock = self.book.config().initial_stock;
        if let Some(left) = remaining
            && left.checked_add(place) != Some(initial_stock)
        {
            return Some((
                "I9",
                format!("{user} got {outcome}, {left} left and {place} sold of {initial_stock}, at {at}"),
            ));
        }
        let answer = match self.history.unit_of(user).filter(|(held, _)| *held <= place) {
            Some((held, unit)) => {
                let receipt = self.history.receipt_of(held, unit);
                SaleBook::returning(receipt, unit.request_id == attempt.request_id)
            }
            None => self.book.first_time(*decided_at, &self.history.sale_id),
        };
        let model = LoggedOutcome::from(&answer);
        let told_by_pause = [&model, outcome].contains(&&LoggedOutcome::NotActive(NotActive::Paused));
        let agrees = match (outcome, &answer) {
            (LoggedOutcome::AlreadyPurchased(None), Outcome::AlreadyPurchased(_)) => true,
            // The unit it names is missing; that was reported, and the refusal may well be true.
            (LoggedOutcome::AlreadyPurchased(Some(named)), _) if !self.history.units.contains_key(named) => true,
            _ => model == *outcome,
        };
        if agrees || (self.pauses_unknown && told_by_pause) {
            return None;
        }
        let invariant = match (outcome, &answer) {
            // The unit is theirs, only the answer should have been the same success again.
            (LoggedOutcome::AlreadyPurchased(_), Outcome::Repeated(_)) | (LoggedOutcome::NotActive(_), _) => "I9",
            _ => "I6",
        };
        Some((
            invariant,
            format!("{user} got {outcome} at {at} with {place} of {initial_stock} sold; the model says {model}"),
        ))
    }

    /// What is wrong with a refusal at the edge. It was made of a sale that had ended, to a shopper known
    /// to hold no unit; its time is a guess and proves nothing.
    fn edge(&self, refusal: &Refusal) -> Option<(&'static str, String)> {
        let Refusal { attempt: Attempt { user, .. }, outcome, decided_at, .. } = refusal;
        let at = decided_at.0;
        if let Some((sequence, _)) = self.history.unit_of(user) {
            return Some(("I6", format!("{user} got {outcome} at the edge at {at}, and holds unit {sequence}")));
        }
        let ended = self.book.end_reason();
        let by_time = ended.is_none() && *decided_at >= self.book.config().end;
        match (outcome, ended) {
            (LoggedOutcome::SoldOut, Some(EndReason::SoldOut)) => None,
            (LoggedOutcome::NotActive(NotActive::TimeExpired), Some(EndReason::TimeExpired)) => None,
            (LoggedOutcome::NotActive(NotActive::TimeExpired), _) if by_time => None,
            (LoggedOutcome::SoldOut, _) => {
                let (sold, stock) = (self.book.sold(), self.book.config().initial_stock);
                Some(("I6", format!("{user} got SOLD_OUT at the edge at {at}, with {sold} of {stock} sold")))
            }
            _ => {
                let ended = ended.map_or("has not ended", EndReason::as_str);
                Some(("I9", format!("{user} got {outcome} at the edge at {at}; the sale: {ended}")))
            }
        }
    }

    /// Makes a change in the book and compares (I14).
    fn change(&mut self, number: u64, change: Change, after: &SaleStatus) {
        let (name, at) = (change.as_str(), after.as_of.0);
        if after.as_of < self.unit_before {
            let before = self.unit_before.0;
            self.findings
                .add("I9", || format!("change {number}, {name}, at {at} stands behind a unit sold at {before}"));
        }
        self.before = after.as_of;
        let sold = self.book.sold();
        let refused = match change {
            Change::Created | Change::Deleted => false,
            Change::Updated => self.book.update(after.as_of, after.config.clone()).is_err(),
            Change::Paused => self.book.pause(after.as_of, true).is_err(),
            Change::Resumed => self.book.pause(after.as_of, false).is_err(),
            Change::Started | Change::Ended => {
                self.book.tick(after.as_of);
                false
            }
        };
        let (state, end_reason) = (self.book.state(), self.book.end_reason());
        let agrees = match change {
            Change::Created | Change::Updated => after.state == SaleState::Upcoming,
            // The same instant may bring the end as well.
            Change::Started => after.state == SaleState::Active && state != SaleState::Upcoming,
            Change::Ended => {
                after.state == SaleState::Ended && after.end_reason.is_some() && after.end_reason == end_reason
            }
            Change::Paused => after.paused && after.state == state,
            Change::Resumed => !after.paused && after.state == state,
            Change::Deleted => true,
        };
        if refused || !agrees {
            let model = end_reason.map_or(state.as_str(), EndReason::as_str);
            let logged = after.end_reason.map_or(after.state.as_str(), EndReason::as_str);
            let stock = self.book.config().initial_stock;
            self.findings.add("I14", || {
                format!(
                    "change {number}, {name}, to {logged} at {at} with {sold} of {stock} sold; the model says {model}"
                )
            });
        }
        if after.paused != self.book.paused() && !self.pauses_unknown {
            self.findings.add("I14", || format!("change {number}, {name}, at {at} has paused = {}", after.paused));
        }
    }
}
