//! Parts, journal and manifest: interrupted, resumed, refused, replaced.

use std::{collections::BTreeMap, fs};

use flashsale_export::{Error, Existing, Filter, Format, Manifest, Plan, Units, Value, Writer, begun};
use flashsale_schemas::Topic;
use serde_json::json;

use super::{FORMATS, SALE, decision, export, feed, files, json_lines, plan, plan_of, records, row};

#[test]
fn parts_end_after_so_many_rows_and_with_their_partition() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = export(folder.path(), &plan(Format::Jsonl), &records());
    let names: Vec<&str> = manifest.parts.iter().map(|part| part.file.as_str()).collect();
    let expected = [
        "part-000-000000000000.jsonl",
        "part-000-000000000010.jsonl",
        "part-000-000000000020.jsonl",
        "part-000-000000000030.jsonl",
        "part-001-000000000100.jsonl",
    ];
    assert_eq!(names[..5], expected);
    let rows: Vec<u64> = manifest.parts.iter().map(|part| part.rows).collect();
    // 60 records from offset 100 on, of which those at 105, 112, … 154 cannot be read.
    assert_eq!(rows, [10, 10, 10, 5, 10, 10, 10, 10, 10, 2]);
    assert_eq!(manifest.rows, 87);
    assert_eq!(manifest.outcomes.values().sum::<u64>(), 87);
    assert_eq!(manifest.schema_ids, BTreeMap::from([("1".to_owned(), 87)]));
    for part in &manifest.parts {
        let lines = json_lines(&folder.path().join(&part.file));
        assert_eq!(lines.len() as u64, part.rows);
        assert_eq!(lines[0]["offset"], part.first_offset);
        assert_eq!(lines[lines.len() - 1]["offset"], part.last_offset);
        assert_eq!(fs::metadata(folder.path().join(&part.file)).unwrap().len(), part.bytes);
        assert_eq!(part.sha256.len(), 64);
    }
    let left: Vec<String> = files(folder.path()).into_keys().filter(|name| !name.starts_with("part-")).collect();
    assert_eq!(left, ["manifest.json", "unreadable.jsonl"]);
}

#[test]
fn records_that_nobody_can_read_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = export(folder.path(), &plan(Format::Csv), &records());
    let unreadable = manifest.unreadable.unwrap();
    assert_eq!(unreadable.rows, 8);
    let lines = json_lines(&folder.path().join(&unreadable.file));
    assert_eq!(lines.len(), 8);
    assert_eq!(
        lines[0],
        json!({
            "partition": 1, "offset": 105, "timestamp": "2026-11-23T12:00:00.105000Z", "key": format!("{SALE}:user-5"),
            "schema_id": 1, "problem": "the record starts with the byte 0x7b, not with 0x00", "hex": "7b7d",
        })
    );
}

#[test]
fn two_exports_of_one_stretch_are_equal() {
    for format in FORMATS {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let written = export(one.path(), &plan(format), &records());
        export(other.path(), &plan(format), &records());
        let (one, other) = (files(one.path()), files(other.path()));
        assert_eq!(one, other);
        let read: Manifest = serde_json::from_slice(&one["manifest.json"]).unwrap();
        assert_eq!(read, written);
    }
}

#[test]
fn an_interrupted_export_ends_as_if_it_had_not_been() {
    let records = records();
    for format in FORMATS {
        let plan = plan(format);
        let whole = tempfile::tempdir().unwrap();
        export(whole.path(), &plan, &records);
        let expected = files(whole.path());
        for limit in [0, 1, 9, 10, 11, 34, 35, 36, 42, 60, 94, 95] {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = Writer::open(folder.path(), plan.clone(), Existing::Refuse).unwrap();
            feed(&mut writer, &plan, &records, limit);
            drop(writer);
            let mut writer = Writer::open(folder.path(), plan.clone(), Existing::Resume).unwrap();
            assert!(feed(&mut writer, &plan, &records, usize::MAX));
            writer.finish().unwrap();
            assert!(files(folder.path()) == expected, "{format} after {limit} records");
        }
    }
}

#[test]
fn an_export_may_be_interrupted_again_and_again() {
    let (records, plan) = (records(), plan(Format::Parquet));
    let whole = tempfile::tempdir().unwrap();
    export(whole.path(), &plan, &records);
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let mut writer = Writer::open(folder.path(), plan.clone(), Existing::Resume).unwrap();
        if feed(&mut writer, &plan, &records, 13) {
            writer.finish().unwrap();
            break;
        }
    }
    assert!(files(folder.path()) == files(whole.path()), "{:?}", files(folder.path()).keys());
}

#[test]
fn a_crash_before_the_manifest_costs_nothing() {
    let (records, plan) = (records(), plan(Format::Jsonl));
    let whole = tempfile::tempdir().unwrap();
    export(whole.path(), &plan, &records);
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), plan.clone(), Existing::Refuse).unwrap();
    feed(&mut writer, &plan, &records, usize::MAX);
    drop(writer);
    fs::rename(folder.path().join(".unreadable.jsonl.tmp"), folder.path().join("unreadable.jsonl")).unwrap();
    fs::write(folder.path().join("part-001-000000000999.jsonl"), "not in the journal").unwrap();
    fs::write(folder.path().join(".part-001-000000000160.jsonl.tmp"), "half").unwrap();
    let writer = Writer::open(folder.path(), plan, Existing::Resume).unwrap();
    writer.finish().unwrap();
    assert!(files(folder.path()) == files(whole.path()), "{:?}", files(folder.path()).keys());
}

#[test]
fn a_finished_export_is_left_as_it_is() {
    let (records, plan) = (records(), plan(Format::Csv));
    let folder = tempfile::tempdir().unwrap();
    let manifest = export(folder.path(), &plan, &records);
    let before = files(folder.path());
    assert!(matches!(Writer::open(folder.path(), plan.clone(), Existing::Refuse), Err(Error::Exists(_))));
    assert_eq!(begun(folder.path()).unwrap(), Some(plan.clone()));
    let mut writer = Writer::open(folder.path(), plan.clone(), Existing::Resume).unwrap();
    assert!(feed(&mut writer, &plan, &records, 0));
    assert_eq!(writer.finish().unwrap(), manifest);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn another_plan_is_refused_and_the_message_says_what_differs() {
    let (records, begun) = (records(), plan(Format::Csv));
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), begun.clone(), Existing::Refuse).unwrap();
    feed(&mut writer, &begun, &records, 20);
    drop(writer);
    let refusal = |other: Plan| Writer::open(folder.path(), other, Existing::Resume).unwrap_err().to_string();
    let message = refusal(Plan { format: Format::Jsonl, ..begun.clone() });
    assert!(message.contains("the format is csv there and jsonl here"), "{message}");
    assert!(message.contains("--overwrite"), "{message}");
    let filter = Filter { sku: Some("EVEN".to_owned()), ..Filter::default() };
    let message = refusal(Plan { filter, ..begun.clone() });
    assert!(message.contains("the SKU is any there and EVEN here"), "{message}");
    let mut ranges = begun.ranges.clone();
    ranges.insert(1, 100..161);
    let message = refusal(Plan { ranges, ..begun.clone() });
    assert!(message.contains("partition 1 is 100..160 there and 100..161 here"), "{message}");
    let mut writer = Writer::open(folder.path(), begun.clone(), Existing::Resume).unwrap();
    assert!(feed(&mut writer, &begun, &records, usize::MAX));
}

#[test]
fn replacing_removes_the_old_export_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    export(folder.path(), &plan(Format::Csv), &records());
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let other = plan_of(Topic::PurchaseDecisions, Format::Jsonl, vec![(0, 0..5)]);
    let mut writer = Writer::open(folder.path(), other.clone(), Existing::Replace).unwrap();
    feed(&mut writer, &other, &records(), usize::MAX);
    writer.finish().unwrap();
    let names: Vec<String> = files(folder.path()).into_keys().collect();
    assert_eq!(names, ["manifest.json", "notes.txt", "part-000-000000000000.jsonl"]);
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    for existing in [Existing::Refuse, Existing::Resume, Existing::Replace] {
        assert!(matches!(Writer::open(folder.path(), plan(Format::Csv), existing), Err(Error::NotEmpty(_))));
    }
    assert_eq!(begun(folder.path()).unwrap(), None);
}

#[test]
fn a_changed_part_is_not_built_upon() {
    let (records, plan) = (records(), plan(Format::Csv));
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), plan.clone(), Existing::Refuse).unwrap();
    feed(&mut writer, &plan, &records, 20);
    assert!(matches!(Writer::open(folder.path(), plan.clone(), Existing::Resume), Err(Error::Busy(_))));
    drop(writer);
    fs::write(folder.path().join("part-000-000000000010.csv"), "short").unwrap();
    assert!(matches!(Writer::open(folder.path(), plan, Existing::Resume), Err(Error::Changed(_))));
}

#[test]
fn rows_out_of_turn_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), plan(Format::Csv), Existing::Refuse).unwrap();
    let offer = |writer: &mut Writer, partition, offset| {
        writer.push(&row(partition, offset, Value::Decision(decision(offset))))
    };
    offer(&mut writer, 0, 5).unwrap();
    assert!(matches!(offer(&mut writer, 0, 5), Err(Error::OutOfOrder { offset: 5, .. })));
    assert!(matches!(offer(&mut writer, 0, 35), Err(Error::OutOfOrder { .. })), "behind the stretch");
    assert!(matches!(offer(&mut writer, 1, 100), Err(Error::OutOfOrder { .. })), "partition 0 is not done");
    assert!(matches!(offer(&mut writer, 9, 0), Err(Error::OutOfOrder { .. })), "not asked for");
    let event = row(0, 6, Value::Other(json!({})));
    assert!(matches!(writer.push(&event), Err(Error::OtherTopic { offset: 6, .. })));
    assert!(matches!(writer.finish(), Err(Error::Unfinished { partition: 0, .. })));
}

#[test]
fn filters_take_a_sku_and_a_stretch_of_its_units() {
    let mut even = plan(Format::Jsonl);
    even.filter.sku = Some("EVEN".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let manifest = export(folder.path(), &even, &records());
    assert_eq!(manifest.rows, 44, "18 in partition 0; 30 in partition 1, of which 4 cannot be read");
    let mut units = plan(Format::Jsonl);
    units.filter.sequence = Some(Units { first: 2, last: 4 });
    let folder = tempfile::tempdir().unwrap();
    let manifest = export(folder.path(), &units, &records());
    let lines = json_lines(&folder.path().join(&manifest.parts[0].file));
    let sequences: Vec<i64> = lines.iter().map(|line| line["sequence"].as_i64().unwrap()).collect();
    assert_eq!(sequences, [2, 3, 4]);
    assert_eq!(manifest.unreadable.unwrap().rows, 8, "these are kept whatever is asked for");
}
