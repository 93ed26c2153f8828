//! `flashsale replay`: a topic, decoded, one JSON object a line.

use std::process::ExitCode;

use clap::Args;
use flashsale_ledger::Ledger;
use flashsale_platform::telemetry;
use flashsale_schemas::{
    DecodeError, Decoder, Event, Topic,
    events::{ConsumerControl, PurchaseDecision, Reconciliation, SaleEvent, SaleStatusRecord},
};
use flashsale_streaming::{Record, View, ViewConfig};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    parts,
    settings::{Settings, Sources},
    terminal::say,
};

/// Records between the reader and the printer.
const WAITING_MAX: usize = 1_000;
/// Looks for a schema that the registry was asked for, 50 ms apart.
const SCHEMA_TRIES: usize = 100;

/// Prints a topic from its first record on.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Which topic, such as purchase-decisions, sale-events or sale-status.
    #[arg(default_value = "purchase-decisions", value_parser = topic)]
    topic: Topic,
    /// Go on with what arrives later, until Ctrl-C.
    #[arg(long)]
    follow: bool,
    /// Stop after this many records.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Brokers to read from; by default those of the configuration.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
}

fn topic(name: &str) -> Result<Topic, String> {
    let short = |topic: Topic| topic.name().trim_start_matches("flashsale.").trim_end_matches(".v1");
    Topic::ALL
        .into_iter()
        .find(|topic| topic.name() == name || short(*topic) == name)
        .ok_or_else(|| format!("no such topic; there are {}", Topic::ALL.map(short).join(", ")))
}

type Decode = Box<dyn Fn(&[u8]) -> Value + Send>;

async fn decoder<T: Event>(ledger: &Ledger) -> anyhow::Result<Decode> {
    let decoder: Decoder<T> = ledger.decoder().await?;
    Ok(Box::new(move |payload| match decode_patiently(&decoder, payload) {
        Ok(event) => serde_json::to_value(&event).unwrap_or_else(|error| json!({ "unprintable": error.to_string() })),
        Err(error) => json!({ "unreadable": error.to_string(), "hex": hex(payload) }),
    }))
}

/// Decodes on the reader's thread, where waiting for the registry's answer holds nobody else up.
fn decode_patiently<T: Event>(decoder: &Decoder<T>, payload: &[u8]) -> Result<T, DecodeError> {
    for _ in 0..SCHEMA_TRIES {
        match decoder.decode(payload) {
            Err(error) if !error.is_data_error() => std::thread::sleep(std::time::Duration::from_millis(50)),
            decoded => return decoded,
        }
    }
    decoder.decode(payload)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Replay {
    /// Prints until the end, the limit or Ctrl-C.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let mut settings = Settings::load(sources, false)?;
        if let Some(brokers) = self.brokers {
            settings.brokers = brokers;
        }
        settings.require(&["brokers"])?;
        telemetry::init_logs("warn", settings.log_json);
        let ledger = parts::open_ledger(&settings).await?;
        let decode = match self.topic {
            Topic::PurchaseDecisions => decoder::<PurchaseDecision>(&ledger).await?,
            Topic::SaleEvents => decoder::<SaleEvent>(&ledger).await?,
            Topic::SaleStatus => decoder::<SaleStatusRecord>(&ledger).await?,
            Topic::Reconciliations => decoder::<Reconciliation>(&ledger).await?,
            Topic::ConsumerControl => decoder::<ConsumerControl>(&ledger).await?,
            Topic::PurchaseDecisionsDlq => Box::new(|payload: &[u8]| json!({ "hex": hex(payload) })),
        };
        let (lines, mut waiting) = mpsc::channel(WAITING_MAX);
        let config = ViewConfig { name: "replay".into(), topics: vec![ledger.topic(self.topic).to_owned()] };
        let runtime = tokio::runtime::Handle::current();
        let view = View::start(ledger.streaming(), config, move |record| {
            let _guard = runtime.enter();
            // The printer is gone when it has enough.
            drop(lines.blocking_send(line(&record, &decode)));
        })?;
        let mut printed = 0;
        while self.limit.is_none_or(|limit| printed < limit) {
            let line = tokio::select! {
                biased;
                Some(line) = waiting.recv() => line,
                () = view.caught_up(), if !self.follow => break,
                _ = tokio::signal::ctrl_c() => break,
            };
            say(line);
            printed += 1;
        }
        while let (false, Ok(line)) = (self.limit.is_some_and(|limit| printed >= limit), waiting.try_recv()) {
            say(line);
            printed += 1;
        }
        // The reader may be waiting for room that nobody makes any more.
        waiting.close();
        drop(waiting);
        tokio::task::spawn_blocking(move || drop(view)).await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn line(record: &Record, decode: &Decode) -> Value {
    let headers: serde_json::Map<String, Value> = record
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned().into()))
        .collect();
    let mut line = json!({
        "partition": record.position.partition.number,
        "offset": record.position.offset,
        "key": record.key.as_deref().map(String::from_utf8_lossy),
        "value": record.payload.as_deref().map(decode),
    });
    if !headers.is_empty() {
        line["headers"] = headers.into();
    }
    line
}
