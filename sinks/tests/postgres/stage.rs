use std::{collections::BTreeMap, fs, path::Path};

use flashsale_core::Micros;
use flashsale_schemas::{Decoder, Encoder, Event, Registry, Topic, events::PurchaseDecision};
use flashsale_sinks::postgres::stage;
use flashsale_sql::Decided;
use flashsale_streaming::Outcome;

use crate::record;

async fn codec() -> (Encoder<PurchaseDecision>, Decoder<PurchaseDecision>) {
    Registry::builtin().codec(Topic::PurchaseDecisions.name()).await.unwrap()
}

fn examples() -> BTreeMap<String, PurchaseDecision> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(&PurchaseDecision::TOPIC.paper().examples);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| {
            let example = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), example)
        })
        .collect()
}

fn class<T: std::fmt::Debug>(outcome: Outcome<T>) -> (&'static str, String) {
    match outcome {
        Outcome::Reject(rejection) => (rejection.class, rejection.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_example_becomes_what_it_always_became() {
    let (encoder, decoder) = codec().await;
    let stage = stage(decoder);
    let decided: BTreeMap<String, Outcome<Decided>> = examples()
        .into_iter()
        .map(|(name, example)| (name, stage(&record(0, 0, Some(&encoder.encode(&example).unwrap())))))
        .collect();
    insta::assert_debug_snapshot!(decided);
}

#[tokio::test]
async fn f_20_bytes_that_are_no_decision_are_rejected_by_class() {
    let (encoder, decoder) = codec().await;
    let stage = stage(decoder);
    let good = encoder.encode(&examples()["accepted"]).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let bad: [(&str, Vec<u8>); 6] = [
        ("bad_magic", with(0, 7)),
        ("unknown_schema", with(1, 0xee)),
        ("malformed_datum", good[..good.len() - 1].to_vec()),
        ("malformed_datum", [&good[..], b"x"].concat()),
        ("too_short", good[..4].to_vec()),
        ("too_short", Vec::new()),
    ];
    for (expected, bytes) in bad {
        assert_eq!(class(stage(&record(0, 0, Some(&bytes)))).0, expected);
    }
    assert_eq!(class(stage(&record(0, 0, None))).0, "tombstone");
}

#[tokio::test]
async fn f_20_fields_that_cannot_be_are_rejected_by_name() {
    let (encoder, decoder) = codec().await;
    let stage = stage(decoder);
    type Spoil = fn(&mut PurchaseDecision);
    let spoilt: [(&str, &str, Spoil); 9] = [
        ("accepted", "sale_id", |decision| decision.sale_id = "SALE".into()),
        ("accepted", "sku", |decision| decision.sku.clear()),
        ("accepted", "user_id", |decision| decision.user_id = "a\0b".into()),
        ("accepted", "request_id", |decision| decision.request_id = "a b".into()),
        ("accepted", "sequence", |decision| decision.sequence = None),
        ("accepted", "sequence", |decision| decision.sequence = Some(0)),
        ("sold_out", "decided_at", |decision| decision.decided_at = Micros(i64::MAX)),
        ("not_active_paused", "reason", |decision| decision.reason = None),
        ("not_active_paused", "reason", |decision| decision.reason = Some("BORED".into())),
    ];
    for (example, field, spoil) in spoilt {
        let mut decision = examples().remove(example).unwrap();
        spoil(&mut decision);
        let (class, message) = class(stage(&record(0, 0, Some(&encoder.encode(&decision).unwrap()))));
        assert_eq!(class, "invalid_field");
        assert!(message.starts_with(&format!("field {field}: ")), "{message}");
    }
}

#[tokio::test]
async fn an_outcome_newer_than_this_build_is_skipped() {
    let (encoder, decoder) = codec().await;
    let newer = PurchaseDecision {
        outcome: flashsale_schemas::events::Outcome::Unknown,
        ..examples().remove("accepted").unwrap()
    };
    let outcome = stage(decoder)(&record(0, 0, Some(&encoder.encode(&newer).unwrap())));
    assert!(matches!(outcome, Outcome::Skip), "{outcome:?}");
}

#[tokio::test]
async fn f_23_a_registry_that_does_not_answer_is_no_fault_of_the_record() {
    let (encoder, _) = codec().await;
    let decoder = Decoder::new(77, Registry::connect("http://127.0.0.1:1").unwrap());
    let outcome = stage(decoder)(&record(0, 0, Some(&encoder.encode(&examples()["accepted"]).unwrap())));
    assert!(matches!(outcome, Outcome::Fail(_)), "{outcome:?}");
}
