//! Seeds that are made of the topics' examples, so that they need no explanation.
#![allow(clippy::unwrap_used)] // as in unit tests

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use flashsale_schemas::{
    Encoder, Event, Registry, Topic,
    events::{
        ConsumerControl, ConsumerPositions, OperatorAct, PurchaseDecision, Reconciliation, SaleEvent, SaleStatusRecord,
    },
};
use flashsale_streaming::{Partition, Position, Record, Rejection, letter_headers};
use futures_util::FutureExt;
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// With the value `write` the seeds are written instead of compared.
const WRITE: &str = "FLASHSALE_SEEDS";

/// Seeds by their path in the corpus.
type Seeds = BTreeMap<String, Vec<u8>>;

#[test]
fn nf_5_every_example_is_a_seed() {
    let mut seeds = Seeds::new();
    records::<PurchaseDecision>(&mut seeds, &["avro", "wire"]);
    records::<SaleEvent>(&mut seeds, &["avro"]);
    records::<SaleStatusRecord>(&mut seeds, &["avro"]);
    records::<Reconciliation>(&mut seeds, &["avro"]);
    records::<ConsumerControl>(&mut seeds, &["avro", "control"]);
    records::<OperatorAct>(&mut seeds, &["avro"]);
    records::<ConsumerPositions>(&mut seeds, &["avro"]);
    letters(&mut seeds);
    let write = std::env::var(WRITE).is_ok_and(|what| what == "write");
    for (path, seed) in seeds {
        let file = Path::new(ROOT).join("fuzz/corpus").join(&path);
        if write {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &seed).unwrap();
        }
        let is_kept = fs::read(&file).is_ok_and(|kept| kept == seed);
        let command = format!("{WRITE}=write cargo test --package flashsale-fuzz-targets --test seeds");
        assert!(is_kept, "fuzz/corpus/{path} is not what its example makes; `{command}` writes all of them");
    }
}

/// The examples of a topic by their names: `sale-events.created`.
fn examples(topic: Topic) -> BTreeMap<String, Value> {
    let short = topic.name().trim_start_matches("flashsale.").trim_end_matches(".v1");
    let folder = Path::new(ROOT).join("schemas").join(&topic.paper().examples);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap();
            (format!("{short}.{name}"), serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap())
        })
        .collect()
}

fn records<T: Event>(seeds: &mut Seeds, targets: &[&str]) {
    let id = Registry::builtin().id_of(T::TOPIC, T::TOPIC.name()).now_or_never().unwrap().unwrap();
    let encoder = Encoder::new(id);
    for (name, example) in examples(T::TOPIC) {
        let event: T = serde_json::from_value(example).unwrap();
        let record = encoder.encode(&event).unwrap();
        seeds.extend(targets.iter().map(|target| (format!("{target}/{name}"), record.clone())));
    }
}

fn letters(seeds: &mut Seeds) {
    for (name, example) in examples(Topic::PurchaseDecisionsDlq) {
        let headers: BTreeMap<String, String> = serde_json::from_value(example["headers"].clone()).unwrap();
        assert_eq!(headers.keys().cloned().collect::<BTreeSet<_>>(), headers_written(), "{name} and the code differ");
        let hex = example["value_hex"].as_str().unwrap();
        let value = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let seed = format!("{lines}\n").into_bytes().into_iter().chain(value).collect();
        seeds.insert(format!("letters/{name}"), seed);
    }
}

/// Names of the headers of a letter whose record had none.
fn headers_written() -> BTreeSet<String> {
    let partition = Partition { topic: Topic::PurchaseDecisions.name().into(), number: 3 };
    let position = Position { partition, offset: 1_207 };
    let record = Record { position, key: None, payload: None, headers: Vec::new(), timestamp_ms: 0 };
    let headers = letter_headers(&record, &Rejection::new("bad_magic", ""), "flashsale-sink-postgres");
    headers.into_iter().map(|(name, _)| name).collect()
}
