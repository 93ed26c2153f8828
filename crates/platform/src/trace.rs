//! Traces: where the time of a few requests went, as OpenTelemetry spans for a collector.
//!
//! Chance decides at the beginning of a request whether it is traced. What belongs to a traced one carries its
//! [`TraceContext`], everything else carries none and costs nothing more. A span is told of when it is over, with the
//! times that were noted: none is kept open in the queues that a request passes.

mod context;
mod queue;

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::http::HeaderMap;
use opentelemetry::{
    InstrumentationScope, KeyValue, Value,
    trace::{SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter, SpanLinks},
};
use serde::{Deserialize, Serialize};

pub use context::TraceContext;
pub use opentelemetry::trace::SpanKind;
use queue::Queue;

/// Header of a request, and of a record, that carries a [`TraceContext`].
pub const TRACEPARENT: &str = "traceparent";

const SERVICE_NAME: &str = "flashsale";
/// How long the collector may take for one message.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long a stop waits for the last message.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Which requests are traced, and who is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A collector that takes OTLP over plain HTTP, such as `http://127.0.0.1:4318`. Empty: no traces.
    pub otlp_endpoint: String,
    /// The part of the requests that is traced, from 0 to 1.
    pub sample_ratio: f64,
    /// Whether a request is traced too, as part of its caller's trace, when its `traceparent` says so. Whoever may
    /// send that header can have everything traced.
    pub trust_traceparent: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { otlp_endpoint: String::new(), sample_ratio: 0.001, trust_traceparent: false }
    }
}

impl Config {
    /// An error that names what cannot be.
    pub fn check(&self) -> Result<(), String> {
        if !self.otlp_endpoint.is_empty() && !self.otlp_endpoint.starts_with("http://") {
            let message = "`tracing.otlp_endpoint` must be an address that begins with http://";
            return Err(format!("{message}; correct FLASHSALE_TRACING__OTLP_ENDPOINT"));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            let message = "`tracing.sample_ratio` must be from 0 to 1";
            return Err(format!("{message}; correct FLASHSALE_TRACING__SAMPLE_RATIO"));
        }
        Ok(())
    }
}

/// Why there is no way to the collector.
#[derive(Debug, thiserror::Error)]
#[error("build the exporter of traces")]
pub struct Error(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Begins and takes spans. A clone is the same.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<On>>);

#[derive(Debug)]
struct On {
    sample_ratio: f64,
    trust_traceparent: bool,
    scope: InstrumentationScope,
    queue: Queue,
}

impl Tracer {
    /// One that traces nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// One as `config` says. `instance` is the name of this process, if it has one.
    ///
    /// # Errors
    /// When the address of the collector is none. Whether somebody answers there is not asked.
    pub fn new(config: &Config, instance: &str) -> Result<Self, Error> {
        if config.otlp_endpoint.is_empty() {
            return Ok(Self::off());
        }
        // The SDK exports on a thread of its own, where an async client would panic for want of a runtime. Only the
        // blocking client is compiled in.
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", config.otlp_endpoint.trim_end_matches('/')))
            .with_timeout(ANSWER_MAX)
            .build();
        let mut exporter = exporter.map_err(|error| Error(error.into()))?;
        let mut resource = Resource::builder_empty().with_service_name(SERVICE_NAME);
        if !instance.is_empty() {
            resource = resource.with_attribute(KeyValue::new("service.instance.id", instance.to_owned()));
        }
        exporter.set_resource(&resource.build());
        Ok(Self::sending_to(exporter, config))
    }

    fn sending_to(exporter: impl SpanExporter + 'static, config: &Config) -> Self {
        Self(Some(Arc::new(On {
            sample_ratio: config.sample_ratio,
            trust_traceparent: config.trust_traceparent,
            scope: InstrumentationScope::builder(SERVICE_NAME).build(),
            queue: Queue::new(exporter),
        })))
    }

    /// Whether anything can be traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the span of a request; none when it is not traced.
    pub fn request(&self, name: &'static str, headers: &HeaderMap) -> Option<Span> {
        let on = self.0.as_deref()?;
        let caller = if on.trust_traceparent { caller(headers) } else { None };
        if caller.is_none() && rand::random::<f64>() >= on.sample_ratio {
            return None;
        }
        let context = caller.map_or_else(TraceContext::random, TraceContext::next);
        Some(Span::new(context, caller, name, SpanKind::Server, SystemTime::now()))
    }

    /// Takes a span that ended at `end`, to be sent soon. Never waits.
    pub fn record(&self, span: Span, end: SystemTime) {
        if let Some(on) = self.0.as_deref() {
            on.queue.push(span.ended(end, on.scope.clone()));
        }
    }

    /// Sends what waits, for at most two seconds. Nothing is sent after it.
    pub async fn shutdown(self) {
        let Some(on) = self.0 else { return };
        let closed = tokio::task::spawn_blocking(move || on.queue.close(FLUSH_MAX)).await;
        if !matches!(closed, Ok(true)) {
            tracing::warn!("the last traces did not reach their collector within {FLUSH_MAX:?}");
        }
    }
}

/// The sampled span that the caller's `traceparent` names.
fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let first = all.next()?;
    if all.next().is_some() {
        // Of two nobody knows which one is meant.
        return None;
    }
    TraceContext::parse(first.as_bytes())
}

/// A stretch of time in a traced request. Nothing is sent of one that is not recorded.
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    parent: Option<TraceContext>,
    name: &'static str,
    kind: SpanKind,
    start: SystemTime,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Span {
    fn new(
        context: TraceContext,
        parent: Option<TraceContext>,
        name: &'static str,
        kind: SpanKind,
        start: SystemTime,
    ) -> Self {
        Self { context, parent, name, kind, start, attributes: Vec::new(), status: Status::Unset }
    }

    /// A part of `parent`, which may be of another process, that began at `start`.
    pub fn child(parent: TraceContext, name: &'static str, kind: SpanKind, start: SystemTime) -> Self {
        Self::new(parent.next(), Some(parent), name, kind, start)
    }

    /// What parts of this span are told; as text, a `traceparent`.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Adds an attribute. No user id: collectors are not made to keep those.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(key, value));
    }

    /// Adds a number of things.
    pub fn set_count(&mut self, key: &'static str, count: usize) {
        self.set(key, i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Notes that it did not end well; `why` is one of a few words.
    pub fn fail(&mut self, why: &'static str) {
        self.set("error.type", why);
        self.status = Status::Error { description: Cow::Borrowed(why) };
    }

    fn ended(self, end: SystemTime, scope: InstrumentationScope) -> SpanData {
        let Self { context, parent, name, kind, start, attributes, status } = self;
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(context.trace.get()),
                SpanId::from(context.span.get()),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from(parent.span.get())),
            parent_span_is_remote: parent.is_some_and(|parent| parent.remote),
            span_kind: kind,
            name: Cow::Borrowed(name),
            start_time: start,
            end_time: end,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: scope,
        }
    }
}

#[cfg(test)]
#[path = "trace_tests.rs"]
mod tests;
