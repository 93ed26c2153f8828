//! The few calls of Confluent's registry API that we need.

use std::time::Duration;

use apache_avro::Schema;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, header, http::uri::Scheme};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::RegistryError;

/// From the first byte sent to the last byte received.
const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 1 << 20;
pub(super) const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

#[derive(Debug)]
pub(super) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    /// Without a slash at the end.
    base: String,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    schema: String,
    /// Absent for Avro.
    schema_type: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "error_code")]
    code: u32,
    message: String,
}

/// Said by the registry itself, where a bare 404 may come from anything on the way to it.
const SCHEMA_NOT_FOUND: u32 = 40403;

impl Client {
    pub(super) fn new(url: &str) -> Result<Self, RegistryError> {
        // A password may stand in front of the host; it has no business in a log.
        let shown = url.rsplit('@').next().unwrap_or_default().to_owned();
        let bad = |problem: String| RegistryError::Address { url: shown.clone(), problem };
        let uri: Uri = url.parse().map_err(|error| bad(format!("{error}")))?;
        if uri.scheme() != Some(&Scheme::HTTP) || uri.query().is_some() {
            return Err(bad("it must look like http://host:port".to_owned()));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        let http = HttpClient::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, base: url.trim_end_matches('/').to_owned() })
    }

    /// Registers `schema` under `subject`, or finds it there; either way its id.
    pub(super) async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let body = json!({ "schema": schema, "schemaType": "AVRO" }).to_string();
        let path = format!("/subjects/{subject}/versions");
        match self.call::<Registered>(Method::POST, &path, body).await {
            Ok(registered) => Ok(registered.id),
            Err(RegistryError::Answer { status: 409, message, .. }) => {
                Err(RegistryError::Incompatible { subject: subject.to_owned(), message })
            }
            Err(error) => Err(error),
        }
    }

    /// Schema `id`; [`RegistryError::UnknownSchema`] also for one that no decoder of ours may use.
    pub(super) async fn schema_by_id(&self, id: u32) -> Result<Schema, RegistryError> {
        let found = match self.call::<Found>(Method::GET, &format!("/schemas/ids/{id}"), String::new()).await {
            Err(RegistryError::Answer { code: SCHEMA_NOT_FOUND, .. }) => return Err(RegistryError::UnknownSchema(id)),
            found => found?,
        };
        if found.schema_type.is_some_and(|kind| kind != "AVRO") {
            return Err(RegistryError::UnknownSchema(id));
        }
        match Schema::parse_str(&found.schema) {
            Ok(schema) if !is_recursive(&schema) => Ok(schema),
            _ => Err(RegistryError::UnknownSchema(id)),
        }
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: String) -> Result<T, RegistryError> {
        let unreachable = |source| RegistryError::Unreachable { path: path.to_owned(), source };
        let (status, bytes) = tokio::time::timeout(TIMEOUT, self.exchange(method, path, body))
            .await
            .map_err(|elapsed| unreachable(elapsed.into()))?
            .map_err(unreachable)?;
        let answer =
            |code, message| RegistryError::Answer { path: path.to_owned(), status: status.as_u16(), code, message };
        if !status.is_success() {
            return Err(match serde_json::from_slice(&bytes) {
                Ok(Problem { code, message }) => answer(code, message),
                Err(_) => answer(0, String::from_utf8_lossy(&bytes).chars().take(200).collect()),
            });
        }
        serde_json::from_slice(&bytes).map_err(|error| answer(0, format!("what it says cannot be read: {error}")))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::ACCEPT, CONTENT_TYPE)
            .header(header::CONTENT_TYPE, CONTENT_TYPE)
            .body(Full::from(body))?;
        let response = self.http.request(request).await?;
        let status = response.status();
        Ok((status, Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes()))
    }
}

/// Whether values of `schema` nest as deep as their bytes please: reading one could overflow the
/// stack, and no event of ours is such.
fn is_recursive(schema: &Schema) -> bool {
    fn walk<'a>(schema: &'a Schema, open: &mut Vec<&'a apache_avro::schema::Name>) -> bool {
        match schema {
            Schema::Ref { name } => open.contains(&name),
            Schema::Array(array) => walk(&array.items, open),
            Schema::Map(map) => walk(&map.types, open),
            Schema::Union(union) => union.variants().iter().any(|variant| walk(variant, open)),
            Schema::Record(record) => {
                open.push(&record.name);
                let recursive = record.fields.iter().any(|field| walk(&field.schema, open));
                open.pop();
                recursive
            }
            _ => false,
        }
    }
    walk(schema, &mut Vec::new())
}
