//! What a trace shows of a purchase: the request, the call that decided it, its record on the way to the log.
//!
//! The record carries the span of its way, so that whoever reads it can go on with the trace. One that a relay
//! publishes, because its ingest died or the log was late, carries none: nobody knows any more what request it was.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::http::{HeaderMap, StatusCode};
use flashsale_core::Sku;
use flashsale_platform::{
    Tracer,
    trace::{Span, SpanKind, TRACEPARENT, TraceContext},
};
use flashsale_streaming::{Delivery, Header};

use crate::{batcher::Job, service::Shared};

/// A request while it is answered, traced or not. When its client hangs up its span ends too.
#[derive(Debug)]
pub(crate) struct Request(Option<(Tracer, Span)>);

impl Request {
    pub(crate) fn begin(tracer: &Tracer, headers: &HeaderMap) -> Self {
        let Some(mut span) = tracer.request("POST /api/v1/purchases", headers) else { return Self(None) };
        span.set("http.request.method", "POST");
        Self(Some((tracer.clone(), span)))
    }

    /// What the parts of the request are told; none when it is not traced.
    pub(crate) fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|(_, span)| span.context())
    }

    pub(crate) fn about(&mut self, sku: &Sku) {
        if let Some((_, span)) = &mut self.0 {
            span.set("flashsale.sku", sku.to_string());
        }
    }

    pub(crate) fn answered(mut self, outcome: &'static str, status: StatusCode) {
        let Some((tracer, mut span)) = self.0.take() else { return };
        span.set("flashsale.outcome", outcome);
        span.set("http.response.status_code", i64::from(status.as_u16()));
        match status {
            StatusCode::SERVICE_UNAVAILABLE => span.fail("unavailable"),
            status if status.is_server_error() => span.fail("internal"),
            _ => {}
        }
        tracer.record(span, SystemTime::now());
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some((tracer, mut span)) = self.0.take() {
            span.fail("abandoned");
            tracer.record(span, SystemTime::now());
        }
    }
}

/// Shows the call that has just decided `jobs`, in `took`, in each of their traces.
pub(crate) fn decided(tracer: &Tracer, jobs: &[Job], took: Duration) {
    let mut times = None;
    for request in jobs.iter().filter_map(|job| job.trace) {
        let (start, end) = *times.get_or_insert_with(|| {
            let end = SystemTime::now();
            (end.checked_sub(took).unwrap_or(end), end)
        });
        let mut span = Span::child(request, "decide", SpanKind::Client, start);
        span.set_count("flashsale.batch.size", jobs.len());
        tracer.record(span, end);
    }
}

/// Begins the way of a record to the log, and the header that leads from the record to its trace.
pub(crate) fn publish(request: TraceContext) -> (Span, Header) {
    let span = Span::child(request, "publish", SpanKind::Producer, SystemTime::now());
    let header = (TRACEPARENT.to_owned(), span.context().to_string().into_bytes());
    (span, header)
}

/// Ends the way of a record when the log has acknowledged it, or will not.
pub(crate) fn until_delivered(shared: &Shared, mut span: Span, delivery: Arc<Delivery>) {
    let tracer = shared.tracer.clone();
    shared.tasks.spawn(async move {
        if delivery.wait().await.is_err() {
            span.fail("not_delivered");
        }
        tracer.record(span, SystemTime::now());
    });
}
