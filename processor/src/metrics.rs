//! Names of the metrics of this crate.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const CLOCK_LATE: &str = "flashsale_clock_transition_late_seconds";
const RELAYED: &str = "flashsale_relay_records_total";
const OUTBOX: &str = "flashsale_relay_outbox_entries";
const OUTBOX_AGE: &str = "flashsale_relay_outbox_oldest_seconds";
const STATUS: &str = "flashsale_status_published_total";
const FAILED: &str = "flashsale_processor_failed_total";

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_histogram!(CLOCK_LATE, "Seconds from a sale's start or end to the clock's noticing");
    describe_counter!(RELAYED, "Records that the relay published because nobody had settled them");
    describe_gauge!(OUTBOX, "Entries in the outboxes of all open sales");
    describe_gauge!(OUTBOX_AGE, "Age of the oldest outbox entry");
    describe_counter!(STATUS, "Snapshots published to sale-status");
    describe_counter!(FAILED, "Failed rounds, by part");
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
