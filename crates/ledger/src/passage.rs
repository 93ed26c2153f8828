//! One pass over the events of a topic.

use std::{borrow::Cow, ops::ControlFlow, time::Duration};

use flashsale_schemas::{DecodeError, Decoder, Event, Topic, events::PurchaseDecision};
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

/// A decision as it lies in its record.
pub type BorrowedDecision<'a> = PurchaseDecision<Cow<'a, str>>;

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
        progress: impl FnMut(ScanProgress) + Send + 'static,
        mut each: impl FnMut(Place, Result<T, DecodeError>) + Send + 'static,
    ) -> Result<ScanOffsets, flashsale_streaming::Error> {
        let each = move |place, payload: &[u8]| each(place, decode(&decoder, payload));
        self.pass_over(T::TOPIC, from, wanted, stop, progress, each).await
    }

    /// As [`Ledger::pass`] over the decisions, without a copy of their texts.
    ///
    /// # Errors
    /// As there.
    pub async fn pass_decisions(
        &self,
        decoder: Decoder<PurchaseDecision>,
        from: ScanFrom,
        wanted: impl Fn(Option<&[u8]>) -> bool + Send + 'static,
        stop: &CancellationToken,
        progress: impl FnMut(ScanProgress) + Send + 'static,
        mut each: impl FnMut(Place, Result<BorrowedDecision<'_>, DecodeError>) + Send + 'static,
    ) -> Result<ScanOffsets, flashsale_streaming::Error> {
        let each = move |place, payload: &[u8]| each(place, decode_borrowed(&decoder, payload));
        self.pass_over(PurchaseDecision::<String>::TOPIC, from, wanted, stop, progress, each).await
    }

    async fn pass_over(
        &self,
        topic: Topic,
        from: ScanFrom,
        wanted: impl Fn(Option<&[u8]>) -> bool + Send + 'static,
        stop: &CancellationToken,
        mut progress: impl FnMut(ScanProgress) + Send + 'static,
        mut each: impl FnMut(Place, &[u8]) + Send + 'static,
    ) -> Result<ScanOffsets, flashsale_streaming::Error> {
        let (config, topic) = (self.streaming().clone(), self.topic(topic).to_owned());
        let ranges = resolve(&config, &topic, &from, &ScanUntil::End).await?;
        let (stop, runtime) = (stop.clone(), Handle::current());
        let passing = tokio::task::spawn_blocking(move || {
            // The decoder looks unknown schemas up on this runtime.
            let _guard = runtime.enter();
            scan(&config, &topic, &ranges, &stop, &mut progress, &mut |record| {
                if let Some(payload) = record.payload.filter(|_| wanted(record.key)) {
                    let (partition, offset, timestamp_ms) = (record.partition, record.offset, record.timestamp_ms);
                    let redriven = record.is_redriven();
                    each(Place { partition, offset, timestamp_ms, redriven }, payload);
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
    once_the_schema_is_known(|| decoder.decode(payload))
}

/// As [`decode`], with the texts of the decision left where they are in `payload`.
///
/// # Errors
/// As there.
pub fn decode_borrowed<'a>(
    decoder: &Decoder<PurchaseDecision>,
    payload: &'a [u8],
) -> Result<BorrowedDecision<'a>, DecodeError> {
    once_the_schema_is_known(|| decoder.decode_borrowed(payload))
}

fn once_the_schema_is_known<T>(decode: impl Fn() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    for _ in 0..SCHEMA_LOOKS {
        match decode() {
            Err(error) if !error.is_data_error() => std::thread::sleep(SCHEMA_PAUSE),
            decoded => return decoded,
        }
    }
    decode()
}
