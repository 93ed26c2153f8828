//! Names of the metrics of this crate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flashsale_core::{Sku, comparison::Class};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const CLOCK_LATE: &str = "flashsale_clock_transition_late_seconds";
const RELAYED: &str = "flashsale_relay_records_total";
const OUTBOX: &str = "flashsale_relay_outbox_entries";
const OUTBOX_AGE: &str = "flashsale_relay_outbox_oldest_seconds";
const STATUS: &str = "flashsale_status_published_total";
const FENCE: &str = "flashsale_fence_open";
const RECOVERIES: &str = "flashsale_recoveries_total";
const RECOVERY: &str = "flashsale_recovery_seconds";
const DISCREPANCIES: &str = "flashsale_reconcile_discrepancies";
const RECONCILED_AT: &str = "flashsale_reconcile_last_run_timestamp_seconds";
const RECONCILIATIONS: &str = "flashsale_reconcile_runs_total";
const VIOLATIONS: &str = "flashsale_monitor_violations";
const MISSING_UNITS: &str = "flashsale_monitor_missing_units";
const MONITOR_LAG: &str = "flashsale_monitor_lag_seconds";
const FAILED: &str = "flashsale_processor_failed_total";

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_histogram!(CLOCK_LATE, "Seconds from a sale's start or end to the clock's noticing");
    describe_counter!(RELAYED, "Records that the relay published because nobody had settled them");
    describe_gauge!(OUTBOX, "Entries in the outboxes of all open sales");
    describe_gauge!(OUTBOX_AGE, "Age of the oldest outbox entry");
    describe_counter!(STATUS, "Snapshots published to sale-status");
    describe_gauge!(FENCE, "1 while this process may decide: Redis is verified against the log");
    describe_counter!(RECOVERIES, "Recoveries of Redis from the log, by result");
    describe_histogram!(RECOVERY, "Seconds from the closed fence to the open one");
    describe_gauge!(DISCREPANCIES, "What the last comparison of a sale's stores found, by class");
    describe_gauge!(RECONCILED_AT, "When a comparison of the stores last ended, as Unix time");
    describe_counter!(RECONCILIATIONS, "Comparisons of the stores, by trigger and result");
    describe_gauge!(VIOLATIONS, "Broken invariants that the monitor has seen in the log, by invariant");
    describe_gauge!(
        MISSING_UNITS,
        "Sequences that the log lacks although later ones are there, for longer than the relay takes"
    );
    describe_gauge!(MONITOR_LAG, "How late the monitor saw the last decision");
    describe_counter!(FAILED, "Failed rounds, by part");
}

/// Begins what alerts and dashboards look at, before anything of it has happened.
pub(crate) fn begin() {
    ["done", "failed"].into_iter().for_each(|result| counter!(RECOVERIES, "result" => result).increment(0));
    ["relay", "clock", "status", "reconcile"]
        .into_iter()
        .for_each(|part| counter!(FAILED, "part" => part).increment(0));
    ["I1", "I2", "I6", "I9", "I14"].into_iter().for_each(|invariant| violations(invariant, 0));
    counter!(RELAYED).increment(0);
    counter!(STATUS).increment(0);
    // Looked up, a histogram shows itself as empty.
    drop((histogram!(CLOCK_LATE), histogram!(RECOVERY)));
}

pub(crate) fn transition_late(late: Duration) {
    histogram!(CLOCK_LATE).record(late);
}

pub(crate) fn relayed(records: u64) {
    counter!(RELAYED).increment(records);
}

pub(crate) fn outbox(entries: u64, oldest: Duration) {
    gauge!(OUTBOX).set(entries as f64);
    gauge!(OUTBOX_AGE).set(oldest.as_secs_f64());
}

pub(crate) fn status_published(snapshots: u64) {
    counter!(STATUS).increment(snapshots);
}

pub(crate) fn failed(part: &'static str) {
    counter!(FAILED, "part" => part).increment(1);
}

pub(crate) fn fence(open: bool) {
    gauge!(FENCE).set(if open { 1.0 } else { 0.0 });
}

pub(crate) fn recovered(result: &'static str, took: Option<Duration>) {
    counter!(RECOVERIES, "result" => result).increment(1);
    if let Some(took) = took {
        histogram!(RECOVERY).record(took);
    }
}

pub(crate) fn discrepancies(sku: &Sku, class: Class, found: u64) {
    gauge!(DISCREPANCIES, "sku" => sku.to_string(), "class" => class.as_str()).set(found as f64);
}

pub(crate) fn reconciled(trigger: &'static str, result: &'static str) {
    counter!(RECONCILIATIONS, "trigger" => trigger, "result" => result).increment(1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(RECONCILED_AT).set(now.as_secs_f64());
}

pub(crate) fn violations(invariant: &'static str, seen: u64) {
    gauge!(VIOLATIONS, "invariant" => invariant).set(seen as f64);
}

pub(crate) fn monitored(missing: u64, lag: Duration) {
    gauge!(MISSING_UNITS).set(missing as f64);
    gauge!(MONITOR_LAG).set(lag.as_secs_f64());
}
