//! Every topic has its papers, and every example goes through the codec unharmed.
#![allow(clippy::unwrap_used)] // as in unit tests

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use apache_avro::{Schema, types::Value as Avro, writer::datum::GenericDatumWriter};
use flashsale_core::SaleStatus;
use flashsale_schemas::{
    CleanupPolicy, Decoder, Event, Registry, Topic,
    events::{
        Challenge, ConsumerControl, ConsumerPositions, OperatorAct, PurchaseDecision, Reconciliation, SaleEvent,
        SaleStatusRecord,
    },
};
use serde_json::Value;

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The examples of `topic` by file name.
fn examples(topic: Topic) -> BTreeMap<String, Value> {
    let files = fs::read_dir(here(&topic.paper().examples)).unwrap();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), serde_json::from_str(&text).unwrap())
    };
    files.map(|file| read(file.unwrap().path())).collect()
}

async fn round_trip<T: Event + PartialEq + std::fmt::Debug>() -> Vec<T> {
    let (encoder, decoder) = Registry::builtin().codec::<T>(T::TOPIC.name()).await.unwrap();
    let schema: Value = serde_json::from_str(T::TOPIC.schema_text().unwrap()).unwrap();
    let fields: BTreeSet<&str> =
        schema["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    let mut events = Vec::new();
    for (name, example) in examples(T::TOPIC) {
        let named: BTreeSet<&str> = example.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(named, fields, "{name} and the schema differ");
        let event: T = serde_json::from_value(example.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&event).unwrap(), example, "{name} must name every field");
        let record = encoder.encode(&event).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(decoder.decode(&record).unwrap(), event, "{name}");
        for cut in 0..record.len() {
            assert!(decoder.decode(&record[..cut]).unwrap_err().is_data_error(), "{name} cut to {cut} bytes");
        }
        let longer = [record.as_slice(), &[0]].concat();
        assert!(decoder.decode(&longer).unwrap_err().is_data_error(), "{name} with a byte more");
        events.push(event);
    }
    events
}

#[test]
fn every_topic_has_schema_examples_and_consumers() {
    for topic in Topic::ALL {
        let paper = topic.paper();
        assert_eq!(paper.topic, topic.name());
        assert_eq!(Topic::parse(topic.name()), Some(topic));
        assert!(!paper.summary.is_empty() && !paper.key.is_empty(), "{topic}");
        assert!(!paper.producers.is_empty() && !paper.consumers.is_empty(), "{topic} needs producers and consumers");
        assert!(paper.partitions > 0, "{topic}");
        assert_eq!(paper.retention_ms.is_some(), paper.cleanup_policy == CleanupPolicy::Delete, "{topic}");
        assert!(!examples(topic).is_empty(), "{topic} needs an example");
        match (&paper.schema, topic.schema_text()) {
            (Some(path), Some(text)) => {
                assert_eq!(fs::read_to_string(here(path)).unwrap(), text, "{topic}");
                assert_eq!(paper.compatibility, "FULL_TRANSITIVE", "{topic}");
                assert_eq!(paper.without_schema, None, "{topic}");
            }
            (None, None) => assert!(paper.without_schema.is_some(), "{topic} must say why it has no schema"),
            _ => panic!("{topic}: paper and code differ about the schema"),
        }
    }
}

#[tokio::test]
async fn every_example_round_trips() {
    let decisions = round_trip::<PurchaseDecision>().await;
    for outcome in ["ACCEPTED", "ALREADY_PURCHASED", "SOLD_OUT", "SALE_NOT_ACTIVE"] {
        let shown = |decision: &PurchaseDecision| serde_json::to_value(decision.outcome).unwrap() == outcome;
        assert!(decisions.iter().any(shown), "no example of {outcome}");
    }
    let changes = round_trip::<SaleEvent>().await;
    for kind in ["CREATED", "UPDATED", "STARTED", "PAUSED", "RESUMED", "ENDED", "DELETED"] {
        let shown = |event: &SaleEvent| serde_json::to_value(event.kind).unwrap() == kind;
        assert!(changes.iter().any(shown), "no example of {kind}");
    }
    for event in &changes {
        let status = SaleStatus::try_from(event).unwrap();
        assert_eq!(status.as_of_event, u64::try_from(event.event_number).unwrap());
        assert_eq!(SaleStatusRecord::from(&status).as_of, event.occurred_at);
    }
    for record in round_trip::<SaleStatusRecord>().await {
        assert_eq!(SaleStatusRecord::from(&SaleStatus::try_from(&record).unwrap()), record);
    }
    round_trip::<Reconciliation>().await;
    round_trip::<ConsumerControl>().await;
    round_trip::<OperatorAct>().await;
    round_trip::<ConsumerPositions>().await;
}

#[test]
fn a_record_that_cannot_be_is_refused_by_field() {
    let example = examples(Topic::SaleEvents)["ended_sold_out.json"].clone();
    let refused = |field: &str, value: Value| {
        let mut event = example.clone();
        event[field] = value;
        SaleStatus::try_from(&serde_json::from_value::<SaleEvent>(event).unwrap()).unwrap_err().to_string()
    };
    assert_eq!(refused("sku", "a b".into()), "field sku: may only contain A-Z, a-z, 0-9 and -");
    assert_eq!(refused("initial_stock", (-1).into()), "field initial_stock: must not be negative, is -1");
    assert_eq!(refused("reason", Value::Null), "field reason: must say why the sale ended");
    assert_eq!(refused("reason", "TIRED".into()), "field reason: \"TIRED\" ends no sale");
    assert_eq!(refused("state", "UNKNOWN".into()), "field state: is not known to this build");
    assert_eq!(refused("challenge", "UNKNOWN".into()), "field challenge: is not known to this build");
}

#[tokio::test]
async fn a_sale_written_before_there_were_challenges_has_none() {
    let example = examples(Topic::SaleEvents)["created.json"].clone();
    let before = Schema::parse_str(include_str!("../released/sale-event.v1.1.avsc")).unwrap();
    let value = Avro::try_from(example.clone()).unwrap().resolve(&before).unwrap();
    let mut record = vec![0, 0, 0, 0, 2];
    GenericDatumWriter::builder(&before).build().unwrap().write_value(&mut record, value).unwrap();
    let newest = Registry::builtin().id_of(Topic::SaleEvents, Topic::SaleEvents.name()).await.unwrap();
    let read = Decoder::<SaleEvent>::new(newest, Registry::builtin()).decode(&record).unwrap();
    let expected: SaleEvent = serde_json::from_value(example).unwrap();
    assert_eq!(read, SaleEvent { challenge: Challenge::None, ..expected });
}
