//! Spans on their way to the collector: a bounded queue in front of a thread of the SDK.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, counter, describe_counter};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor},
};

const DROPPED: &str = "flashsale_traces_dropped_total";

/// Most spans that wait for the collector.
const WAITING_MAX: usize = 4_096;
/// Most spans of one message.
const BATCH_MAX: usize = 512;
/// How long a span waits for others to be sent along.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Queue {
    processor: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl Queue {
    pub(super) fn new<E: SpanExporter + 'static>(exporter: E) -> Self {
        describe_counter!(DROPPED, "Spans that no collector got: queue_full, unsent");
        let tally = Arc::new(Tally {
            waiting: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            queue_full: counter!(DROPPED, "reason" => "queue_full"),
            unsent: counter!(DROPPED, "reason" => "unsent"),
        });
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(LINGER)
            .build();
        let exporter = Tallied { exporter, tally: tally.clone() };
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        Self { processor, tally }
    }

    /// Takes a span, or drops it when too many wait. Never waits.
    pub(super) fn push(&self, span: SpanData) {
        // The SDK would drop it too, but keeps the number to itself until its end.
        if self.tally.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
            self.tally.queue_full.increment(1);
            return;
        }
        self.processor.on_end(span);
    }

    /// Sends what waits and ends the thread; blocks. False when that was not done in time.
    pub(super) fn close(&self, within: Duration) -> bool {
        self.processor.shutdown_with_timeout(within).is_ok()
    }
}

#[derive(Debug)]
struct Tally {
    waiting: AtomicUsize,
    failing: AtomicBool,
    queue_full: Counter,
    unsent: Counter,
}

impl Tally {
    fn sent(&self, spans: usize, result: &OTelSdkResult) {
        match result {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("the collector of traces answers again");
                }
            }
            Err(error) => {
                self.unsent.increment(spans as u64);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "no answer from the collector of traces; they are dropped until it answers");
                }
            }
        }
    }
}

/// An exporter of which it is known what it took and how that went.
#[derive(Debug)]
struct Tallied<E> {
    exporter: E,
    tally: Arc<Tally>,
}

impl<E: SpanExporter> SpanExporter for Tallied<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.tally.waiting.fetch_sub(spans, Ordering::Relaxed);
        let result = self.exporter.export(batch).await;
        self.tally.sent(spans, &result);
        result
    }
}
