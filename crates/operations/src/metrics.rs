//! Names of the metrics of this crate.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::{Consumer, PartitionView, Verdict};

const LAG_RECORDS: &str = "flashsale_consumer_lag_records";
const LAG_SECONDS: &str = "flashsale_consumer_lag_seconds";
const VERDICT: &str = "flashsale_consumer_verdict";
const LETTERS_OPEN: &str = "flashsale_dead_letters_open";
const ACTS: &str = "flashsale_operator_acts_total";

/// Describes the metrics of this crate to the recorder.
pub fn describe() {
    describe_gauge!(LAG_RECORDS, "Records that wait for a consumer, by topic and partition; NaN when not known");
    describe_gauge!(LAG_SECONDS, "How long the oldest of them has waited; NaN when not known");
    describe_gauge!(VERDICT, "1 for the verdict on a consumer that holds, 0 for the others");
    describe_gauge!(LETTERS_OPEN, "Dead letters that were neither sent again nor given up");
    describe_counter!(ACTS, "What operators did, by action");
    let actions = ["PAUSE", "RESUME", "RESET", "REDRIVE", "DISCARD", "RECONCILE", "REBUILD", "REPLAY"];
    let sales = ["SALE_CREATE", "SALE_UPDATE", "SALE_PAUSE", "SALE_RESUME", "SALE_DELETE"];
    actions.into_iter().chain(sales).for_each(|action| counter!(ACTS, "action" => action).increment(0));
}

/// Tells how a consumer stands.
pub(crate) fn consumer(consumer: &Consumer) {
    for one in &consumer.partitions {
        let labels = [
            ("consumer", consumer.name.clone()),
            ("topic", one.topic.clone()),
            ("partition", one.partition.to_string()),
        ];
        gauge!(LAG_RECORDS, &labels).set(one.lag_records.map_or(f64::NAN, |lag| lag as f64));
        gauge!(LAG_SECONDS, &labels).set(one.lag_seconds.unwrap_or(f64::NAN));
    }
    for verdict in Verdict::ALL {
        let holds = if verdict == consumer.verdict { 1.0 } else { 0.0 };
        gauge!(VERDICT, "consumer" => consumer.name.clone(), "verdict" => verdict.as_str()).set(holds);
    }
}

/// Tells that nobody knows how a consumer stands.
pub(crate) fn unknown(consumer: &Consumer) {
    let blind =
        consumer.partitions.iter().map(|one| PartitionView { lag_records: None, lag_seconds: None, ..one.clone() });
    let blind = Consumer { partitions: blind.collect(), verdict: Verdict::Unknown, ..consumer.clone() };
    self::consumer(&blind);
}

/// Tells how many dead letters are open.
pub(crate) fn letters_open(open: u64) {
    gauge!(LETTERS_OPEN).set(open as f64);
}

/// Counts an act.
pub(crate) fn acted(action: &str) {
    counter!(ACTS, "action" => action.to_owned()).increment(1);
}
