//! Names of the metrics of this crate.

use metrics::{counter, describe_counter, gauge};

use crate::{
    Partition,
    sink::{Counts, Span},
};

const RECORDS: &str = "flashsale_consumer_records_total";
const FAILURES: &str = "flashsale_consumer_failures_total";
const PAUSED: &str = "flashsale_consumer_paused";
const PRODUCE_REFUSED: &str = "flashsale_producer_refused_total";

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_counter!(
        RECORDS,
        "Records by consumer, topic, partition and result (I10: consumed is the sum of the others)"
    );
    describe_counter!(FAILURES, "Failed tries of a consumer to go on, by step");
    metrics::describe_gauge!(PAUSED, "1 while a consumer waits for its infrastructure");
    describe_counter!(PRODUCE_REFUSED, "Records that did not fit into the producer's queue");
}

pub(crate) fn produce_refused() {
    counter!(PRODUCE_REFUSED).increment(1);
}

pub(crate) fn accounted(consumer: &str, partition: &Partition, span: &Span, counts: &Counts) {
    let results = [
        ("consumed", span.consumed),
        ("applied", counts.applied),
        ("duplicate", counts.duplicate),
        ("rejected", span.rejected),
        ("skipped", span.skipped),
    ];
    for (result, count) in results {
        counter!(
            RECORDS,
            "consumer" => consumer.to_owned(),
            "topic" => partition.topic.to_string(),
            "partition" => partition.number.to_string(),
            "result" => result,
        )
        .increment(count);
    }
}

pub(crate) fn failed(consumer: &str, step: &'static str) {
    counter!(FAILURES, "consumer" => consumer.to_owned(), "step" => step).increment(1);
}

pub(crate) fn paused(consumer: &str, paused: bool) {
    gauge!(PAUSED, "consumer" => consumer.to_owned()).set(if paused { 1.0 } else { 0.0 });
}
