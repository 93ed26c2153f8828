//! From the log into the files: one thread reads, another decodes and writes.

use std::{
    collections::BTreeMap,
    mem,
    ops::{ControlFlow, Range},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use anyhow::Context;
use flashsale_export::{Manifest, Writer};
use flashsale_schemas::DecodeError;
use flashsale_streaming::{Config, ScanRanges, scan};
use tokio::{
    runtime::Handle,
    task::{JoinError, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

use super::{chunk::Chunk, decoding::Decoding};
use crate::commands::stores::Bar;

/// Chunks between the threads, 8 MiB: as much as is read while a group of rows is written.
const CHUNKS_MAX: usize = 32;

/// What goes from the reader to the writer.
enum Message {
    Records(Chunk),
    /// No more come of this partition.
    Done(i32),
}

/// What is read, and how.
pub(super) struct Passage {
    pub(super) config: Config,
    pub(super) topic: String,
    pub(super) stop: CancellationToken,
    pub(super) bar: Bar,
}

impl Passage {
    /// Reads `stretches` into `writer`. Answers nothing when it was stopped on the way.
    pub(super) async fn run(
        self,
        decoding: Decoding,
        stretches: BTreeMap<i32, Range<i64>>,
        writer: Writer,
    ) -> anyhow::Result<Option<Manifest>> {
        let (stop, with_headers) = (self.stop.clone(), decoding.takes_headers());
        let (messages, waiting) = sync_channel(CHUNKS_MAX);
        let runtime = Handle::current();
        let writing = spawn_blocking(move || {
            // The decoder looks unknown schemas up on this runtime.
            let _guard = runtime.enter();
            write(&decoding, writer, &waiting)
        });
        let reading = spawn_blocking(move || self.read(stretches, with_headers, &messages));
        let read = reading.await;
        // When both fail the writer is the cause: the reader then finds nobody who takes its records.
        let writer = match ended(writing.await)? {
            // It waited for a schema when it was told to stop.
            Err(error) if stop.is_cancelled() && error.is::<DecodeError>() => return Ok(None),
            written => written?,
        };
        match ended(read)? {
            Err(_) if stop.is_cancelled() => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(Some(ended(spawn_blocking(move || writer.finish()).await)??)),
        }
    }

    /// Sends every record, one partition after the other.
    fn read(
        &self,
        stretches: BTreeMap<i32, Range<i64>>,
        with_headers: bool,
        messages: &SyncSender<Message>,
    ) -> anyhow::Result<()> {
        let length = |range: &Range<i64>| u64::try_from(range.end - range.start).unwrap_or(0);
        let total: u64 = stretches.values().map(length).sum();
        let mut before = 0;
        for (partition, range) in stretches {
            let this = length(&range);
            let mut chunk = Chunk::new();
            let ranges = ScanRanges::from([(partition, range)]);
            let mut progress = |progress: flashsale_streaming::ScanProgress| {
                self.bar.set("exporting", before + progress.done, total);
            };
            scan(&self.config, &self.topic, &ranges, &self.stop, &mut progress, &mut |record| {
                if !chunk.has_room_for(&record) {
                    let full = mem::replace(&mut chunk, Chunk::new());
                    if messages.send(Message::Records(full)).is_err() {
                        return ControlFlow::Break(());
                    }
                }
                chunk.push(&record, with_headers);
                ControlFlow::Continue(())
            })?;
            let sent = messages.send(Message::Records(chunk)).and_then(|()| messages.send(Message::Done(partition)));
            if sent.is_err() {
                return Ok(());
            }
            before += this;
        }
        Ok(())
    }
}

/// Writes what comes until nothing does.
fn write(decoding: &Decoding, mut writer: Writer, waiting: &Receiver<Message>) -> anyhow::Result<Writer> {
    for message in waiting {
        match message {
            Message::Records(chunk) => {
                for record in chunk.records() {
                    let row = decoding.row(&record);
                    let row = row.context("the schema registry does not answer; --resume goes on when it does")?;
                    writer.push(&row)?;
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
