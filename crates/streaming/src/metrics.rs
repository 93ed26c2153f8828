//! Names of the metrics of this crate.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::{
    Partition,
    breaker::State,
    sink::{Counts, Span},
};

const RECORDS: &str = "flashsale_consumer_records_total";
const FAILURES: &str = "flashsale_consumer_failures_total";
const PAUSED: &str = "flashsale_consumer_paused";
const HELD: &str = "flashsale_consumer_held";
const BREAKER: &str = "flashsale_consumer_breaker_state";
const UNACCOUNTED: &str = "flashsale_consumer_unaccounted_records";
const STALLED: &str = "flashsale_consumer_stalled_total";
const PRODUCE_REFUSED: &str = "flashsale_producer_refused_total";

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_counter!(
        RECORDS,
        "Records by consumer, topic, partition and result (I10: consumed is the sum of the others)"
    );
    describe_counter!(FAILURES, "Failed tries of a consumer to go on, by step");
    describe_gauge!(PAUSED, "1 while a consumer waits for its infrastructure");
    describe_gauge!(HELD, "1 while an operator's order holds partitions of a consumer group");
    describe_gauge!(BREAKER, "Breaker of a consumer: 0 closed, 1 open, 2 half-open");
    describe_gauge!(
        UNACCOUNTED,
        "Records consumed less those applied, duplicate, rejected and skipped: always 0 (I10)"
    );
    describe_counter!(STALLED, "Consumers started anew because a partition with records yielded none");
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
    let accounted = counts.applied + counts.duplicate + span.rejected + span.skipped;
    gauge!(
        UNACCOUNTED,
        "consumer" => consumer.to_owned(),
        "topic" => partition.topic.to_string(),
        "partition" => partition.number.to_string(),
    )
    .increment(span.consumed as f64 - accounted as f64);
}

/// Begins what alerts look at, before anything of it has happened.
pub(crate) fn consumer_begins() {
    counter!(STALLED).increment(0);
}

pub(crate) fn producer_begins() {
    counter!(PRODUCE_REFUSED).increment(0);
}

pub(crate) fn stalled() {
    counter!(STALLED).increment(1);
}

/// Tells whether an order holds partitions of a consumer.
pub fn tell_held(group: &str, held: bool) {
    gauge!(HELD, "consumer" => group.to_owned()).set(if held { 1.0 } else { 0.0 });
}

pub(crate) fn breaker(consumer: &str, state: State) {
    gauge!(BREAKER, "consumer" => consumer.to_owned()).set(f64::from(state as u8));
}

pub(crate) fn failed(consumer: &str, step: &'static str) {
    counter!(FAILURES, "consumer" => consumer.to_owned(), "step" => step).increment(1);
}

pub(crate) fn paused(consumer: &str, paused: bool) {
    gauge!(PAUSED, "consumer" => consumer.to_owned()).set(if paused { 1.0 } else { 0.0 });
}
