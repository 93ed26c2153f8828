//! Our records through Confluent's own Python client and our built-in registry.
#![allow(clippy::unwrap_used)] // as in unit tests

use std::{fmt::Write as _, fs, future::IntoFuture, path::Path, process::Stdio};

use flashsale_schemas::{
    Event, Registry,
    events::{
        ConsumerControl, ConsumerPositions, OperatorAct, PurchaseDecision, Reconciliation, SaleEvent, SaleStatusRecord,
    },
    registry::builtin,
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command};

const PREFIX: &str = "interop.";
const HERE: &str = env!("CARGO_MANIFEST_DIR");
/// Under `target/`, so that the packages are fetched once.
const VENV: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/interop-venv");

async fn run(command: &mut Command) {
    let output = command.output().await.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A Python with exactly the pinned packages.
async fn python() -> String {
    let wanted = format!("{HERE}/tests/interop/requirements.txt");
    let installed = format!("{VENV}/installed.txt");
    let python = format!("{VENV}/bin/python");
    let pinned = fs::read_to_string(&wanted).unwrap();
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == pinned) && Path::new(&python).exists() {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear", VENV])).await;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-deps", "-r", &wanted])).await;
    fs::write(&installed, pinned).unwrap();
    python
}

/// Every example of `T` as a line for the script, and as JSON with all times in microseconds.
async fn add<T: Event>(registry: &Registry, lines: &mut String, expected: &mut Vec<Value>) {
    let name = format!("{PREFIX}{}", T::TOPIC);
    let (encoder, _) = registry.codec::<T>(&name).await.unwrap();
    for file in fs::read_dir(format!("{HERE}/{}", T::TOPIC.paper().examples)).unwrap() {
        let mut example: Value = serde_json::from_str(&fs::read_to_string(file.unwrap().path()).unwrap()).unwrap();
        let event: T = serde_json::from_value(example.clone()).unwrap();
        write!(lines, "{name} ").unwrap();
        encoder.encode(&event).unwrap().iter().for_each(|byte| write!(lines, "{byte:02x}").unwrap());
        lines.push('\n');
        for in_millis in ["start_at", "end_at"] {
            if let Some(at) = example.get(in_millis).and_then(Value::as_i64) {
                example[in_millis] = (at * 1_000).into();
            }
        }
        expected.push(example);
    }
}

#[tokio::test]
async fn confluents_python_client_reads_what_we_write() {
    let python = python().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, builtin::router(PREFIX)).into_future());

    let (mut lines, mut expected) = (String::new(), Vec::new());
    let registry = Registry::connect(&url).unwrap();
    add::<PurchaseDecision>(&registry, &mut lines, &mut expected).await;
    add::<SaleEvent>(&registry, &mut lines, &mut expected).await;
    add::<SaleStatusRecord>(&registry, &mut lines, &mut expected).await;
    add::<Reconciliation>(&registry, &mut lines, &mut expected).await;
    add::<ConsumerControl>(&registry, &mut lines, &mut expected).await;
    add::<OperatorAct>(&registry, &mut lines, &mut expected).await;
    add::<ConsumerPositions>(&registry, &mut lines, &mut expected).await;

    let mut script = Command::new(python);
    script.arg(format!("{HERE}/tests/interop/decode.py")).arg(&url).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut script = script.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut stdin = script.stdin.take().unwrap();
    stdin.write_all(lines.as_bytes()).await.unwrap();
    drop(stdin);
    let output = script.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.len(), expected.len());
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(read, expected);
    }
    server.abort();
}
