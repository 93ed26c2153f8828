use std::sync::{Mutex, MutexGuard};

use axum::http::{HeaderName, HeaderValue};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use super::*;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Keeps what it gets, while its gate is open.
#[derive(Debug, Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<SpanData>>>,
    gate: Arc<Mutex<()>>,
}

impl Collector {
    fn spans(&self) -> MutexGuard<'_, Vec<SpanData>> {
        self.spans.lock().unwrap()
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let _open = self.gate.lock().unwrap();
        self.spans().extend(batch);
        Ok(())
    }
}

#[derive(Debug)]
struct Nobody;

impl SpanExporter for Nobody {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("nobody listens".into()))
    }
}

fn config(sample_ratio: f64, trust_traceparent: bool) -> Config {
    Config { sample_ratio, trust_traceparent, ..Config::default() }
}

fn headers(values: &[&'static str]) -> HeaderMap {
    let name = HeaderName::from_static(TRACEPARENT);
    values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn counted(recorder: &PrometheusRecorder, reason: &str) -> usize {
    let text = recorder.handle().render();
    let series = format!("flashsale_traces_dropped_total{{reason=\"{reason}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap_or_else(|| panic!("no {series}in {text}")).parse().unwrap()
}

#[tokio::test]
async fn off_is_nothing() {
    let off = Tracer::new(&Config::default(), "a").unwrap();
    assert!(!off.is_on() && !Tracer::off().is_on());
    assert!(off.request("request", &headers(&[CALLER])).is_none());
    let parent = TraceContext::parse(CALLER.as_bytes()).unwrap();
    off.record(Span::child(parent, "part", SpanKind::Internal, SystemTime::now()), SystemTime::now());
    off.shutdown().await;
}

#[test]
fn chance_decides_and_a_caller_only_when_trusted() {
    let tracer = |ratio, trust| Tracer::sending_to(Collector::default(), &config(ratio, trust));
    let of_caller = |span: &Span| span.context().trace.get() == 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;

    let (never, always) = (tracer(0.0, false), tracer(1.0, false));
    for _ in 0..1_000 {
        assert!(never.request("request", &headers(&[CALLER])).is_none());
        let span = always.request("request", &headers(&[CALLER])).unwrap();
        assert!(!of_caller(&span) && span.parent.is_none());
    }
    let half = tracer(0.5, false);
    let traced = (0..1_000).filter(|_| half.request("request", &HeaderMap::new()).is_some()).count();
    assert!((300..700).contains(&traced), "{traced} of 1,000");

    let trusting = tracer(0.0, true);
    let span = trusting.request("request", &headers(&[CALLER])).unwrap();
    assert!(of_caller(&span));
    assert_eq!(span.parent.unwrap().to_string(), CALLER);
    assert_ne!(span.context().to_string(), CALLER);
    let not_sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let untold: [&[&'static str]; 4] = [&[], &[not_sampled], &[CALLER, CALLER], &["x"]];
    for untold in untold {
        assert!(trusting.request("request", &headers(untold)).is_none(), "{untold:?}");
    }
}

#[tokio::test]
async fn spans_arrive_with_their_times_and_parents() {
    let collector = Collector::default();
    let tracer = Tracer::sending_to(collector.clone(), &config(1.0, false));
    let mut request = tracer.request("request", &HeaderMap::new()).unwrap();
    request.set("sku", "A".to_owned());
    request.set_count("size", 7);
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let part = Span::child(request.context(), "part", SpanKind::Producer, start);
    // What another process reads from a record.
    let told = TraceContext::parse(part.context().to_string().as_bytes()).unwrap();
    let mut elsewhere = Span::child(told, "elsewhere", SpanKind::Consumer, start);
    elsewhere.fail("late");
    let end = start + Duration::from_secs(5);
    for span in [request, part, elsewhere] {
        tracer.record(span, end);
    }
    tracer.shutdown().await;

    let spans = collector.spans();
    let [request, part, elsewhere] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*request.name, &*part.name, &*elsewhere.name), ("request", "part", "elsewhere"));
    assert_eq!(request.parent_span_id, SpanId::INVALID);
    assert_eq!((part.parent_span_id, part.parent_span_is_remote), (request.span_context.span_id(), false));
    assert_eq!((elsewhere.parent_span_id, elsewhere.parent_span_is_remote), (part.span_context.span_id(), true));
    for span in [part, elsewhere] {
        assert_eq!(span.span_context.trace_id(), request.span_context.trace_id());
        assert_eq!((span.start_time, span.end_time), (start, end));
    }
    assert_eq!(request.attributes, [KeyValue::new("sku", "A"), KeyValue::new("size", 7_i64)]);
    assert_eq!((&request.status, &part.span_kind), (&Status::Unset, &SpanKind::Producer));
    assert_eq!(elsewhere.status, Status::Error { description: "late".into() });
}

#[tokio::test]
async fn the_queue_is_bounded_and_what_it_drops_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let collector = Collector::default();
    let build = || Tracer::sending_to(collector.clone(), &config(1.0, false));
    let tracer = metrics::with_local_recorder(&recorder, build);
    let push = |spans: usize| {
        for _ in 0..spans {
            let span = tracer.request("request", &HeaderMap::new()).unwrap();
            tracer.record(span, SystemTime::now());
        }
    };
    {
        let _shut = collector.gate.lock().unwrap();
        push(6_000);
    }
    let dropped = counted(&recorder, "queue_full");
    // Besides those that wait the thread holds one message, at the gate.
    assert!((6_000 - 4_096 - 512..=6_000 - 4_096).contains(&dropped), "{dropped}");
    tracer.shutdown().await;
    assert_eq!(collector.spans().len() + dropped, 6_000, "every span is somewhere");
    assert_eq!(counted(&recorder, "unsent"), 0);
}

#[tokio::test]
async fn what_nobody_takes_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let tracer = metrics::with_local_recorder(&recorder, || Tracer::sending_to(Nobody, &config(1.0, false)));
    for _ in 0..3 {
        tracer.record(tracer.request("request", &HeaderMap::new()).unwrap(), SystemTime::now());
    }
    tracer.shutdown().await;
    assert_eq!(counted(&recorder, "unsent"), 3);
}

#[tokio::test]
async fn a_collector_that_is_away_holds_up_nothing() {
    // Nothing listens on port 1.
    let config = Config { otlp_endpoint: "http://127.0.0.1:1/".into(), ..config(1.0, false) };
    config.check().unwrap();
    let tracer = Tracer::new(&config, "a").unwrap();
    tracer.record(tracer.request("request", &HeaderMap::new()).unwrap(), SystemTime::now());
    let began = std::time::Instant::now();
    tracer.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn what_cannot_be_is_named() {
    let wrong = |endpoint: &str, sample_ratio: f64| {
        Config { otlp_endpoint: endpoint.into(), sample_ratio, ..Config::default() }.check().unwrap_err()
    };
    for ratio in [-0.1, 1.1, f64::NAN] {
        assert!(wrong("", ratio).contains("FLASHSALE_TRACING__SAMPLE_RATIO"));
    }
    assert!(wrong("https://collector", 0.5).contains("FLASHSALE_TRACING__OTLP_ENDPOINT"));
}
