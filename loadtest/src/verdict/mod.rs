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
    recorder::{Attempt, Outcome, Recording, Route},
    scenario::sku_of,
};

pub use stores::Stores;

/// Between two looks at stores that do not agree yet.
const POLL: Duration = Duration::from_millis(200);

/// What is promised, in the order of the report.
const PROMISES: [(&str, &str); 13] = [
    ("I1", "never more sold than there was"),
    ("I2", "never two units for one shopper"),
    ("I3", "stock and buyers add up in Redis"),
    ("I4", "every success that was told stands in the log and in Postgres, with that receipt and time"),
    ("I5", "nothing stands in Redis or Postgres that is not in the log"),
    ("I6", "every refusal was true"),
    ("I7", "nothing was left over while shoppers went away without"),
    ("I8", "equal keys got equal answers"),
    (
        "I9",
        "no unit missing or told twice, in the order in which clients saw them sold; the rules give every answer again",
    ),
    ("I10", "every record that the sink read is accounted for"),
    ("I12", "the stores agreed in time, with nothing under way"),
    ("I13", "who was not served was told when to come back"),
    ("I14", "nothing was sold outside the sale's time"),
];

/// What was found.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether every check holds.
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
    pub holds: bool,
    /// The first thing that breaks it and how many more there are; empty when it holds.
    pub detail: String,
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
        self.checks.iter().filter(|check| !check.holds).map(|check| check.id).collect()
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
    let mut ours = 0;
    for (number, seen) in (0..).zip(&seen) {
        of_stores(seen, units, converge_max, &mut findings);
        let attempts = of_sale(&recording.attempts, number, skus.len());
        ours += of_answers(stores, &log, seen, &attempts, prefix, &mut findings).await?;
    }
    let told = told_of_success(recording);
    if recording.attempts.is_empty() && told > ours {
        // Nobody kept the answers; counted they are all the same.
        findings.add("I4", format!("{told} successes were told, the log has {ours} of these shoppers"));
    }
    accounts(stores, &mut findings).await?;
    let of: u64 = seen.iter().map(|seen| seen.status.config.initial_stock).sum();
    let checks = findings.into_checks();
    Ok(Verdict {
        proven: checks.iter().all(|check| check.holds),
        checks,
        redis: seen.iter().map(|seen| seen.in_redis).sum::<Option<u64>>().map(|sold| StoreCount { sold, of }),
        log: Some(StoreCount { sold: seen.iter().map(|seen| seen.counts.accepted).sum(), of }),
        postgres: Some(StoreCount { sold: seen.iter().map(|seen| seen.in_postgres).sum(), of }),
        told,
        converged_seconds,
    })
}

/// Answers that told a shopper of a unit bought, kept or not.
fn told_of_success(recording: &Recording) -> u64 {
    let Some(tally) = recording.tally(Route::Purchase) else { return 0 };
    [Outcome::Purchased, Outcome::Pending].iter().filter_map(|outcome| tally.counts.get(outcome)).sum()
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

/// The attempts at the sale with this number.
fn of_sale(attempts: &[Attempt], number: u32, skus: usize) -> Cow<'_, [Attempt]> {
    if skus == 1 {
        return Cow::Borrowed(attempts);
    }
    attempts.iter().filter(|attempt| sku_of(attempt.shopper, skus) == number).cloned().collect()
}

/// What shoppers were told of one sale, beside the log and Postgres, and by itself; returns how many units the log has
/// of shoppers of this run.
async fn of_answers(
    stores: &Stores,
    log: &Log,
    seen: &Examination,
    attempts: &[Attempt],
    prefix: &str,
    findings: &mut Findings,
) -> Result<u64> {
    let rows = stores.store.purchases(&seen.sale_id).await.context("read the rows of Postgres")?;
    let initial_stock = seen.status.config.initial_stock;
    let holders = log.history_of(&seen.sale_id, |logged| {
        let sides = told::Sides { logged, rows: &rows, initial_stock, prefix };
        told::compare(&sides, attempts, findings);
        told::nobody_holds_what_they_were_refused(&sides, attempts, findings);
        sides.holders()
    });
    let holders = holders.with_context(|| format!("the log knows no sale {}", seen.sale_id))?;
    for violation in history::check_beside(attempts, initial_stock, &holders.others) {
        findings.add(violation.invariant, violation.what);
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
    Ok(holders.ours)
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

    fn into_checks(mut self) -> Vec<Check> {
        let mut checks: Vec<Check> =
            PROMISES.iter().map(|&(id, what)| Check::of(id, what, self.0.remove(id))).collect();
        // A promise that is new to this list.
        checks.extend(self.0.into_iter().map(|(id, found)| Check::of(id, "what else is promised", Some(found))));
        checks
    }
}

impl Check {
    fn of(id: &'static str, what: &str, found: Option<(String, u64)>) -> Self {
        let detail = match &found {
            None => String::new(),
            Some((first, 1)) => first.clone(),
            Some((first, count)) => format!("{first} (and {} more)", count - 1),
        };
        Self { id, what: what.to_owned(), holds: found.is_none(), detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_name_what_is_broken() {
        let mut findings = Findings::default();
        findings.add("I4", "lost".to_owned());
        findings.add_many("I4", "lost too".to_owned(), 2);
        findings.hold(invariants::stock_never_rises(&[1, 2]));
        findings.hold(invariants::stock_never_rises(&[2, 1]));
        let checks = findings.into_checks();
        assert_eq!(checks.len(), PROMISES.len() + 1);
        let broken: Vec<_> = checks.iter().filter(|check| !check.holds).collect();
        assert_eq!(broken.iter().map(|check| check.id).collect::<Vec<_>>(), ["I4", "I11"]);
        assert_eq!(broken[0].detail, "lost (and 2 more)");
        assert!(checks[0].holds && checks[0].detail.is_empty());
    }

    #[test]
    fn attempts_go_with_the_sale_of_their_shopper() {
        let attempt = |shopper| Attempt {
            shopper,
            key: 0,
            due_us: 0,
            sent_us: 0,
            answered_us: 1,
            outcome: Outcome::SoldOut,
            polite: true,
            receipt: None,
        };
        let attempts: Vec<Attempt> = (0..1_000).map(attempt).collect();
        let sales: Vec<usize> = (0..4).map(|number| of_sale(&attempts, number, 4).len()).collect();
        assert_eq!(sales.iter().sum::<usize>(), 1_000);
        assert!(sales.iter().all(|count| count.abs_diff(250) < 80), "{sales:?}");
        assert_eq!(of_sale(&attempts, 0, 1).len(), 1_000);
    }
}
