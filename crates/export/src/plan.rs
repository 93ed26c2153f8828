//! What is to be exported, and how.

use std::{collections::BTreeMap, ops::Range};

use flashsale_schemas::Topic;
use serde::{Deserialize, Serialize};

use crate::{Format, Row, Shape};

/// Rows of a part, unless somebody wants another number.
pub const ROWS_PER_FILE: u64 = 250_000;

/// Everything that decides what an export contains. It stands in the journal and in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The topic, as the brokers call it.
    pub topic: String,
    /// Which columns it has.
    pub shape: Shape,
    /// The schema that the columns come from, as a subject or a fingerprint.
    pub schema: Option<String>,
    /// How the files are written.
    pub format: Format,
    /// Where the stretch begins, as it was asked for: `beginning`, `offset=N` or a time.
    pub from: String,
    /// Where it ends, likewise.
    pub until: String,
    /// What that is in offsets; the end of a range is the first offset that does not belong to it.
    #[serde(with = "stretches")]
    pub ranges: BTreeMap<i32, Range<i64>>,
    /// Which of these records.
    pub filter: Filter,
    /// Rows of a part, at most.
    pub rows_per_file: u64,
}

/// Which records are taken. A record that nobody can read is always kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only those about this SKU.
    pub sku: Option<String>,
    /// Only decisions about these units.
    pub sequence: Option<Units>,
}

/// Units of a sale by their sequence, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl Plan {
    /// A plan for all of `ranges`, which lie in `topic`; the brokers call it `name`.
    pub fn new(topic: Topic, name: impl Into<String>, ranges: BTreeMap<i32, Range<i64>>, format: Format) -> Self {
        Self {
            topic: name.into(),
            shape: topic.into(),
            schema: None,
            format,
            from: "beginning".into(),
            until: "end".into(),
            ranges,
            filter: Filter::default(),
            rows_per_file: ROWS_PER_FILE,
        }
    }

    /// Records in the stretch, as offsets tell it; a compacted topic has fewer.
    pub fn records_max(&self) -> u64 {
        self.ranges.values().map(|range| u64::try_from(range.end - range.start).unwrap_or(0)).sum()
    }

    /// What is another here than in `begun`, for people.
    pub(crate) fn differences(&self, begun: &Self) -> Vec<String> {
        let facts = begun.facts().into_iter().zip(self.facts());
        let mut differences: Vec<String> = facts
            .filter(|(there, here)| there != here)
            .map(|((name, there), (_, here))| format!("{name} is {there} there and {here} here"))
            .collect();
        let partitions = begun.ranges.keys().chain(self.ranges.keys());
        let other = partitions.copied().find(|partition| begun.ranges.get(partition) != self.ranges.get(partition));
        if let Some(partition) = other {
            let shown =
                |plan: &Self| plan.ranges.get(&partition).map_or("nothing".into(), |range| format!("{range:?}"));
            let (there, here) = (shown(begun), shown(self));
            differences.push(format!("partition {partition} is {there} there and {here} here"));
        }
        differences
    }

    fn facts(&self) -> [(&'static str, String); 8] {
        let or_any = |text: Option<String>| text.unwrap_or_else(|| "any".into());
        let units = self.filter.sequence.map(|units| format!("{}..{}", units.first, units.last));
        [
            ("the topic", self.topic.clone()),
            ("the format", self.format.to_string()),
            ("the beginning", self.from.clone()),
            ("the end", self.until.clone()),
            ("the SKU", or_any(self.filter.sku.clone())),
            ("the sequence", or_any(units)),
            ("the number of rows a file", self.rows_per_file.to_string()),
            ("the schema", or_any(self.schema.clone())),
        ]
    }
}

impl Filter {
    /// Whether the row is wanted.
    pub(crate) fn takes(&self, row: &Row<'_>) -> bool {
        let sku = self.sku.as_deref().is_none_or(|sku| row.sku() == Some(sku));
        let within = |units: Units| row.sequence().is_some_and(|unit| units.first <= unit && unit <= units.last);
        sku && self.sequence.is_none_or(within)
    }
}

/// Ranges as a list, which people and their tools read more easily than a map with numbers for names.
mod stretches {
    use std::{collections::BTreeMap, ops::Range};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Stretch {
        partition: i32,
        from: i64,
        until: i64,
    }

    pub(super) fn serialize<S: Serializer>(
        ranges: &BTreeMap<i32, Range<i64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ranges.iter().map(|(partition, range)| Stretch {
            partition: *partition,
            from: range.start,
            until: range.end,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<i32, Range<i64>>, D::Error> {
        let stretches = Vec::<Stretch>::deserialize(deserializer)?;
        Ok(stretches.into_iter().map(|stretch| (stretch.partition, stretch.from..stretch.until)).collect())
    }
}
