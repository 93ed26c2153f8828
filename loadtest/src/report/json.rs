//! The report for a program: names in camel case, times with their unit in the name.

use anyhow::Context;

use super::Report;

/// The report as JSON over several lines.
pub(super) fn json(report: &Report) -> anyhow::Result<String> {
    serde_json::to_string_pretty(report).context("write the report as JSON")
}
