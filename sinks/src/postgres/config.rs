//! Settings.

use std::time::Duration;

use flashsale_ledger::SINK_POSTGRES;

/// How decisions become rows.
#[derive(Debug, Clone)]
pub struct Config {
    /// The consumer group, and the name of the consumer in Postgres.
    pub group: String,
    /// Name of this member for static membership; empty for none.
    pub instance: String,
    /// Most records of one transaction.
    pub batch_max: usize,
    /// Transactions begin so far apart, and fill meanwhile.
    pub linger: Duration,
    /// Longest wait for Postgres in one step; shorter than a revocation may take, so that a hanging server
    /// does not cost the membership.
    pub answer_timeout: Duration,
}

impl Config {
    /// Defaults: 1,000 records, 20 ms, 10 s. Groups are shared by all topics of a cluster, so the prefix of the
    /// topics tells them apart too.
    pub fn new(topic_prefix: &str) -> Self {
        Self {
            group: format!("{topic_prefix}{SINK_POSTGRES}"),
            instance: String::new(),
            batch_max: 1_000,
            linger: Duration::from_millis(20),
            answer_timeout: Duration::from_secs(10),
        }
    }
}
