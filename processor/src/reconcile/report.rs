//! What a comparison found, as a record, as a row and in the metrics.

use std::{
    collections::HashSet,
    time::{SystemTime, UNIX_EPOCH},
};

use flashsale_audit::Examination;
use flashsale_core::{Micros, comparison::Class};
use flashsale_schemas::events::{
    Discrepancy, Reconciliation, ReconciliationMode as Mode, ReconciliationTrigger as Trigger,
};

use crate::metrics;

/// Discrepancies that a record lists: a record must stay small enough for every broker.
const LISTED_MAX: usize = 500;

/// What was found in one sale, and what was put right.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The run.
    pub run_id: String,
    /// What was seen.
    pub examination: Examination,
    /// What was put right.
    pub repaired: HashSet<(Class, String)>,
    /// Whether anything was to be put right.
    pub mode: Mode,
    /// What set it off.
    pub trigger: Trigger,
    /// When it was finished, by this host's clock.
    pub at: Micros,
}

/// The name of a trigger as a metric label.
pub(super) fn trigger_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Schedule => "SCHEDULE",
        Trigger::Startup => "STARTUP",
        Trigger::SaleEnded => "SALE_ENDED",
        Trigger::Demand => "DEMAND",
        Trigger::Unknown => "UNKNOWN",
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::DryRun => "DRY_RUN",
        Mode::Repair => "REPAIR",
        Mode::Unknown => "UNKNOWN",
    }
}

impl Finding {
    pub(super) fn new(
        run_id: &str,
        examination: Examination,
        repaired: HashSet<(Class, String)>,
        mode: Mode,
        trigger: Trigger,
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = Micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        Self { run_id: run_id.to_owned(), examination, repaired, mode, trigger, at }
    }

    /// Whether the stores agreed.
    pub fn is_clean(&self) -> bool {
        self.examination.report.agrees()
    }

    /// Discrepancies found, also those that are not listed.
    pub fn found(&self) -> u64 {
        self.examination.report.total()
    }

    /// Whether nothing is left to be put right.
    pub fn is_settled(&self) -> bool {
        self.found() == self.repaired.len() as u64
    }

    /// Sets the metrics of the sale: what is left after the repair.
    pub(super) fn meter(&self) {
        for class in Class::ALL {
            let repaired = self.repaired.iter().filter(|(repaired, _)| *repaired == class).count() as u64;
            let found = self.examination.report.counts.get(&class).copied().unwrap_or(0);
            metrics::discrepancies(&self.examination.sku, class, found.saturating_sub(repaired));
        }
    }

    /// The discrepancies that a record lists.
    pub fn discrepancies(&self) -> Vec<Discrepancy> {
        let listed = self.examination.report.discrepancies.iter().take(LISTED_MAX);
        listed
            .map(|one| Discrepancy {
                class: one.class.as_str().to_owned(),
                subject: one.subject.clone(),
                detail: one.detail.clone(),
                repaired: self.repaired.contains(&(one.class, one.subject.clone())),
            })
            .collect()
    }

    /// The record for the log.
    pub fn record(&self) -> Reconciliation {
        Reconciliation {
            run_id: self.run_id.clone(),
            sku: self.examination.sku.to_string(),
            sale_id: self.examination.sale_id.to_string(),
            at: self.at,
            mode: self.mode,
            trigger: self.trigger,
            discrepancies: self.discrepancies(),
            compared: i64::try_from(self.examination.report.compared).unwrap_or(i64::MAX),
        }
    }

    /// The row for Postgres.
    pub(super) fn row(&self) -> flashsale_sql::Reconciliation {
        let record = self.record();
        flashsale_sql::Reconciliation {
            run_id: record.run_id,
            sale_id: record.sale_id,
            sku: record.sku,
            finished_at: self.at,
            mode: mode_name(self.mode).to_owned(),
            trigger: trigger_name(self.trigger).to_owned(),
            compared: self.examination.report.compared,
            found: self.found(),
            repaired: self.repaired.len() as u64,
            discrepancies: serde_json::to_string(&record.discrepancies).unwrap_or_else(|_| "[]".to_owned()),
        }
    }
}
