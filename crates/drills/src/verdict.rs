//! The verdict: the invariants over Redis, the log, Postgres and what the shoppers were told.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use flashsale_audit::{Examination, Log, Selection, Views, examine};
use flashsale_core::invariants::{self, Accounts};
use flashsale_ledger::SINK_POSTGRES;
use flashsale_schemas::Topic;
use flashsale_streaming::read_all;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{CONVERGE_MAX, installation::until, shoppers::Told, stage::Stage};

const POLL: Duration = Duration::from_millis(200);

/// What this drill may leave behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    /// Dead letters.
    pub(crate) dead_letters: u64,
    /// Whether shoppers enough came to sell everything.
    pub(crate) sold_out: bool,
    /// Units that shoppers may have been told of and that are lost: only with `confirm = redis`.
    pub(crate) may_lose: bool,
    /// How long convergence may take, where the fault itself takes longer than usual to be over.
    pub(crate) converge_max: Option<Duration>,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) converged: Duration,
    pub(crate) answers: usize,
    pub(crate) sold: u64,
}

/// Waits for convergence and checks everything; an error names the broken promise.
pub(crate) async fn reach(stage: &Stage, expected: &Expected) -> Result<Verdict> {
    let stop = CancellationToken::new();
    let mut log = Log::new(Selection { refusals: true, ..Selection::units_of(Some(&stage.sale.sku)) });
    let converge_max = expected.converge_max.unwrap_or(CONVERGE_MAX);
    let began = Instant::now();
    let seen = loop {
        let seen = look(stage, &mut log, &stop).await;
        match seen {
            Ok(seen) if has_converged(&seen) => break seen,
            _ if began.elapsed() <= converge_max => sleep(POLL).await,
            Ok(seen) => bail!(
                "I12: not converged within {converge_max:?}: {} pending, {} records behind, {:?} in Redis, {} differences {:?}",
                seen.pending,
                seen.postgres_behind,
                seen.in_redis,
                seen.report.total(),
                seen.report.discrepancies.iter().take(3).collect::<Vec<_>>()
            ),
            Err(error) => return Err(error.context("I12: the stores cannot be read")),
        }
    };
    let converged = began.elapsed();
    if let Some(violation) = seen.violations.first() {
        bail!("{violation} (and {} more)", seen.violations.len() - 1);
    }
    let told = stage.diary.all();
    answers(stage, &log, &told, expected).context("what the shoppers were told")?;
    if expected.sold_out {
        let initial = stage.sale.initial_stock;
        let eligible = told.iter().map(|told| &told.user).collect::<HashSet<_>>().len() as u64;
        hold(invariants::nothing_left_unsold(initial, eligible, seen.counts.accepted))?;
    }
    accounts(stage).await?;
    dead_letters(stage, expected, &stop).await?;
    quiet_monitor(stage).await?;
    Ok(Verdict { converged, answers: told.len(), sold: seen.counts.accepted })
}

pub(crate) fn hold(check: invariants::Check) -> Result<()> {
    check.map_err(|violation| anyhow::anyhow!("{violation}"))
}

async fn look(stage: &Stage, log: &mut Log, stop: &CancellationToken) -> Result<Examination> {
    log.read(&stage.shop.ledger, stop, Box::new(|_| ())).await?;
    let views = Views { hot: &stage.shop.hot, store: &stage.shop.store };
    Ok(examine(log, &stage.shop.ledger, views, &stage.sale.sku).await?)
}

fn has_converged(seen: &Examination) -> bool {
    seen.report.agrees() && seen.pending == 0 && seen.postgres_behind == 0 && seen.in_redis.is_some()
}

/// I2, I4, I6, I8, I13 over the answers.
fn answers(stage: &Stage, log: &Log, told: &[Told], expected: &Expected) -> Result<()> {
    let mut receipts: HashMap<&str, (String, String)> = HashMap::new();
    let mut by_status: BTreeMap<u16, usize> = BTreeMap::new();
    for one in told {
        let Ok(answer) = &one.answer else { continue };
        *by_status.entry(answer.status).or_default() += 1;
        hold(invariants::overload_is_polite(answer.status, answer.retry_after))
            .with_context(|| format!("{}: {}", one.user, answer.text))?;
        if let Some((number, at)) = answer.receipt() {
            let receipt = (number.to_owned(), at.to_owned());
            let first = receipts.entry(&one.user).or_insert_with(|| receipt.clone());
            ensure!(*first == receipt || expected.may_lose, "I8: {} was told {first:?} and {receipt:?}", one.user);
        }
    }
    // Equal keys, equal answers: the final ones, a 202 and its 200 aside.
    let keyed = told.iter().filter(|one| one.is_final()).filter_map(|one| Some((one, one.answer.as_ref().ok()?)));
    let mut by_key: HashMap<&str, &str> = HashMap::new();
    for (one, answer) in keyed.filter(|(_, answer)| answer.status == 200) {
        let first = by_key.entry(&one.key).or_insert(&answer.text);
        ensure!(*first == answer.text || expected.may_lose, "I8: {} was answered {first} and {}", one.key, answer.text);
    }
    let successes: HashSet<&str> = told.iter().filter(|one| one.is_success()).map(|one| one.user.as_str()).collect();
    let known = log.history(&stage.sale.sku, |history| {
        let mut missing = Vec::new();
        for user in &successes {
            let held = flashsale_core::UserId::new(user).ok().and_then(|user| {
                let (sequence, _) = history.unit_of(&user)?;
                history.receipt(sequence)
            });
            let logged = held.map(|receipt| (receipt.number(), receipt.decided_at.to_string()));
            if logged.as_ref() != receipts.get(user) {
                missing.push(format!("{user} was told {:?}, the log says {logged:?}", receipts.get(user)));
            }
        }
        missing
    });
    let missing = known.context("the log knows the sale")?;
    if !expected.may_lose {
        ensure!(missing.is_empty(), "I4: {} of {} successes: {}", missing.len(), successes.len(), missing[0]);
    }
    refusals_are_true(log, stage, told)
}

/// I6: nobody was told SOLD_OUT of a sale that did not sell out, or ALREADY_PURCHASED without a unit.
fn refusals_are_true(log: &Log, stage: &Stage, told: &[Told]) -> Result<()> {
    let sold = log.history(&stage.sale.sku, |history| history.sold()).unwrap_or(0);
    for one in told {
        let Ok(answer) = &one.answer else { continue };
        match answer.code() {
            "SOLD_OUT" => ensure!(
                sold == stage.sale.initial_stock,
                "I6: {} was told SOLD_OUT, {sold} of {} are sold",
                one.user,
                stage.sale.initial_stock
            ),
            "ALREADY_PURCHASED" => {
                let user = flashsale_core::UserId::new(&one.user)?;
                let holds = log.history(&stage.sale.sku, |history| history.unit_of(&user).is_some()).unwrap_or(false);
                ensure!(holds, "I6: {} was told ALREADY_PURCHASED and holds nothing", one.user);
            }
            _ => {}
        }
    }
    Ok(())
}

/// I10: every record that the sink read is accounted for.
async fn accounts(stage: &Stage) -> Result<()> {
    let topic = stage.shop.ledger.topic(Topic::PurchaseDecisions);
    let partitions = flashsale_streaming::partitions(stage.shop.ledger.streaming(), topic).await?;
    let wanted: Vec<(&str, i32)> = partitions.keys().map(|partition| (topic, *partition)).collect();
    for row in stage.shop.store.offsets(&stage.shop.ledger.group(SINK_POSTGRES), &wanted).await? {
        let Accounts { consumed, applied, duplicate, rejected, skipped } = row.accounts;
        hold(invariants::accounted(&Accounts { consumed, applied, duplicate, rejected, skipped }))
            .with_context(|| format!("partition {}", row.partition))?;
    }
    Ok(())
}

/// How many dead letters there are: as many as the drill buried, each once.
async fn dead_letters(stage: &Stage, expected: &Expected, stop: &CancellationToken) -> Result<()> {
    let letters = count(stage, Topic::PurchaseDecisionsDlq, stop).await?;
    ensure!(letters == expected.dead_letters, "{letters} dead letters, {} were expected", expected.dead_letters);
    Ok(())
}

/// Records of a topic.
pub(crate) async fn count(stage: &Stage, topic: Topic, stop: &CancellationToken) -> Result<u64> {
    let (config, topic) = (stage.shop.ledger.streaming().clone(), stage.shop.ledger.topic(topic).to_owned());
    let stop = stop.clone();
    let counting = tokio::task::spawn_blocking(move || {
        let mut records = 0;
        read_all(&config, &topic, &stop, &mut |_| records += 1).map(|_| records)
    });
    Ok(counting.await??)
}

/// The online monitor saw nothing either, and it would have: it has read everything by now.
async fn quiet_monitor(stage: &Stage) -> Result<()> {
    let Some(processor) = stage.processors.iter().find(|processor| processor.ended().is_none()) else { return Ok(()) };
    until("the processor's metrics", Duration::from_secs(10), async || {
        Ok(stage.shop.metric(processor, "flashsale_monitor_missing_units", "").await? == 0.0)
    })
    .await?;
    // No metric: nothing was ever counted.
    if let Ok(violations) = stage.shop.metric(processor, "flashsale_monitor_violations", "").await {
        ensure!(violations == 0.0, "the monitor saw {violations} violations");
    }
    Ok(())
}
