//! What each format says of a row.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use flashsale_core::Micros;
use flashsale_export::{Format, Manifest, Row, Value};
use flashsale_schemas::{
    Topic,
    events::{Challenge, ChangeKind, PurchaseDecision, SaleEvent, SaleState, SaleStatusRecord},
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::{Value as Json, json};

use super::{AT, FORMATS, SALE, decision, export, json_lines, plan_of, row};

fn csv_rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.unwrap();
        rows.push(names.iter().cloned().zip(record.iter().map(str::to_owned)).collect());
    }
    rows
}

fn parquet_rows(path: &Path) -> Vec<BTreeMap<String, Field>> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    reader.into_iter().map(|row| row.unwrap().into_columns().into_iter().collect()).collect()
}

fn one(format: Format, record: Row<'_>) -> (tempfile::TempDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let topic = match record.value {
        Value::Decision(_) => Topic::PurchaseDecisions,
        Value::SaleEvent(_) => Topic::SaleEvents,
        Value::SaleStatus(_) | Value::Tombstone => Topic::SaleStatus,
        Value::Other(_) | Value::Unreadable { .. } => Topic::Reconciliations,
    };
    let plan = plan_of(topic, format, vec![(0, 0..1)]);
    let manifest = export(folder.path(), &plan, &[record]);
    (folder, manifest)
}

fn part(folder: &tempfile::TempDir, manifest: &Manifest) -> PathBuf {
    folder.path().join(&manifest.parts[0].file)
}

#[test]
fn json_lines_are_flat_objects_with_iso_times() {
    let (folder, manifest) = one(Format::Jsonl, row(0, 0, Value::Decision(decision(0))));
    let seen = json_lines(&part(&folder, &manifest));
    assert_eq!(
        seen,
        [json!({
            "partition": 0, "offset": 0, "timestamp": "2026-11-23T12:00:00.000000Z", "key": format!("{SALE}:user-0"),
            "decision_id": format!("{SALE}-0"), "sale_id": SALE, "sku": "EVEN", "user_id": "user-0",
            "request_id": "r-0", "outcome": "ACCEPTED", "reason": null, "sequence": 1, "as_of_sequence": 1,
            "remaining_stock": 1_000, "decided_at": "2026-11-23T12:00:00.000000Z",
            "received_at": "2026-11-23T11:59:59.999500Z", "decided_by": "REDIS", "ingest_id": "ingest-1",
        })]
    );
}

#[test]
fn csv_has_a_line_of_names_and_nothing_for_null() {
    let (folder, manifest) = one(Format::Csv, row(0, 0, Value::Decision(decision(1))));
    let text = fs::read_to_string(part(&folder, &manifest)).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            "partition,offset,timestamp,key,decision_id,sale_id,sku,user_id,request_id,outcome,reason,sequence,\
             as_of_sequence,remaining_stock,decided_at,received_at,decided_by,ingest_id"
        )
    );
    assert_eq!(
        lines.next(),
        Some(
            "0,0,2026-11-23T12:00:00.000000Z,06C5HN3T8Q2Z:user-0,06C5HN3T8Q2Z-1,06C5HN3T8Q2Z,ODD,user-1,r-1,SOLD_OUT,\
             ,,1,1000,2026-11-23T12:00:00.001001Z,,REDIS,ingest-1"
        )
    );
    assert_eq!(lines.next(), None);
}

#[test]
fn csv_keeps_every_character_also_of_formulas() {
    for user in ["a \"quoted\" name", "two\nlines", "a,b", "=HYPERLINK(1)", "+1", "-1", "@x", "ä€", " ", "\r"] {
        let value = PurchaseDecision { user_id: user.into(), ..decision(0) };
        let (folder, manifest) = one(Format::Csv, row(0, 0, Value::Decision(value)));
        let rows = csv_rows(&part(&folder, &manifest));
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["user_id"], user);
    }
}

#[test]
fn parquet_has_types_and_nulls() {
    let (folder, manifest) = one(Format::Parquet, row(0, 0, Value::Decision(decision(0))));
    let rows = parquet_rows(&part(&folder, &manifest));
    let text = |text: &str| Field::Str(text.to_owned());
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].len(), 18);
    assert_eq!(rows[0]["partition"], Field::Int(0));
    assert_eq!(rows[0]["offset"], Field::Long(0));
    assert_eq!(rows[0]["timestamp"], Field::TimestampMillis(AT / 1_000));
    assert_eq!(rows[0]["decided_at"], Field::TimestampMicros(AT));
    assert_eq!(rows[0]["received_at"], Field::TimestampMicros(AT - 500));
    assert_eq!(rows[0]["sequence"], Field::Long(1));
    assert_eq!(rows[0]["outcome"], text("ACCEPTED"));
    assert_eq!(rows[0]["user_id"], text("user-0"));
    assert_eq!(rows[0]["reason"], Field::Null);
    let (folder, manifest) = one(Format::Parquet, row(0, 0, Value::Decision(decision(1))));
    let rows = parquet_rows(&part(&folder, &manifest));
    assert_eq!(rows[0]["sequence"], Field::Null);
    assert_eq!(rows[0]["received_at"], Field::Null);
}

#[test]
fn parquet_keeps_every_row_across_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let mut records: Vec<Row<'_>> =
        (0..50_100).map(|offset| row(0, offset, Value::Decision(decision(offset)))).collect();
    for record in records.iter_mut().step_by(5) {
        record.key = None;
    }
    let mut plan = plan_of(Topic::PurchaseDecisions, Format::Parquet, vec![(0, 0..50_100)]);
    plan.rows_per_file = 100_000;
    let manifest = export(folder.path(), &plan, &records);
    let path = part(&folder, &manifest);
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 2);
    let rows = parquet_rows(&path);
    assert_eq!(rows.len(), records.len());
    for (record, row) in records.iter().zip(&rows) {
        let Value::Decision(decision) = &record.value else { panic!("not a decision") };
        assert_eq!(row["offset"], Field::Long(record.offset));
        assert_eq!(row["decided_at"], Field::TimestampMicros(decision.decided_at.0));
        assert_eq!(row["sequence"], decision.sequence.map_or(Field::Null, Field::Long));
        assert_eq!(row["user_id"], Field::Str(decision.user_id.to_string()));
        let key = record.key.as_deref().map(|key| String::from_utf8(key.to_vec()).unwrap());
        assert_eq!(row["key"], key.map_or(Field::Null, Field::Str), "offset {}", record.offset);
    }
}

#[test]
fn tombstones_have_a_key_and_nothing_else() {
    for format in FORMATS {
        let (folder, manifest) =
            one(format, Row { key: Some(b"DEMO".as_slice().into()), ..row(0, 0, Value::Tombstone) });
        assert_eq!(manifest.tombstones, 1);
        let path = part(&folder, &manifest);
        match format {
            Format::Parquet => {
                let rows = parquet_rows(&path);
                assert_eq!(rows[0]["key"], Field::Str("DEMO".to_owned()));
                assert_eq!(rows[0].values().filter(|field| **field == Field::Null).count(), 15);
            }
            Format::Csv => {
                let rows = csv_rows(&path);
                assert_eq!(rows[0]["key"], "DEMO");
                assert_eq!(rows[0].values().filter(|field| field.is_empty()).count(), 15);
            }
            Format::Jsonl => {
                let line = &json_lines(&path)[0];
                assert_eq!(line["key"], "DEMO");
                assert!(line["sku"].is_null() && line["as_of"].is_null(), "{line}");
            }
        }
    }
}

#[test]
fn a_decision_without_a_value_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan_of(Topic::PurchaseDecisions, Format::Parquet, vec![(0, 0..1)]);
    let manifest = export(folder.path(), &plan, &[row(0, 0, Value::Tombstone)]);
    assert_eq!((manifest.rows, manifest.parts.len()), (0, 0));
    let lines = json_lines(&folder.path().join("unreadable.jsonl"));
    assert_eq!(lines[0]["problem"], "the record has no value");
    assert!(lines[0]["hex"].is_null());
}

#[test]
fn sale_events_and_statuses_have_columns_of_their_own() {
    let event = SaleEvent {
        event_id: format!("{SALE}-e1"),
        sale_id: SALE.to_owned(),
        sku: "DEMO".to_owned(),
        kind: ChangeKind::Created,
        event_number: 1,
        occurred_at: Micros(AT + 1),
        reason: None,
        state: SaleState::Upcoming,
        paused: false,
        as_of_sequence: 0,
        product_name: "A \"thing\"".to_owned(),
        initial_stock: 50,
        start_at: Micros(AT),
        end_at: Micros(AT + 1_000_000),
        challenge: Challenge::ProofOfWork,
    };
    let status = SaleStatusRecord {
        sku: "DEMO".to_owned(),
        sale_id: SALE.to_owned(),
        product_name: "A thing".to_owned(),
        state: SaleState::Ended,
        paused: true,
        stock: 0,
        initial_stock: 50,
        sold: 50,
        start_at: Micros(AT),
        end_at: Micros(AT + 1_000_000),
        end_reason: Some("SOLD_OUT".to_owned()),
        as_of_sequence: 50,
        as_of_event: 3,
        as_of: Micros(AT + 2),
        challenge: Challenge::None,
    };
    let (folder, manifest) = one(Format::Jsonl, row(0, 0, Value::SaleEvent(event.clone())));
    let line = &json_lines(&part(&folder, &manifest))[0];
    assert_eq!(line["kind"], "CREATED");
    assert_eq!(line["challenge"], "PROOF_OF_WORK");
    assert_eq!(line["product_name"], "A \"thing\"");
    assert_eq!(line["paused"], false);
    assert_eq!(line["end_at"], "2026-11-23T12:00:01.000000Z");
    let (folder, manifest) = one(Format::Parquet, row(0, 0, Value::SaleEvent(event)));
    let rows = parquet_rows(&part(&folder, &manifest));
    assert_eq!(rows[0]["start_at"], Field::TimestampMillis(AT / 1_000));
    assert_eq!(rows[0]["occurred_at"], Field::TimestampMicros(AT + 1));
    assert_eq!(rows[0]["paused"], Field::Bool(false));
    let (folder, manifest) = one(Format::Parquet, row(0, 0, Value::SaleStatus(status)));
    let rows = parquet_rows(&part(&folder, &manifest));
    assert_eq!(rows[0]["end_reason"], Field::Str("SOLD_OUT".to_owned()));
    assert_eq!(rows[0]["paused"], Field::Bool(true));
    assert_eq!(rows[0]["sold"], Field::Long(50));
}

#[test]
fn other_topics_have_their_value_as_json() {
    let value = json!({ "run_id": "1", "discrepancies": [{ "class": "MISSING" }] });
    let record = Row { timestamp_ms: 0, key: None, ..row(0, 0, Value::Other(value.clone())) };
    let (folder, manifest) = one(Format::Jsonl, record.clone());
    let expected = json!({ "partition": 0, "offset": 0, "timestamp": null, "key": null, "value": value });
    assert_eq!(json_lines(&part(&folder, &manifest)), [expected]);
    let (folder, manifest) = one(Format::Csv, record.clone());
    let text = csv_rows(&part(&folder, &manifest))[0]["value"].clone();
    assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), value);
    let (folder, manifest) = one(Format::Parquet, record);
    let rows = parquet_rows(&part(&folder, &manifest));
    assert_eq!(rows[0]["value"], Field::Str(text));
    assert_eq!(rows[0]["key"], Field::Null);
}
