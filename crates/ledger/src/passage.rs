//! One pass over the events of a topic.

use std::{ops::ControlFlow, time::Duration};

use flashsale_schemas::{DecodeError, Decoder, Event};
use flashsale_streaming::{ScanFrom, ScanOffsets, ScanProgress, ScanUntil, resolve, scan};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::Ledger;

/// Looks for a schema that the registry was asked for, this far apart.
const SCHEMA_LOOKS: u32 = 100;
const SCHEMA_PAUSE: Duration = Duration::from_millis(100);

/// Where an event stands in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// When it was written, in milliseconds since 1970; 0 when unknown.
    pub timestamp_ms: i64,
    /// Whether it was a dead letter and sent again: the record as it came first is in the log too, unless it expired.
    pub redriven: bool,
}

impl Ledger {
    /// Calls `each` with every event of `T`'s topic from `from` up to where it ends now; records without a value,
    /// and those whose key is not `wanted`, are left out. Runs on a thread of its own. Returns where the next pass would go on.
    ///
    /// # Errors
    /// When the brokers do not answer, or `stop` is cancelled.
    pub async fn pass<T: Event>(
        &self,
        decoder: Decoder<T>,
        from: ScanFrom,
        wanted: impl Fn(Option<&[u8]>) -> bool + Send + 'static,
        stop: &CancellationToken,
        mut progress: impl FnMut(ScanProgress) + Send + 'static,
        mut each: impl FnMut(Place, Result<T, DecodeError>) + Send + 'static,
    ) -> Result<ScanOffsets, flashsale_streaming::Error> {
        let (config, topic) = (self.streaming().clone(), self.topic(T::TOPIC).to_owned());
        let ranges = resolve(&config, &topic, &from, &ScanUntil::End).await?;
        let (stop, runtime) = (stop.clone(), Handle::current());
        let passing = tokio::task::spawn_blocking(move || {
            // The decoder looks unknown schemas up on this runtime.
            let _guard = runtime.enter();
            scan(&config, &topic, &ranges, &stop, &mut progress, &mut |record| {
                if let Some(payload) = record.payload.filter(|_| wanted(record.key)) {
                    let (partition, offset, timestamp_ms) = (record.partition, record.offset, record.timestamp_ms);
                    let redriven = record.is_redriven();
                    each(Place { partition, offset, timestamp_ms, redriven }, decode(&decoder, payload));
                }
                ControlFlow::Continue(())
            })
        });
        let stopped = |error| flashsale_streaming::Error::Stopped(format!("the pass ended early: {error}"));
        passing.await.map_err(stopped)?
    }
}

/// Decodes, and waits for a schema that is asked for, on a thread where that holds nobody up.
///
/// # Errors
/// When the bytes are no record of `T`'s topic, or its schema did not come.
pub fn decode<T: Event>(decoder: &Decoder<T>, payload: &[u8]) -> Result<T, DecodeError> {
    for _ in 0..SCHEMA_LOOKS {
        match decoder.decode(payload) {
            Err(error) if !error.is_data_error() => std::thread::sleep(SCHEMA_PAUSE),
            decoded => return decoded,
        }
    }
    decoder.decode(payload)
}
