//! Names of the metrics of this crate.

use metrics::{counter, describe_counter, describe_histogram, histogram};

const DECISION_TO_ROW: &str = "flashsale_sink_decision_to_row_seconds";
const BATCH: &str = "flashsale_sink_batch_entries";
const BISECTED: &str = "flashsale_sink_bisected_batches_total";

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_histogram!(DECISION_TO_ROW, "Seconds from the sale of a unit to its row in Postgres");
    describe_histogram!(BATCH, "Entries of one transaction");
    describe_counter!(
        BISECTED,
        "Batches that Postgres refused for their values, and that were searched for the bad ones"
    );
}

pub(crate) fn written(entries: usize, seconds_to_row: impl Iterator<Item = f64>) {
    histogram!(BATCH).record(entries as f64);
    let to_row = histogram!(DECISION_TO_ROW);
    seconds_to_row.for_each(|seconds| to_row.record(seconds));
}

pub(crate) fn bisected() {
    counter!(BISECTED).increment(1);
}
