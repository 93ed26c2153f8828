//! `flashsale reconcile`: Redis, log and Postgres, compared by content.

use std::{collections::BTreeSet, process::ExitCode};

use clap::Args;
use flashsale_audit::{Log, Selection};
use flashsale_core::Sku;
use flashsale_platform::shutdown;
use flashsale_processor::reconcile::{Finding, Reconciler, Repair};
use flashsale_schemas::events::{OperatorAction, ReconciliationTrigger as Trigger};
use serde_json::{Value, json};

use super::{
    actor::noted,
    stores::Stores,
    verify::{as_json, differences, summary},
};
use crate::{
    settings::Sources,
    terminal::{count, green, red, say},
};

/// Compares what Redis, the log and Postgres hold of sales, unit by unit, and names each difference.
///
/// What differs is looked at again after some seconds, because sales go on meanwhile. The result is published,
/// stored and metered like that of the processor's own comparisons. Exit code 0: the stores agree, or were made to.
/// 1: differences are left.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flashsale reconcile --sku DEMO            only looks\n  flashsale reconcile --sku DEMO --repair   a repair of Redis closes the fence: nothing is sold for some seconds"
)]
pub(crate) struct Reconcile {
    /// Which sale; may be repeated. Without it every sale that the log knows.
    #[arg(long)]
    sku: Vec<Sku>,
    /// Put right what can be. Without it nothing is changed.
    #[arg(long)]
    repair: bool,
    /// Print JSON instead of a report.
    #[arg(long)]
    json: bool,
}

impl Reconcile {
    /// Compares, repairs if asked to, and reports.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let stores = Stores::open(sources).await?;
        let stop = shutdown::on_signal()?;
        let mut skus: BTreeSet<Sku> = self.sku.iter().cloned().collect();
        let mut log = Log::new(Selection::default());
        log.read_events(&stores.ledger, &stop).await?;
        let known: BTreeSet<Sku> = log.sales().into_iter().map(|(sku, _)| sku).collect();
        if let Some(unknown) = skus.iter().find(|sku| !known.contains(*sku)) {
            anyhow::bail!("the log knows no sale of {unknown}; `flashsale sale list` shows those there are");
        }
        if skus.is_empty() {
            skus = known;
        }
        let recover = stores.settings.processor.recover.clone();
        let reconciler = Reconciler::new(stores.hot.clone(), stores.ledger.clone(), stores.store.clone(), recover);
        let repair = if self.repair { Repair::All } else { Repair::Nothing };
        let findings = reconciler.run(skus, repair, Trigger::Demand, &stop).await?;
        if self.repair {
            let found: u64 = findings.iter().map(Finding::found).sum();
            let repaired: usize = findings.iter().map(|finding| finding.repaired.len()).sum();
            let target = match &self.sku[..] {
                [] => "all sales".to_owned(),
                skus => skus.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            };
            let detail = json!({ "found": found, "repaired": repaired });
            noted(&stores.ledger, OperatorAction::Reconcile, &target, Some(detail)).await?;
        }
        if self.json {
            let findings: Vec<Value> = findings.iter().map(json_of).collect();
            say(serde_json::to_string_pretty(&findings)?);
        } else {
            report(&findings, self.repair);
        }
        let settled = findings.iter().all(Finding::is_settled);
        Ok(if settled { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn json_of(finding: &Finding) -> Value {
    let mut json = as_json(&finding.examination);
    if let Some(object) = json.as_object_mut() {
        object.remove("violations");
    }
    json["runId"] = finding.run_id.clone().into();
    json["compared"] = finding.examination.report.compared.into();
    json["repaired"] = finding.repaired.len().into();
    json["discrepancies"] = json!(finding.discrepancies());
    json
}

fn report(findings: &[Finding], repairing: bool) {
    for finding in findings {
        summary(&finding.examination);
        if finding.is_clean() {
            say(format!(
                "  {} {} compared, no difference",
                green("✓"),
                count(finding.examination.report.compared, "unit")
            ));
        } else {
            differences(&finding.examination);
            say(format!("  {} found, {} repaired", finding.found(), finding.repaired.len()));
        }
        say("");
    }
    let left = findings.iter().filter(|finding| !finding.is_settled()).count();
    match (findings.len(), left, repairing) {
        (0, ..) => say("The log knows no sale."),
        (_, 0, _) => say(format!("{} The stores agree.", green("✓"))),
        (_, left, false) => {
            say(format!(
                "{} The stores differ in {}. Nothing was changed; --repair puts right what can be.",
                red("✗"),
                count(left as u64, "sale")
            ));
        }
        (_, left, true) => say(format!(
            "{} The stores still differ in {}. Run it once more: what one repair brings to light the next puts right. \
             A CONFLICT or a LEAKED_UNIT needs a person: see docs/operators.md.",
            red("✗"),
            count(left as u64, "sale")
        )),
    }
}
