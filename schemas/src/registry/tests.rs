use std::{
    future::IntoFuture,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, extract::Path, http::StatusCode, response::IntoResponse, routing::get};
use flashsale_core::Micros;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;
use crate::{
    DecodeError, Decoder, Encoder,
    events::{ConsumerControl, ControlAction, PurchaseDecision},
};

const PREFIX: &str = "test-7.";

async fn serve_at(at: SocketAddr, router: Router) -> (Registry, SocketAddr, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, router).into_future());
    (Registry::connect(&format!("http://{at}/")).unwrap(), at, server)
}

async fn serve(router: Router) -> Registry {
    serve_at(([127, 0, 0, 1], 0).into(), router).await.0
}

/// A registry that answers `GET /schemas/ids/{id}` with what `answer` says and counts the calls.
async fn fake(answer: fn(u32) -> (StatusCode, Value)) -> (Registry, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let by_id = get(async move |Path(id): Path<u32>| {
        counter.fetch_add(1, Ordering::Relaxed);
        let (status, body) = answer(id);
        (status, Json(body)).into_response()
    });
    (serve(Router::new().route("/schemas/ids/{id}", by_id)).await, calls)
}

fn absent(_: u32) -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!({ "error_code": 40403, "message": "Schema not found" }))
}

/// Decodes until the answer is another than "not yet".
async fn decode_in_time<T: crate::Event>(decoder: &Decoder<T>, record: &[u8]) -> Result<T, DecodeError> {
    for _ in 0..1_000 {
        match decoder.decode(record) {
            Err(DecodeError::SchemaPending(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            decided => return decided,
        }
    }
    panic!("the schema stayed unknown")
}

fn control() -> ConsumerControl {
    ConsumerControl {
        consumer: "sink".into(),
        action: ControlAction::RunTo,
        partitions: vec![1, 5],
        until_offset: Some(7),
        issued_by: "operator".into(),
        issued_at: Micros(1_795_435_200_123_456),
    }
}

#[tokio::test]
async fn the_client_understands_the_compiled_in_registry() {
    let registry = serve(builtin::router(PREFIX)).await;
    for topic in Topic::ALL {
        let name = format!("{PREFIX}{topic}");
        let here = Registry::builtin().id_of(topic, &name).await;
        match registry.id_of(topic, &name).await {
            Ok(id) => {
                assert_eq!(id, here.unwrap());
                assert_eq!(registry.lookup(id).await.unwrap(), topic.schema().unwrap().canonical_form());
            }
            Err(RegistryError::NoSchema(_)) => assert_eq!(topic, Topic::PurchaseDecisionsDlq),
            Err(other) => panic!("{topic}: {other}"),
        }
    }
    assert!(matches!(registry.lookup(99).await, Err(RegistryError::UnknownSchema(99))));
    let unprefixed = registry.id_of(Topic::SaleEvents, Topic::SaleEvents.name()).await;
    assert!(matches!(unprefixed, Err(RegistryError::Answer { status: 404, .. })), "{unprefixed:?}");
}

#[tokio::test]
async fn the_compiled_in_registry_takes_no_other_schema() {
    let registry = serve(builtin::router("")).await;
    let client = registry.0.client.as_ref().unwrap();
    let subject = subject(Topic::SaleEvents.name());
    for (schema, code) in [("\"string\"", "read-only"), ("{", "Invalid schema")] {
        let Err(RegistryError::Answer { status: 422, message, .. }) = client.register(&subject, schema).await else {
            panic!("{schema} was not refused")
        };
        assert!(message.contains(code), "{message}");
    }
}

#[tokio::test]
async fn an_incompatible_schema_is_called_so() {
    let refuse = async || (StatusCode::CONFLICT, Json(json!({ "error_code": 409, "message": "READER_FIELD_MISSING" })));
    let router = Router::new().route("/subjects/{subject}/versions", axum::routing::post(refuse));
    let error = serve(router).await.id_of(Topic::SaleStatus, "s").await.unwrap_err();
    let RegistryError::Incompatible { subject, message } = &error else { panic!("{error}") };
    assert_eq!((subject.as_str(), message.as_str()), ("s-value", "READER_FIELD_MISSING"));
    assert!(error.to_string().contains("incompatible"), "{error}");
}

#[tokio::test]
async fn a_refusal_is_believed_for_a_minute() {
    let (registry, calls) = fake(absent).await;
    for _ in 0..3 {
        assert!(matches!(registry.lookup(8).await, Err(RegistryError::UnknownSchema(8))));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let decoder = Decoder::<ConsumerControl>::new(5, registry.clone());
    assert!(matches!(decoder.decode(&[0, 0, 0, 0, 8, 1]), Err(DecodeError::UnknownSchema(8))));

    let Some(long_ago) = Instant::now().checked_sub(REFUSAL_TTL) else { return };
    registry.learnt().refused.insert(8, long_ago);
    assert!(registry.lookup(8).await.is_err());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_outage_is_no_refusal_and_ends() {
    // Numbered otherwise than the compiled-in one, so that the schema has to be asked for.
    let text = Topic::ConsumerControl.schema_text().unwrap();
    let router = Router::new().route("/schemas/ids/{id}", get(async move || Json(json!({ "schema": text }))));
    let (registry, at, server) = serve_at(([127, 0, 0, 1], 0).into(), router.clone()).await;
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());

    let error = registry.id_of(Topic::ConsumerControl, "c").await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
    let record = Encoder::new(70).encode(&control()).unwrap();
    let decoder = Decoder::<ConsumerControl>::new(5, registry.clone());
    let pending = decoder.decode(&record).unwrap_err();
    assert!(matches!(pending, DecodeError::SchemaPending(70)) && !pending.is_data_error());
    assert!(matches!(registry.lookup(70).await, Err(RegistryError::Unreachable { .. })));

    let (_, _, _server) = serve_at(at, router).await;
    assert_eq!(decode_in_time(&decoder, &record).await.unwrap(), control());
}

/// `ConsumerControl` of a build after this one: a field and a symbol more.
fn newer(_: u32) -> (StatusCode, Value) {
    let text = Topic::ConsumerControl.schema_text().unwrap();
    let text = text.replace(r#""UNKNOWN"],"#, r#""UNKNOWN", "REWIND"],"#);
    let last = r#""When the order was given." }"#;
    let field = format!(r#"{last}, {{ "name": "why", "type": ["null", "string"], "default": null }}"#);
    (StatusCode::OK, json!({ "schema": text.replace(last, &field) }))
}

#[tokio::test]
async fn a_newer_writer_is_understood_and_a_cut_off_record_is_not() {
    let (registry, calls) = fake(newer).await;
    let Value::String(text) = newer(0).1["schema"].clone() else { panic!("no text") };
    let schema = Schema::parse_str(&text).unwrap();
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
    let mut value = apache_avro::types::Record::new(&schema).unwrap();
    value.put("consumer", "sink");
    value.put("action", apache_avro::types::Value::Enum(4, "REWIND".into()));
    value.put("partitions", apache_avro::types::Value::Array(vec![1.into(), 5.into()]));
    value.put("until_offset", Some(7i64));
    value.put("why", Some("because"));
    value.put("issued_by", "operator");
    value.put("issued_at", apache_avro::types::Value::TimestampMicros(control().issued_at.0));
    let mut record = vec![0, 0, 0, 0, 9];
    writer.write_value(&mut record, value).unwrap();

    let decoder = Decoder::<ConsumerControl>::new(5, registry);
    let expected = ConsumerControl { action: ControlAction::Unknown, ..control() };
    assert_eq!(decode_in_time(&decoder, &record).await.unwrap(), expected);
    for cut in 0..record.len() {
        assert!(decoder.decode(&record[..cut]).unwrap_err().is_data_error(), "cut to {cut} bytes");
    }
    record.push(0);
    assert!(matches!(decoder.decode(&record), Err(DecodeError::Datum { id: 9, .. })));
    assert_eq!(calls.load(Ordering::Relaxed), 1, "a schema is asked for once");
}

#[tokio::test]
async fn a_schema_of_another_topic_is_a_data_error() {
    let record = Encoder::new(5).encode(&control()).unwrap();
    let decoder = Decoder::<PurchaseDecision>::new(1, Registry::builtin());
    assert!(matches!(decoder.decode(&record), Err(DecodeError::Datum { id: 5, .. })));
    assert!(matches!(decoder.decode(&[0, 0, 0, 0, 99]), Err(DecodeError::UnknownSchema(99))));
}

#[tokio::test]
async fn schemas_that_could_hurt_are_not_used() {
    let (registry, _) = fake(|id| {
        let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
        let twice = r#"{"type":"record","name":"P","fields":[
            {"name":"a","type":{"type":"enum","name":"E","symbols":["X"]}},{"name":"b","type":"E"}]}"#;
        let body = match id {
            1 => json!({ "schema": list }),
            2 => json!({ "schema": "message P {}", "schemaType": "PROTOBUF" }),
            3 => json!({ "schema": "{" }),
            4 => json!({ "schema": twice }),
            5 => json!({ "schema": "x".repeat(2 << 20) }),
            7 => return (StatusCode::NOT_FOUND, json!("no such page")),
            _ => return (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error_code": 50001, "message": "no leader" })),
        };
        (StatusCode::OK, body)
    })
    .await;
    for id in 1..=3 {
        assert!(matches!(registry.lookup(id).await, Err(RegistryError::UnknownSchema(_))), "{id}");
    }
    assert!(registry.lookup(4).await.is_ok());
    assert!(matches!(registry.lookup(5).await, Err(RegistryError::Unreachable { .. })));
    let Err(RegistryError::Answer { status: 500, message, .. }) = registry.lookup(6).await else { panic!("no error") };
    assert_eq!(message, "no leader");
    let strayed = registry.lookup(7).await;
    assert!(
        matches!(strayed, Err(RegistryError::Answer { status: 404, .. })),
        "not the registry's own word: {strayed:?}"
    );
}

#[test]
fn only_plain_http_addresses_are_taken() {
    for bad in ["", "registry:8081", "https://registry:8081", "http://registry:8081?a=b", "/x"] {
        assert!(matches!(Registry::connect(bad), Err(RegistryError::Address { .. })), "{bad:?}");
    }
}
