//! Records on the screen.

use std::{ops::ControlFlow, process::ExitCode, sync::Arc, time::Duration};

use flashsale_ledger::{JsonDecoder, Ledger, hex};
use flashsale_schemas::Topic;
use flashsale_streaming::{Record, ScanFrom, ScanRanges, ScanUntil, resolve, scan};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Replay;
use crate::terminal::say;

/// Between two looks for what arrived.
const LOOK_EVERY: Duration = Duration::from_millis(300);

impl Replay {
    pub(super) async fn print(
        self,
        ledger: &Ledger,
        mut ranges: ScanRanges,
        stop: CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        let name: Arc<str> = ledger.topic(self.topic).into();
        let decoder = Arc::new(ledger.json_decoder(self.topic).await?);
        let is_letter = self.topic == Topic::PurchaseDecisionsDlq;
        let mut left = self.limit.unwrap_or(u64::MAX);
        loop {
            let (config, topic, decoder, sku) =
                (ledger.streaming().clone(), name.clone(), decoder.clone(), self.sku.clone());
            let (stopped, stretch) = (stop.clone(), ranges.clone());
            let printing = tokio::task::spawn_blocking(move || {
                let reached = scan(&config, &topic, &stretch, &stopped, &mut |_| (), &mut |record| {
                    if left == 0 {
                        return ControlFlow::Break(());
                    }
                    let line = line(&record.to_record(&topic), (!is_letter).then_some(&*decoder));
                    if sku.as_ref().is_none_or(|sku| line["value"]["sku"].as_str() == Some(sku.as_str())) {
                        say(line);
                        left -= 1;
                    }
                    if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                (reached, left)
            });
            let (reached, still) = printing.await?;
            if stop.is_cancelled() {
                return Ok(ExitCode::SUCCESS);
            }
            left = still;
            let reached = reached?;
            if !self.follow || left == 0 {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            ranges = resolve(ledger.streaming(), &name, &ScanFrom::Offsets(reached), &ScanUntil::End).await?;
        }
    }
}

fn line(record: &Record, decoder: Option<&JsonDecoder>) -> Value {
    let value = record.payload.as_deref().map(|payload| match decoder.map(|decoder| decoder.decode(payload)) {
        None => json!({ "hex": hex(payload) }),
        Some(Ok(value)) => value,
        Some(Err(error)) => json!({ "unreadable": error.to_string(), "hex": hex(payload) }),
    });
    let mut line = json!({
        "partition": record.position.partition.number,
        "offset": record.position.offset,
        "timestamp": record.timestamp_ms,
        "key": record.key.as_deref().map(String::from_utf8_lossy),
        "value": value,
    });
    if !record.headers.is_empty() {
        let header =
            |(name, value): &(String, Vec<u8>)| (name.clone(), String::from_utf8_lossy(value).into_owned().into());
        line["headers"] = record.headers.iter().map(header).collect::<serde_json::Map<String, Value>>().into();
    }
    line
}
