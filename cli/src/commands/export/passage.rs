//! From the log into the files: one thread reads and decodes, another writes.

use std::{
    collections::BTreeMap,
    mem,
    ops::{ControlFlow, Range},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use anyhow::Context;
use flashsale_export::{Manifest, Row, Writer};
use flashsale_schemas::DecodeError;
use flashsale_streaming::{Config, ScanRanges, scan};
use tokio::{
    runtime::Handle,
    task::{JoinError, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

use super::decoding::Decoding;
use crate::commands::stores::Bar;

/// Rows that change threads at once.
const BATCH_ROWS: usize = 1_000;
/// Batches between the threads.
const BATCHES_MAX: usize = 8;

/// What goes from the reader to the writer.
enum Message {
    Rows(Vec<Row>),
    /// No more come of this partition.
    Done(i32),
}

/// What is read, and how.
pub(super) struct Passage {
    pub(super) config: Config,
    pub(super) topic: String,
    pub(super) decoding: Decoding,
    pub(super) stop: CancellationToken,
    pub(super) bar: Bar,
}

impl Passage {
    /// Reads `stretches` into `writer`. Answers nothing when it was stopped on the way.
    pub(super) async fn run(
        self,
        stretches: BTreeMap<i32, Range<i64>>,
        writer: Writer,
    ) -> anyhow::Result<Option<Manifest>> {
        let stop = self.stop.clone();
        let (messages, waiting) = sync_channel(BATCHES_MAX);
        let writing = spawn_blocking(move || write(writer, &waiting));
        let runtime = Handle::current();
        let reading = spawn_blocking(move || {
            // The decoder looks unknown schemas up on this runtime.
            let _guard = runtime.enter();
            self.read(stretches, &messages)
        });
        let read = reading.await;
        // When both fail the writer is the cause: the reader then finds nobody who takes its rows.
        let writer = ended(writing.await)??;
        match ended(read)? {
            Err(_) if stop.is_cancelled() => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Some(ended(spawn_blocking(move || writer.finish()).await)??)),
        }
    }

    /// Sends every record, one partition after the other.
    fn read(&self, stretches: BTreeMap<i32, Range<i64>>, messages: &SyncSender<Message>) -> anyhow::Result<()> {
        let length = |range: &Range<i64>| u64::try_from(range.end - range.start).unwrap_or(0);
        let total: u64 = stretches.values().map(length).sum();
        let mut before = 0;
        for (partition, range) in stretches {
            let this = length(&range);
            let mut batch = Vec::with_capacity(BATCH_ROWS);
            let mut pending: Option<DecodeError> = None;
            let ranges = ScanRanges::from([(partition, range)]);
            let mut progress = |progress: flashsale_streaming::ScanProgress| {
                self.bar.set("exporting", before + progress.done, total);
            };
            scan(&self.config, &self.topic, &ranges, &self.stop, &mut progress, &mut |record| {
                match self.decoding.row(&record) {
                    Ok(row) => batch.push(row),
                    Err(error) => {
                        pending = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                if batch.len() < BATCH_ROWS {
                    return ControlFlow::Continue(());
                }
                let full = mem::replace(&mut batch, Vec::with_capacity(BATCH_ROWS));
                if messages.send(Message::Rows(full)).is_ok() {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            if let Some(error) = pending {
                return Err(error).context("the schema registry does not answer; --resume goes on when it does");
            }
            let sent = messages.send(Message::Rows(batch)).and_then(|()| messages.send(Message::Done(partition)));
            if sent.is_err() {
                return Ok(());
            }
            before += this;
        }
        Ok(())
    }
}

/// Writes what comes until nothing does.
fn write(mut writer: Writer, waiting: &Receiver<Message>) -> Result<Writer, flashsale_export::Error> {
    for message in waiting {
        match message {
            Message::Rows(rows) => {
                for row in rows {
                    writer.push(row)?;
                }
            }
            Message::Done(partition) => writer.partition_done(partition)?,
        }
    }
    Ok(writer)
}

fn ended<T>(thread: Result<T, JoinError>) -> anyhow::Result<T> {
    thread.context("a thread of the export")
}
