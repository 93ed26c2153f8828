//! `flashsale verify`: the proof afterwards.

use std::{collections::BTreeSet, process::ExitCode, time::Instant};

use clap::Args;
use flashsale_audit::{Examination, Log, Read, Selection, Views, examine};
use flashsale_core::Sku;
use flashsale_platform::shutdown;
use serde_json::{Value, json};

use super::stores::{Bar, Stores};
use crate::{
    settings::Sources,
    terminal::{bold, count, dim, green, red, say},
};

/// Replays the log of a sale through the rules and compares it with Redis and Postgres.
///
/// Exit code 0: everything holds. 1: something does not, and the report names it. Another: it could not be looked at.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flashsale verify --sku DEMO\n  flashsale verify --sku DEMO --json | jq .violations"
)]
pub(crate) struct Verify {
    /// Which sale; without it every sale that the log knows.
    #[arg(long)]
    sku: Option<Sku>,
    /// Print JSON instead of a report.
    #[arg(long)]
    json: bool,
}

/// What is promised, in the order of the report.
const PROMISES: [(&str, &str); 6] = [
    ("I1", "never more sold than there was, at every step"),
    ("I2", "never two units for one shopper"),
    ("I3", "stock and buyers add up in Redis"),
    ("I6", "every refusal was true"),
    ("I9", "no unit missing or told twice, and the rules give every answer again"),
    ("I14", "nothing sold outside the sale's time"),
];

impl Verify {
    /// Verifies and reports.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let stores = Stores::open(sources).await?;
        let stop = shutdown::on_signal()?;
        let began = Instant::now();
        let skus = self.sku.clone().map(|sku| BTreeSet::from([sku]));
        let mut log = Log::new(Selection { skus, refusals: true });
        let bar = Bar::new("reading the log");
        let shown = bar.clone();
        log.read(&stores.ledger, &stop, Box::new(move |progress| shown.scanned(progress))).await?;
        bar.finish();
        let mut seen = Vec::new();
        let skus: BTreeSet<Sku> = match &self.sku {
            Some(sku) => BTreeSet::from([sku.clone()]),
            None => log.sales().into_iter().map(|(sku, _)| sku).collect(),
        };
        for sku in skus {
            let views = Views { hot: &stores.hot, store: &stores.store };
            let examination = examine(&log, &stores.ledger, views, &sku).await?;
            // What arrived while Redis and Postgres were read is known by now.
            seen.push(if examination.report.agrees() && examination.postgres_behind == 0 {
                examination
            } else {
                again(&mut log, &stores, &examination, &stop).await?
            });
        }
        let clean = seen.iter().all(Examination::is_proven);
        if self.json {
            let sales: Vec<Value> = seen.iter().map(as_json).collect();
            let read = log.amount();
            say(serde_json::to_string_pretty(&json!({
                "verified": clean, "sales": sales, "records": read.records, "unreadable": read.unreadable,
                "seconds": began.elapsed().as_secs_f64(),
            }))?);
        } else {
            report(&seen, log.amount(), began);
        }
        Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A second look, for sales that go on: only what is still there then is a difference.
async fn again(
    log: &mut Log,
    stores: &Stores,
    first: &Examination,
    stop: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<Examination> {
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    log.read(&stores.ledger, stop, Box::new(|_| ())).await?;
    let views = Views { hot: &stores.hot, store: &stores.store };
    let second = examine(log, &stores.ledger, views, &first.sku).await?;
    Ok(Examination { report: first.report.confirmed_by(&second.report), ..second })
}

pub(super) fn as_json(seen: &Examination) -> Value {
    let status = &seen.status;
    json!({
        "sku": seen.sku.as_str(),
        "saleId": seen.sale_id.as_str(),
        "state": status.state.as_str(),
        "endReason": status.end_reason.map(|reason| reason.as_str()),
        "initialStock": status.config.initial_stock,
        "sold": status.as_of_sequence,
        "log": {
            "accepted": seen.counts.accepted, "alreadyPurchased": seen.counts.already_purchased,
            "soldOut": seen.counts.sold_out, "refused": seen.counts.refused(), "repeats": seen.counts.repeats,
        },
        "redis": seen.in_redis,
        "pending": seen.pending,
        "postgres": seen.in_postgres,
        "postgresBehind": seen.postgres_behind,
        "violations": seen.violations.iter().map(|one| json!({"invariant": one.invariant, "detail": one.detail})).collect::<Vec<_>>(),
        "discrepancies": seen.report.discrepancies.iter().map(|one| json!({
            "class": one.class.as_str(), "subject": one.subject, "detail": one.detail,
        })).collect::<Vec<_>>(),
        "discrepanciesFound": seen.report.total(),
    })
}

/// The three stores of one sale, in words.
pub(super) fn summary(seen: &Examination) {
    let status = &seen.status;
    let reason = status.end_reason.map(|reason| format!(", {}", reason.as_str())).unwrap_or_default();
    say(format!("{}  {} {}{reason}", bold(seen.sku.as_str()), dim(seen.sale_id.as_str()), status.state.as_str()));
    let counts = &seen.counts;
    say(format!(
        "  log       {} of {} sold, {}, {} repeated",
        counts.accepted,
        count(status.config.initial_stock, "unit"),
        count(counts.refused(), "refusal"),
        count(counts.repeats, "record")
    ));
    match seen.in_redis {
        Some(buyers) => {
            say(format!("  Redis     {buyers} buyers, {} of them not known to be in the log yet", seen.pending))
        }
        None => say("  Redis     holds no such sale"),
    }
    match seen.postgres_behind {
        0 => say(format!("  Postgres  {}", count(seen.in_postgres, "row"))),
        behind => {
            say(format!("  Postgres  {}, {} behind the log", count(seen.in_postgres, "row"), count(behind, "record")))
        }
    }
}

/// Differences between the stores, one by one.
pub(super) fn differences(seen: &Examination) {
    for one in seen.report.discrepancies.iter().take(20) {
        say(format!("  {} {} {}: {}", red("✗"), one.class.as_str(), one.subject, one.detail));
    }
    let listed = seen.report.discrepancies.len().min(20) as u64;
    if seen.report.total() > listed {
        say(format!("    and {} more; --json lists them", seen.report.total() - listed));
    }
}

fn report(sales: &[Examination], read: Read, began: Instant) {
    for seen in sales {
        summary(seen);
        for (id, promise) in PROMISES {
            let broken: Vec<_> = seen.violations.iter().filter(|one| one.invariant == id).collect();
            let mark = if broken.is_empty() { green("✓") } else { red("✗") };
            say(format!("  {mark} {id:4} {promise}"));
            for one in broken {
                say(format!("         {}", one.detail));
            }
        }
        let others = seen.violations.iter().filter(|one| PROMISES.iter().all(|(id, _)| *id != one.invariant));
        for one in others {
            say(format!("  {} {one}", red("✗")));
        }
        if seen.postgres_behind > 0 {
            say(format!("  {} I4, I5 not proven: Postgres is behind the log. Is `sink postgres` running?", red("✗")));
        } else if seen.report.agrees() {
            say(format!("  {} I4, I5 the log, Redis and Postgres tell the same of every unit", green("✓")));
        }
        differences(seen);
        say("");
    }
    if read.unreadable > 0 {
        say(format!(
            "{} could not be read; `flashsale replay` shows them as unreadable.",
            count(read.unreadable, "record")
        ));
    }
    let broken = sales.iter().filter(|seen| !seen.is_proven()).count();
    let how = format!("{} in {:.1} s", count(read.records, "record"), began.elapsed().as_secs_f64());
    match (sales.len(), broken) {
        (0, _) => say("The log knows no sale."),
        (_, 0) => say(format!("{} Everything holds. {}", green("✓"), dim(&how))),
        (all, broken) => say(format!(
            "{} Something does not hold in {broken} of {}. {}",
            red("✗"),
            count(all as u64, "sale"),
            dim(&how)
        )),
    }
}
