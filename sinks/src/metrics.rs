//! Names of the metrics of this crate.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::sse::{Frames, Refused};

const DECISION_TO_ROW: &str = "flashsale_sink_decision_to_row_seconds";
const BATCH: &str = "flashsale_sink_batch_entries";
const BISECTED: &str = "flashsale_sink_bisected_batches_total";

const CLIENTS: &str = "flashsale_sse_clients";
const REFUSED: &str = "flashsale_sse_refused_total";
const SENT: &str = "flashsale_sse_sent_total";
const LAG: &str = "flashsale_sse_publish_lag_seconds";

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_histogram!(DECISION_TO_ROW, "Seconds from the sale of a unit to its row in Postgres");
    describe_histogram!(BATCH, "Entries of one transaction");
    describe_counter!(
        BISECTED,
        "Batches that Postgres refused for their values, and that were searched for the bad ones"
    );
    describe_gauge!(CLIENTS, "Open live streams");
    describe_counter!(REFUSED, "Live streams refused: full (503), address (429)");
    describe_counter!(SENT, "Messages to listeners: initial, step, reset (something was missed)");
    describe_histogram!(LAG, "Seconds from what happened to a sale to the moment its listeners were told");
}

/// Begins what alerts and dashboards look at, before anything of it has happened.
pub(crate) fn begin_postgres() {
    counter!(BISECTED).increment(0);
    // Looked up, a histogram shows itself as empty.
    drop((histogram!(DECISION_TO_ROW), histogram!(BATCH)));
}

/// As [`begin_postgres`], for the live streams.
pub(crate) fn begin_sse() {
    clients(0);
    ["full", "address"].into_iter().for_each(|reason| counter!(REFUSED, "reason" => reason).increment(0));
    ["initial", "step", "reset"].into_iter().for_each(|kind| counter!(SENT, "kind" => kind).increment(0));
    drop(histogram!(LAG));
}

pub(crate) fn written(entries: usize, seconds_to_row: impl Iterator<Item = f64>) {
    histogram!(BATCH).record(entries as f64);
    let to_row = histogram!(DECISION_TO_ROW);
    seconds_to_row.for_each(|seconds| to_row.record(seconds));
}

pub(crate) fn bisected() {
    counter!(BISECTED).increment(1);
}

pub(crate) fn clients(open: usize) {
    gauge!(CLIENTS).set(open as f64);
}

pub(crate) fn refused(why: Refused) {
    let reason = match why {
        Refused::Full => "full",
        Refused::Address => "address",
    };
    counter!(REFUSED, "reason" => reason).increment(1);
}

pub(crate) fn sent(frames: &Frames) {
    let kind = match frames {
        Frames::Initial(_) => "initial",
        Frames::Reset(_) => "reset",
        Frames::Step(_) => "step",
    };
    counter!(SENT, "kind" => kind).increment(1);
}

pub(crate) fn published(lag: Duration) {
    histogram!(LAG).record(lag.as_secs_f64());
}
