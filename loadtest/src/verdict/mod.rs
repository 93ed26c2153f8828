//! The verdict: whether every promise was kept, by what the three stores say and by what the clients were told.
//!
//! Redis, the log and Postgres are each read by themselves, through the same crate as `flashsale verify` does; none is
//! derived from another. The answers are the ones that the clients recorded.

mod stores;
mod told;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use flashsale_audit::{Examination, Log, Selection, Views, examine};
use flashsale_core::{Class, Sku, history::Counts, invariants};
use flashsale_ledger::SINK_POSTGRES;
use flashsale_schemas::Topic;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    history,
    recorder::{Attempt, Lookup, Outcome, Recording, Route, Tally},
    scenario::sku_of,
};

pub use stores::Stores;

/// Between two looks at stores that do not agree yet.
const POLL: Duration = Duration::from_millis(200);

/// Whose word a promise is checked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Stores,
    /// The stores say part of it.
    Both,
    Answers,
    /// Answers to one key: in most runs each is answered once.
    Repeats,
}

/// What is promised, in the order of the report.
const PROMISES: [(&str, &str, By); 13] = [
    ("I1", "never more sold than there was", By::Stores),
    ("I2", "never two units for one shopper", By::Stores),
    ("I3", "stock and buyers add up in Redis", By::Stores),
    ("I4", "every success that was told stands in the log and in Postgres, with that receipt and time", By::Both),
    ("I5", "nothing stands in Redis or Postgres that is not in the log", By::Stores),
    ("I6", "every refusal was true", By::Both),
    ("I7", "nothing was left over while shoppers went away without", By::Both),
    ("I8", "equal keys got equal answers", By::Repeats),
    (
        "I9",
        "no unit missing or told twice, in the order in which clients saw them sold; the rules give every answer again",
        By::Both,
    ),
    ("I10", "every record that the sink read is accounted for", By::Stores),
    ("I12", "the stores agreed in time, with nothing under way", By::Stores),
    ("I13", "who was not served was told when to come back", By::Answers),
    ("I14", "nothing was sold outside the sale's time", By::Stores),
];

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether every check was made and holds, but for I8 where no key was answered twice: such a run cannot show it.
    pub proven: bool,
    /// One for each promise.
    pub checks: Vec<Check>,
    /// Redis; none when it holds no such sale.
    pub redis: Option<StoreCount>,
    /// The log.
    pub log: Option<StoreCount>,
    /// Postgres.
    pub postgres: Option<StoreCount>,
    /// Answers that told a shopper of a unit bought.
    pub told: u64,
    /// Answers to shoppers who looked their receipt up that were compared: one that was shown, or that there is none.
    pub looked_up: u64,
    /// How long the stores took to agree after the last answer, in seconds.
    pub converged_seconds: f64,
}

/// One promise.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its id, such as `I1`.
    pub id: &'static str,
    /// What is promised, in words.
    pub what: String,
    /// Whether it was kept.
    pub state: State,
    /// The first thing that breaks it and how many more there are, or why it was not checked; empty when it holds.
    pub detail: String,
}

/// What is known of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was kept.
    Holds,
    /// It was not.
    Broken,
    /// Nothing is wrong, but what would show it was not there to be looked at.
    NotChecked,
}

/// Units of all sales of the run, as one store tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreCount {
    /// Units sold.
    pub sold: u64,
    /// Units for sale in all.
    pub of: u64,
}

impl Verdict {
    /// Ids of the promises that were broken.
    pub fn broken(&self) -> Vec<&'static str> {
        self.checks.iter().filter(|check| check.state == State::Broken).map(|check| check.id).collect()
    }
}

/// Waits until the stores agree, at most `converge_max`, and checks every promise. `skus` are the sales of the run, of
/// `units` each; `prefix` is in front of the number in the name of every shopper of `recording`.
///
/// # Errors
/// When a store cannot be read, or the log knows no such sale. What is wrong with what was read is no error: see the
/// checks.
pub async fn reach(
    stores: &Stores,
    skus: &[String],
    units: u64,
    recording: &Recording,
    prefix: &str,
    converge_max: Duration,
) -> Result<Verdict> {
    let wanted: Vec<Sku> = skus.iter().map(|sku| Sku::new(sku)).collect::<Result<_, _>>()?;
    let stop = CancellationToken::new();
    let mut log = Log::new(Selection { skus: Some(wanted.iter().cloned().collect()), refusals: true });
    let began = Instant::now();
    let seen = loop {
        let seen = look(stores, &mut log, &wanted, &stop).await;
        let is_late = began.elapsed() >= converge_max;
        match seen {
            Ok(seen) if is_late || seen.iter().all(has_converged) => break seen,
            Err(error) if is_late => return Err(error.context("the stores cannot be read")),
            _ => tokio::time::sleep(POLL).await,
        }
    };
    let converged_seconds = began.elapsed().as_secs_f64();
    let mut findings = Findings::default();
    let (mut ours, mut looked_up) = (0, 0);
    for (number, seen) in (0..).zip(&seen) {
        of_stores(seen, units, converge_max, &mut findings);
        let answers = Answers::of_sale(recording, number, skus.len());
        let compared = of_answers(stores, &log, seen, &answers, prefix, &mut findings).await?;
        ours += compared.ours;
        looked_up += compared.looked_up;
    }
    let told = told_of_success(recording);
    if recording.attempts.is_empty() && told > ours {
        // Nobody kept the answers; counted they are all the same.
        findings.add("I4", format!("{told} successes were told, the log has {ours} of these shoppers"));
    }
    accounts(stores, &mut findings).await?;
    let of: u64 = seen.iter().map(|seen| seen.status.config.initial_stock).sum();
    let without_answers = without_answers(recording);
    let checks = findings.into_checks(without_answers, without_repeats(recording));
    Ok(Verdict {
        proven: without_answers.is_none() && checks.iter().all(|check| check.state != State::Broken),
        checks,
        redis: seen.iter().map(|seen| seen.in_redis).sum::<Option<u64>>().map(|sold| StoreCount { sold, of }),
        log: Some(StoreCount { sold: seen.iter().map(|seen| seen.counts.accepted).sum(), of }),
        postgres: Some(StoreCount { sold: seen.iter().map(|seen| seen.in_postgres).sum(), of }),
        told,
        looked_up,
        converged_seconds,
    })
}

/// Answers that told a shopper of a unit bought, kept or not.
fn told_of_success(recording: &Recording) -> u64 {
    let Some(tally) = recording.tally(Route::Purchase) else { return 0 };
    [Outcome::Purchased, Outcome::Pending].iter().filter_map(|outcome| tally.counts.get(outcome)).sum()
}

/// Why there are no answers to compare with the stores; nothing when there are.
fn without_answers(recording: &Recording) -> Option<&'static str> {
    if !recording.attempts.is_empty() {
        let tells = |one: &Attempt| history::tells_of_unit(one.outcome) || one.outcome == Outcome::SoldOut;
        return (!recording.attempts.iter().any(tells)).then_some("every attempt was turned away or lost");
    }
    Some(match recording.tally(Route::Purchase).map_or(0, Tally::total) {
        0 => "nobody tried to buy",
        _ => "no attempt was kept; --keep-attempts does that, or --record FILE where it can be written",
    })
}

/// Why there are no answers to compare with each other; nothing when there are. A look at a receipt is none of them: it
/// has no key, and I4 compares what it shows.
fn without_repeats(recording: &Recording) -> Option<&'static str> {
    (!history::has_key_answered_twice(&recording.attempts)).then_some("no key was answered twice")
}

async fn look(stores: &Stores, log: &mut Log, skus: &[Sku], stop: &CancellationToken) -> Result<Vec<Examination>> {
    log.read(&stores.ledger, stop, Box::new(|_| ())).await?;
    let views = Views { hot: &stores.hot, store: &stores.store };
    let mut seen = Vec::with_capacity(skus.len());
    for sku in skus {
        seen.push(examine(log, &stores.ledger, views, sku).await?);
    }
    Ok(seen)
}

fn has_converged(seen: &Examination) -> bool {
    seen.report.agrees() && seen.pending == 0 && seen.postgres_behind == 0 && seen.in_redis.is_some()
}

/// What one sale looks like in the three stores.
fn of_stores(seen: &Examination, units: u64, converge_max: Duration, findings: &mut Findings) {
    let Examination { sku, pending, postgres_behind, report, .. } = seen;
    let initial = seen.status.config.initial_stock;
    if initial != units {
        findings.add("I1", format!("{sku} was set up with {initial} units, {units} were meant"));
    }
    if !has_converged(seen) {
        let what = format!(
            "{sku}, not within {converge_max:?}: {pending} units under way, Postgres {postgres_behind} records behind, \
             {} differences",
            report.total()
        );
        findings.add("I12", what);
    }
    for violation in &seen.violations {
        findings.add(violation.invariant, violation.detail.clone());
    }
    for (class, count) in &report.counts {
        let first = report.discrepancies.iter().find(|one| one.class == *class);
        let what = first.map_or_else(|| class.to_string(), |one| format!("{class}, {}: {}", one.subject, one.detail));
        findings.add_many(promise_of(*class), what, *count);
    }
}

/// The promise that a difference between the stores breaks.
fn promise_of(class: Class) -> &'static str {
    match class {
        Class::StockMismatch => "I3",
        Class::Conflict | Class::MissingInRedis | Class::MissingInPostgres => "I4",
        Class::MissingInLog => "I5",
        Class::LeakedUnit => "I7",
        Class::SaleMissingInRedis => "I12",
        Class::StateMismatch => "I14",
    }
}

/// What shoppers were told of one sale.
struct Answers<'a> {
    attempts: Cow<'a, [Attempt]>,
    lookups: Cow<'a, [Lookup]>,
}

impl<'a> Answers<'a> {
    /// Of the sale with this number, of so many.
    fn of_sale(recording: &'a Recording, number: u32, skus: usize) -> Self {
        let Recording { attempts, lookups, .. } = recording;
        if skus == 1 {
            return Self { attempts: Cow::Borrowed(attempts.as_slice()), lookups: Cow::Borrowed(lookups.as_slice()) };
        }
        let is_here = |shopper: u64| sku_of(shopper, skus) == number;
        Self {
            attempts: attempts.iter().filter(|one| is_here(one.shopper)).cloned().collect(),
            lookups: lookups.iter().filter(|one| is_here(one.shopper)).cloned().collect(),
        }
    }
}

/// What came of comparing the answers of one sale.
struct Compared {
    /// Units that the log has of shoppers of this run.
    ours: u64,
    /// Answers about receipts that were compared.
    looked_up: u64,
}

/// What shoppers were told of one sale, beside the log and Postgres, and by itself.
async fn of_answers(
    stores: &Stores,
    log: &Log,
    seen: &Examination,
    answers: &Answers<'_>,
    prefix: &str,
    findings: &mut Findings,
) -> Result<Compared> {
    let (attempts, lookups) = (&*answers.attempts, &*answers.lookups);
    let rows = stores.store.purchases(&seen.sale_id).await.context("read the rows of Postgres")?;
    let initial_stock = seen.status.config.initial_stock;
    let compared = log.history_of(&seen.sale_id, |logged| {
        let sides = told::Sides { logged, rows: &rows, initial_stock, prefix };
        told::compare(&sides, attempts, findings);
        told::nobody_holds_what_they_were_refused(&sides, attempts, findings);
        (sides.holders(), told::looked_up(&sides, attempts, lookups, findings))
    });
    let (holders, looked_up) = compared.with_context(|| format!("the log knows no sale {}", seen.sale_id))?;
    if !attempts.is_empty() {
        for violation in history::check_beside(attempts, initial_stock, &holders.others) {
            findings.add(violation.invariant, violation.what);
        }
    }
    // What the log has of these was held against the rules with everything else in it.
    let Counts { not_started, time_expired, paused, sale_replaced, .. } = seen.counts;
    let logged = not_started + time_expired + paused + sale_replaced;
    let told = attempts.iter().filter(|one| one.outcome == Outcome::NotActive).count() as u64;
    if told > logged {
        findings.add("I6", format!("{told} were told SALE_NOT_ACTIVE of {}, the log has {logged}", seen.sku));
    }
    let eligible = told::who_could_buy(attempts);
    findings.hold(invariants::nothing_left_unsold(initial_stock, eligible, seen.counts.accepted));
    Ok(Compared { ours: holders.ours, looked_up })
}

/// I10: every record that the sink read is accounted for.
async fn accounts(stores: &Stores, findings: &mut Findings) -> Result<()> {
    let topic = stores.ledger.topic(Topic::PurchaseDecisions);
    let partitions = flashsale_streaming::partitions(stores.ledger.streaming(), topic).await?;
    let wanted: Vec<(&str, i32)> = partitions.keys().map(|partition| (topic, *partition)).collect();
    for row in stores.store.offsets(&stores.ledger.group(SINK_POSTGRES), &wanted).await? {
        findings.hold(invariants::accounted(&row.accounts));
    }
    Ok(())
}

/// What was found wrong, by promise: the first of it, and how much.
#[derive(Debug, Default)]
struct Findings(BTreeMap<&'static str, (String, u64)>);

impl Findings {
    fn add(&mut self, id: &'static str, what: String) {
        self.add_many(id, what, 1);
    }

    fn add_many(&mut self, id: &'static str, what: String, count: u64) {
        self.0.entry(id).or_insert((what, 0)).1 += count;
    }

    fn hold(&mut self, check: invariants::Check) {
        if let Err(violation) = check {
            self.add(violation.invariant, violation.detail);
        }
    }

    /// A check for each promise; the reasons say why there were no answers to compare with the stores, and none to
    /// compare with each other, if there were none.
    fn into_checks(mut self, without_answers: Option<&str>, without_repeats: Option<&str>) -> Vec<Check> {
        let check = |(id, what, by): (&'static str, &str, By), found: Option<(String, u64)>| {
            let unchecked = match by {
                By::Stores => None,
                By::Both => without_answers.map(|why| format!("by the stores alone it holds; {why}")),
                By::Answers => without_answers.map(str::to_owned),
                By::Repeats => without_answers.or(without_repeats).map(str::to_owned),
            };
            let (state, detail) = match (found, unchecked) {
                (Some((first, 1)), _) => (State::Broken, first),
                (Some((first, count)), _) => (State::Broken, format!("{first} (and {} more)", count - 1)),
                (None, Some(why)) => (State::NotChecked, why),
                (None, None) => (State::Holds, String::new()),
            };
            Check { id, what: what.to_owned(), state, detail }
        };
        let mut checks: Vec<Check> = PROMISES.map(|promise| check(promise, self.0.remove(promise.0))).into();
        // A promise that is new to this list.
        for (id, found) in self.0 {
            checks.push(check((id, "what else is promised", By::Stores), Some(found)));
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Times;

    #[test]
    fn checks_name_what_is_broken() {
        let mut findings = Findings::default();
        findings.add("I4", "lost".to_owned());
        findings.add_many("I4", "lost too".to_owned(), 2);
        findings.hold(invariants::stock_never_rises(&[1, 2]));
        findings.hold(invariants::stock_never_rises(&[2, 1]));
        let checks = findings.into_checks(None, None);
        assert_eq!(checks.len(), PROMISES.len() + 1);
        let broken: Vec<_> = checks.iter().filter(|check| check.state == State::Broken).collect();
        assert_eq!(broken.iter().map(|check| check.id).collect::<Vec<_>>(), ["I4", "I11"]);
        assert_eq!(broken[0].detail, "lost (and 2 more)");
        assert!(checks[0].state == State::Holds && checks[0].detail.is_empty());
    }

    #[test]
    fn without_answers_nothing_is_said_of_them() {
        let mut findings = Findings::default();
        findings.add("I4", "lost".to_owned());
        let checks = findings.into_checks(Some("nobody tried to buy"), Some("no key was answered twice"));
        let ids = |state: State| -> Vec<&str> {
            checks.iter().filter(|check| check.state == state).map(|check| check.id).collect()
        };
        assert_eq!(ids(State::Broken), ["I4"], "what is wrong is said all the same");
        assert_eq!(ids(State::NotChecked), ["I6", "I7", "I8", "I9", "I13"]);
        assert_eq!(ids(State::Holds), ["I1", "I2", "I3", "I5", "I10", "I12", "I14"]);
        let said = |id: &str| checks.iter().find(|check| check.id == id).unwrap().detail.as_str();
        assert_eq!(said("I6"), "by the stores alone it holds; nobody tried to buy");
        assert_eq!((said("I8"), said("I13")), ("nobody tried to buy", "nobody tried to buy"));
    }

    #[test]
    fn i_8_is_checked_where_a_key_was_answered_twice() {
        let with_key = |key: u64| Attempt { key, ..attempt(1) };
        let seen = Lookup { shopper: 1, sent_us: 2, answered_us: 3, outcome: Outcome::Found, receipt: None };
        let mut recording =
            Recording { attempts: vec![with_key(5), with_key(6)], lookups: vec![seen], ..Recording::default() };
        let i_8 = |findings: Findings, recording: &Recording| {
            let checks = findings.into_checks(without_answers(recording), without_repeats(recording));
            let check = checks.into_iter().find(|check| check.id == "I8").unwrap();
            (check.state, check.detail)
        };
        let unchecked = (State::NotChecked, "no key was answered twice".to_owned());
        assert_eq!(i_8(Findings::default(), &recording), unchecked, "a look at a receipt has no key");
        let mut findings = Findings::default();
        findings.add("I8", "no receipt".to_owned());
        assert_eq!(i_8(findings, &recording).0, State::Broken, "what is wrong is said all the same");
        recording.attempts.push(with_key(5));
        assert_eq!(i_8(Findings::default(), &recording), (State::Holds, String::new()));
    }

    #[test]
    fn why_there_are_no_answers_is_known() {
        let mut recording = Recording::default();
        assert_eq!(without_answers(&recording), Some("nobody tried to buy"));
        let times = Times { due: 0, sent: 0, answered: 1 };
        recording.note(Route::Purchase, times, Outcome::SoldOut);
        assert!(without_answers(&recording).is_some_and(|why| why.contains("--keep-attempts")));
        recording.attempts.push(Attempt { outcome: Outcome::Unavailable, ..attempt(1) });
        assert_eq!(without_answers(&recording), Some("every attempt was turned away or lost"));
        recording.attempts.push(attempt(1));
        assert_eq!(without_answers(&recording), None);
    }

    fn attempt(shopper: u64) -> Attempt {
        Attempt {
            shopper,
            key: 0,
            due_us: 0,
            sent_us: 0,
            answered_us: 1,
            outcome: Outcome::SoldOut,
            polite: true,
            receipt: None,
        }
    }

    #[test]
    fn answers_go_with_the_sale_of_their_shopper() {
        let lookup =
            |shopper| Lookup { shopper, sent_us: 0, answered_us: 1, outcome: Outcome::NotFound, receipt: None };
        let recording = Recording {
            attempts: (0..1_000).map(attempt).collect(),
            lookups: (0..1_000).map(lookup).collect(),
            ..Recording::default()
        };
        let count = |number, skus| {
            let answers = Answers::of_sale(&recording, number, skus);
            (answers.attempts.len(), answers.lookups.len())
        };
        let sales: Vec<(usize, usize)> = (0..4).map(|number| count(number, 4)).collect();
        assert_eq!(sales.iter().map(|(attempts, _)| attempts).sum::<usize>(), 1_000);
        assert!(sales.iter().all(|(attempts, lookups)| attempts == lookups), "{sales:?}");
        assert!(sales.iter().all(|(attempts, _)| attempts.abs_diff(250) < 80), "{sales:?}");
        assert_eq!(count(0, 1), (1_000, 1_000));
    }
}
