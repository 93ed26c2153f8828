//! Our topics by the names that people type.

use flashsale_schemas::Topic;

/// The name without what all names have in common, such as purchase-decisions.
pub(super) fn short(topic: Topic) -> &'static str {
    topic.name().trim_start_matches("flashsale.").trim_end_matches(".v1")
}

/// A topic of ours, by its short or its whole name.
pub(super) fn parse(name: &str) -> Result<Topic, String> {
    Topic::ALL
        .into_iter()
        .find(|topic| topic.name() == name || short(*topic) == name)
        .ok_or_else(|| format!("no such topic; there are {}", Topic::ALL.map(short).join(", ")))
}
