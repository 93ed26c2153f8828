//! The compiled-in schemas: their ids, and the read-only REST paths that serve them.

use std::sync::Arc;

use apache_avro::Schema;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{client::CONTENT_TYPE, subject};
use crate::Topic;

/// A schema as it was once released. Rows are only ever added: a log may hold records of each.
#[derive(Debug)]
struct Released {
    id: u32,
    topic: Topic,
    /// Its version within the topic, from 1.
    version: u32,
    text: &'static str,
}

macro_rules! released {
    ($id:literal, $topic:ident, $version:literal, $file:literal) => {
        Released {
            id: $id,
            topic: Topic::$topic,
            version: $version,
            text: include_str!(concat!("../../released/", $file, ".", $version, ".avsc")),
        }
    };
}

const RELEASED: [Released; 9] = [
    released!(1, PurchaseDecisions, 1, "purchase-decision.v1"),
    released!(2, SaleEvents, 1, "sale-event.v1"),
    released!(3, SaleStatus, 1, "sale-status.v1"),
    released!(4, Reconciliations, 1, "reconciliation.v1"),
    released!(5, ConsumerControl, 1, "consumer-control.v1"),
    released!(6, OperatorActs, 1, "operator-act.v1"),
    released!(7, ConsumerPositions, 1, "consumer-positions.v1"),
    released!(8, SaleEvents, 2, "sale-event.v1"),
    released!(9, SaleStatus, 2, "sale-status.v1"),
];

/// The id of the newest schema of `topic`.
pub(super) fn id_of(topic: Topic) -> Option<u32> {
    RELEASED.iter().rev().find(|schema| schema.topic == topic).map(|schema| schema.id)
}

/// Every schema with its id.
pub(super) fn schemas() -> impl Iterator<Item = (u32, Arc<Schema>)> {
    RELEASED
        .iter()
        .map(|schema| (schema.id, Arc::new(Schema::parse_str(schema.text).expect("a compiled-in schema is valid"))))
}

/// Confluent's registry API over the compiled-in schemas, for standard clients of the local stack.
/// Read-only: registering works for what is there already. Topics are called `<topic_prefix><name>`.
pub fn router(topic_prefix: &str) -> Router {
    Router::new()
        .route("/schemas/types", get(async || Json(json!(["AVRO"]))))
        .route("/schemas/ids/{id}", get(schema_by_id))
        .route("/schemas/ids/{id}/versions", get(versions_of_id))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(find))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_text))
        .route("/config", get(async || compatibility()))
        .route("/config/{subject}", get(subject_config))
        .route("/mode", get(async || Json(json!({ "mode": "READONLY" }))))
        .layer(map_response(async |mut response: Response| {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
            response
        }))
        .with_state(Prefix(topic_prefix.into()))
}

/// An error in Confluent's form.
#[derive(Debug)]
struct Problem(StatusCode, u32, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(status, code, message) = self;
        (status, Json(json!({ "error_code": code, "message": message }))).into_response()
    }
}

type Answer = Result<Json<Value>, Problem>;

fn not_found(code: u32, what: String) -> Problem {
    Problem(StatusCode::NOT_FOUND, code, format!("{what} not found."))
}

/// What the topics' names start with.
#[derive(Debug, Clone)]
struct Prefix(Arc<str>);

impl Prefix {
    fn subject(&self, topic: Topic) -> String {
        subject(&format!("{}{topic}", self.0))
    }

    /// The released schemas of `subject`, oldest first; never empty.
    fn released(&self, subject: &str) -> Result<Vec<&'static Released>, Problem> {
        let schemas: Vec<_> = RELEASED.iter().filter(|schema| self.subject(schema.topic) == subject).collect();
        if schemas.is_empty() { Err(not_found(40401, format!("Subject '{subject}'"))) } else { Ok(schemas) }
    }

    fn version(&self, subject: &str, version: &str) -> Result<&'static Released, Problem> {
        let schemas = self.released(subject)?;
        let found = match version {
            "latest" | "-1" => schemas.last().copied(),
            number => {
                let number: u32 = number.parse().map_err(|_| {
                    let message = format!("The specified version '{number}' is not a valid version id.");
                    Problem(StatusCode::UNPROCESSABLE_ENTITY, 42202, message)
                })?;
                schemas.into_iter().find(|schema| schema.version == number)
            }
        };
        found.ok_or_else(|| not_found(40402, format!("Version {version}")))
    }

    /// The released schema of `subject` that `body` offers.
    fn offered(&self, subject: &str, body: &str) -> Result<Option<&'static Released>, Problem> {
        #[derive(Deserialize)]
        struct Offer {
            schema: String,
        }
        let schemas = self.released(subject)?;
        let offered = serde_json::from_str(body).and_then(|offer: Offer| serde_json::from_str::<Value>(&offer.schema));
        let offered = offered
            .map_err(|error| Problem(StatusCode::UNPROCESSABLE_ENTITY, 42201, format!("Invalid schema: {error}")))?;
        let same = |schema: &&Released| serde_json::from_str::<Value>(schema.text).is_ok_and(|ours| ours == offered);
        Ok(schemas.into_iter().find(same))
    }
}

fn by_id(id: u32) -> Result<&'static Released, Problem> {
    RELEASED.iter().find(|schema| schema.id == id).ok_or_else(|| not_found(40403, format!("Schema {id}")))
}

fn described(subject: &str, schema: &Released) -> Json<Value> {
    Json(json!({ "subject": subject, "version": schema.version, "id": schema.id, "schema": schema.text }))
}

fn compatibility() -> Json<Value> {
    Json(json!({ "compatibilityLevel": "FULL_TRANSITIVE" }))
}

async fn schema_by_id(Path(id): Path<u32>) -> Answer {
    Ok(Json(json!({ "schema": by_id(id)?.text })))
}

async fn versions_of_id(State(prefix): State<Prefix>, Path(id): Path<u32>) -> Answer {
    let schema = by_id(id)?;
    Ok(Json(json!([{ "subject": prefix.subject(schema.topic), "version": schema.version }])))
}

async fn subjects(State(prefix): State<Prefix>) -> Json<Value> {
    let with_schema = Topic::ALL.into_iter().filter(|topic| topic.schema_text().is_some());
    Json(with_schema.map(|topic| prefix.subject(topic)).collect())
}

async fn versions(State(prefix): State<Prefix>, Path(subject): Path<String>) -> Answer {
    Ok(Json(prefix.released(&subject)?.into_iter().map(|schema| schema.version).collect()))
}

async fn version(State(prefix): State<Prefix>, Path((subject, version)): Path<(String, String)>) -> Answer {
    Ok(described(&subject, prefix.version(&subject, &version)?))
}

async fn version_text(
    State(prefix): State<Prefix>,
    Path((subject, version)): Path<(String, String)>,
) -> Result<&'static str, Problem> {
    Ok(prefix.version(&subject, &version)?.text)
}

async fn find(State(prefix): State<Prefix>, Path(subject): Path<String>, body: String) -> Answer {
    let schema = prefix.offered(&subject, &body)?.ok_or_else(|| not_found(40403, "Schema".to_owned()))?;
    Ok(described(&subject, schema))
}

async fn register(State(prefix): State<Prefix>, Path(subject): Path<String>, body: String) -> Answer {
    let schema = prefix.offered(&subject, &body)?.ok_or_else(|| {
        let message = format!("Subject '{subject}' is read-only: its schemas are compiled in.");
        Problem(StatusCode::UNPROCESSABLE_ENTITY, 42205, message)
    })?;
    Ok(Json(json!({ "id": schema.id })))
}

async fn subject_config(State(prefix): State<Prefix>, Path(subject): Path<String>) -> Answer {
    prefix.released(&subject).map(|_| compatibility())
}

#[cfg(test)]
mod tests {
    use apache_avro::schema_compatibility::SchemaCompatibility;

    use super::*;

    const CHANGED: &str = "copy avro/<name>.avsc to released/<name>.<next version>.avsc and add its row to RELEASED";

    #[test]
    fn what_is_in_avro_has_been_released() {
        for topic in Topic::ALL {
            let newest = RELEASED.iter().rev().find(|schema| schema.topic == topic);
            assert_eq!(newest.map(|schema| schema.text), topic.schema_text(), "{topic}: {CHANGED}");
        }
        for (row, id) in RELEASED.iter().zip(1..) {
            let older = RELEASED.iter().filter(|other| other.topic == row.topic && other.id < row.id).count();
            assert_eq!((row.id, row.version as usize), (id, older + 1), "ids and versions are dense");
        }
    }

    /// FULL_TRANSITIVE: any two versions read each other's records.
    #[test]
    fn every_version_reads_every_other() {
        for one in &RELEASED {
            for other in RELEASED.iter().filter(|other| other.topic == one.topic) {
                let [one, other] = [one, other].map(|schema| Schema::parse_str(schema.text).unwrap());
                SchemaCompatibility::mutual_read(&one, &other).unwrap();
            }
        }
    }

    #[test]
    fn an_incompatible_change_is_noticed() {
        let ours = Topic::PurchaseDecisions.schema().unwrap();
        let text = Topic::PurchaseDecisions.schema_text().unwrap();
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            let theirs = Schema::parse_str(&text.replacen(from, to, 1)).unwrap();
            SchemaCompatibility::mutual_read(ours, &theirs)
        };
        let field = r#"{ "name": "ingest_id","#;
        let new = |rest: &str| format!(r#"{{ "name": "region", "type": "string"{rest} }}, {field}"#);
        changed(field, &new(r#", "default": """#)).unwrap();
        changed(r#""SOLD_OUT","#, r#""SOLD_OUT", "QUEUED","#).unwrap();
        changed(field, &new("")).unwrap_err();
        changed(field, r#"{ "name": "instance","#).unwrap_err();
        changed(r#""name": "sku", "type": "string""#, r#""name": "sku", "type": "long""#).unwrap_err();
    }
}
