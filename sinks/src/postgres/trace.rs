//! What a trace shows of a decision in Postgres: the transaction that wrote it.

use std::time::SystemTime;

use flashsale_platform::{
    Tracer,
    trace::{Span, SpanKind, TRACEPARENT, TraceContext},
};
use flashsale_sql::Decided;
use flashsale_streaming::{Batch, Record, redriven_from};

use super::sink::micros;

/// Shows the transaction that began at `start` and is committed now, in the trace of each decision that it wrote.
pub(super) fn committed(tracer: &Tracer, batch: &Batch<Decided>, start: SystemTime) {
    if !tracer.is_on() {
        return;
    }
    let end = SystemTime::now();
    for entry in &batch.entries {
        let Some(published) = published(&entry.record) else { continue };
        let mut span = Span::child(published, "postgres transaction", SpanKind::Consumer, start);
        span.set_count("flashsale.batch.rows", batch.entries.len());
        let position = &entry.record.position;
        span.set("messaging.kafka.partition", i64::from(position.partition.number));
        span.set("messaging.kafka.offset", position.offset);
        span.set("flashsale.lag", micros(end).since(entry.item.decided_at()).as_secs_f64());
        tracer.record(span, end);
    }
}

/// The way of a record to the log, if it is traced. One that was a dead letter came another way, much later.
fn published(record: &Record) -> Option<TraceContext> {
    let (_, text) = record.headers.iter().find(|(name, _)| name == TRACEPARENT)?;
    let published = TraceContext::parse(text)?;
    redriven_from(record).is_none().then_some(published)
}

#[cfg(test)]
mod tests {
    use flashsale_streaming::{Partition, Position};

    use super::*;

    fn record(headers: &[(&str, &str)]) -> Record {
        Record {
            position: Position { partition: Partition { topic: "t".into(), number: 0 }, offset: 0 },
            key: None,
            payload: None,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect(),
            timestamp_ms: 0,
        }
    }

    #[test]
    fn only_a_traced_record_that_comes_for_the_first_time_leads_to_its_trace() {
        let traced = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let again = [("dlq.origin", "t[0]@1"), ("dlq.redriven_at_ms", "1"), traced];
        assert_eq!(published(&record(&[traced])).map(|span| span.to_string()).as_deref(), Some(traced.1));
        let untraced: [&[(&str, &str)]; 4] = [&[], &[("traceparent", "00-drill")], &[("other", traced.1)], &again];
        for headers in untraced {
            assert_eq!(published(&record(headers)), None, "{headers:?}");
        }
    }
}
