//! Exports as their readers find them.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod formats;
mod writing;

use std::{borrow::Cow, collections::BTreeMap, fs, ops::Range, path::Path};

use flashsale_core::Micros;
use flashsale_export::{Existing, Format, Manifest, Plan, Row, Value, Writer};
use flashsale_schemas::{
    Topic,
    events::{DecidedBy, Outcome, PurchaseDecision},
};
use serde_json::Value as Json;

pub(crate) const SALE: &str = "06C5HN3T8Q2Z";
pub(crate) const AT: i64 = 1_795_435_200_000_000;
pub(crate) const FORMATS: [Format; 3] = [Format::Parquet, Format::Csv, Format::Jsonl];

pub(crate) fn decision(offset: i64) -> PurchaseDecision<Cow<'static, str>> {
    let is_sold = offset % 3 == 0;
    PurchaseDecision {
        decision_id: format!("{SALE}-{offset}").into(),
        sale_id: SALE.into(),
        sku: if offset % 2 == 0 { "EVEN".into() } else { "ODD".into() },
        user_id: format!("user-{}", offset % 50).into(),
        request_id: format!("r-{offset}").into(),
        outcome: if is_sold { Outcome::Accepted } else { Outcome::SoldOut },
        reason: None,
        sequence: is_sold.then_some(offset / 3 + 1),
        as_of_sequence: Some(offset / 3 + 1),
        remaining_stock: Some(1_000 - offset / 3),
        decided_at: Micros(AT + offset * 1_001),
        received_at: is_sold.then_some(Micros(AT + offset * 1_001 - 500)),
        decided_by: DecidedBy::Redis,
        ingest_id: "ingest-1".into(),
    }
}

pub(crate) fn row(partition: i32, offset: i64, value: Value<'static>) -> Row<'static> {
    let key = format!("{SALE}:user-{}", offset % 50);
    let timestamp_ms = AT / 1_000 + offset;
    Row { partition, offset, timestamp_ms, key: Some(key.into_bytes().into()), schema_id: Some(1), value }
}

/// Decisions in both partitions; every seventh record of the second cannot be read.
pub(crate) fn records() -> Vec<Row<'static>> {
    let first = (0..35).map(|offset| row(0, offset, Value::Decision(decision(offset))));
    let second = (100..160).map(|offset| {
        if offset % 7 == 0 {
            let problem = "the record starts with the byte 0x7b, not with 0x00".to_owned();
            row(1, offset, Value::Unreadable { problem, bytes: Cow::Owned(vec![0x7b, 0x7d]) })
        } else {
            row(1, offset, Value::Decision(decision(offset)))
        }
    });
    first.chain(second).collect()
}

pub(crate) fn plan_of(topic: Topic, format: Format, ranges: Vec<(i32, Range<i64>)>) -> Plan {
    Plan { rows_per_file: 10, ..Plan::new(topic, topic.name(), ranges.into_iter().collect(), format) }
}

pub(crate) fn plan(format: Format) -> Plan {
    plan_of(Topic::PurchaseDecisions, format, vec![(0, 0..35), (1, 100..160), (2, 7..7)])
}

/// Feeds what a reader of the topic would, at most `limit` records; answers whether that was all.
pub(crate) fn feed(writer: &mut Writer, plan: &Plan, records: &[Row<'_>], limit: usize) -> bool {
    let next = writer.resume_at();
    let mut left = limit;
    for (partition, range) in &plan.ranges {
        let begin = next[partition];
        if begin >= range.end {
            continue;
        }
        let asked_for =
            |record: &&Row<'_>| record.partition == *partition && (begin..range.end).contains(&record.offset);
        for record in records.iter().filter(asked_for) {
            if left == 0 {
                return false;
            }
            left -= 1;
            writer.push(record).unwrap();
        }
        writer.partition_done(*partition).unwrap();
    }
    true
}

pub(crate) fn export(folder: &Path, plan: &Plan, records: &[Row<'_>]) -> Manifest {
    let mut writer = Writer::open(folder, plan.clone(), Existing::Refuse).unwrap();
    assert!(feed(&mut writer, plan, records, usize::MAX));
    writer.finish().unwrap()
}

/// Everything in a folder, by name.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

pub(crate) fn json_lines(path: &Path) -> Vec<Json> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
