//! Limits for latencies, as `p99<2s`.

use std::{fmt, str::FromStr};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use super::Percentiles;

/// A figure of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Percentile {
    /// Half took no longer.
    P50,
    /// Nine of ten took no longer.
    P90,
    /// Nineteen of twenty took no longer.
    P95,
    /// Ninety-nine of a hundred took no longer.
    P99,
    /// All but one of a thousand took no longer.
    P999,
    /// The longest.
    Max,
    /// The mean.
    Mean,
}

impl Percentile {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::P50, Self::P90, Self::P95, Self::P99, Self::P999, Self::Max, Self::Mean];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
            Self::Mean => "mean",
        }
    }

    /// Its value in milliseconds.
    pub fn of(self, latency: &Percentiles) -> f64 {
        match self {
            Self::P50 => latency.p50_ms,
            Self::P90 => latency.p90_ms,
            Self::P95 => latency.p95_ms,
            Self::P99 => latency.p99_ms,
            Self::P999 => latency.p999_ms,
            Self::Max => latency.max_ms,
            Self::Mean => latency.mean_ms,
        }
    }
}

/// What a figure has to stay below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Which figure.
    pub percentile: Percentile,
    /// Milliseconds that it must not reach.
    pub max_ms: f64,
}

impl FromStr for Limit {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts = text.split_once('<').with_context(|| format!("`{text}` is no limit; one is p99<2s"))?;
        let (name, time) = (parts.0.trim(), parts.1.trim());
        let percentile = Percentile::ALL.into_iter().find(|percentile| percentile.name() == name);
        let percentile = percentile
            .with_context(|| format!("`{name}` is none of {}", Percentile::ALL.map(Percentile::name).join(", ")))?;
        Ok(Self { percentile, max_ms: parse_millis(time)? })
    }
}

/// The milliseconds of a time such as 500ms, 1.5s or 250us.
fn parse_millis(time: &str) -> anyhow::Result<f64> {
    let digits = time.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = time.get(digits.len()..).unwrap_or_default();
    let number: f64 = digits.trim_end().parse().with_context(|| format!("`{time}` is no time; one is 500ms"))?;
    ensure!(number.is_finite() && number > 0.0, "`{time}` is no time above 0");
    match unit {
        "us" => Ok(number / 1_000.0),
        "ms" => Ok(number),
        "s" => Ok(number * 1_000.0),
        _ => bail!("`{time}` has no unit of us, ms and s"),
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.max_ms {
            ms if ms >= 1_000.0 => (ms / 1_000.0, "s"),
            ms if ms >= 1.0 => (ms, "ms"),
            ms => (ms * 1_000.0, "us"),
        };
        write!(f, "{}<{number}{unit}", self.percentile.name())
    }
}

/// A limit and what was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// The limit, as `p99<2s`.
    pub name: String,
    /// Milliseconds; 0 when nothing was measured.
    pub measured_ms: f64,
    /// Whether it was kept. A run that measured nothing keeps none.
    pub holds: bool,
}

impl Threshold {
    pub(super) fn of(limit: &Limit, measured: Option<&Percentiles>) -> Self {
        let measured_ms = measured.map_or(0.0, |latency| limit.percentile.of(latency));
        Self { name: limit.to_string(), measured_ms, holds: measured_ms > 0.0 && measured_ms < limit.max_ms }
    }
}
