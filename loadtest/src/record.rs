//! Every attempt to buy and every look at a receipt in a file, one JSON object a line.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{atomic::Ordering, mpsc},
    thread,
};

use anyhow::{Context, Result, anyhow};
use flashsale_loadtest::{
    engine::{HandOver, Live},
    recorder::{Attempt, Lookup},
};
use serde::{Deserialize, Serialize};

/// What was handed over and is not written yet, at most: about three seconds of the load of a thread.
const WAITING_MAX: usize = 64;

/// A file that they are written to.
#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    file: BufWriter<File>,
}

/// A line of it. Only attempts have a key, so they are tried first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Attempt(Attempt),
    Lookup(Lookup),
}

impl Record {
    /// An empty one; what was in the file is gone.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Adds these.
    pub(crate) fn append(&mut self, attempts: &[Attempt], lookups: &[Lookup]) -> Result<()> {
        self.lines(attempts)?;
        self.lines(lookups)?;
        self.file.flush().with_context(|| format!("write {}", self.path.display()))
    }

    fn lines(&mut self, all: &[impl Serialize]) -> Result<()> {
        let writing = || format!("write {}", self.path.display());
        for one in all {
            serde_json::to_writer(&mut self.file, one).with_context(writing)?;
            self.file.write_all(b"\n").with_context(writing)?;
        }
        Ok(())
    }

    /// Writes what `run` hands over while it goes on, on a thread of its own: the load waits for the disk only when
    /// that is far behind. What cannot be written ends the load early. Returns what `run` does, and whether all was
    /// written.
    pub(crate) fn fill<T>(&mut self, live: &Live, run: impl FnOnce(HandOver<'_>) -> T) -> (T, Result<()>) {
        let (sender, receiver) = mpsc::sync_channel::<(Vec<Attempt>, Vec<Lookup>)>(WAITING_MAX);
        thread::scope(|scope| {
            let writing = scope
                .spawn(move || receiver.iter().try_for_each(|(attempts, lookups)| self.append(&attempts, &lookups)));
            let hand_over = |attempts: Vec<Attempt>, lookups: Vec<Lookup>| {
                if sender.send((attempts, lookups)).is_err() {
                    // The writer has given up, and says why at the end.
                    live.stop.store(true, Ordering::Relaxed);
                }
            };
            let ran = run(&hand_over);
            drop(sender);
            let written = writing.join();
            (ran, written.unwrap_or_else(|_| Err(anyhow!("the thread that writes the record panicked"))))
        })
    }

    /// All that was added.
    pub(crate) fn read(&self) -> Result<(Vec<Attempt>, Vec<Lookup>)> {
        let reading = || format!("read {}", self.path.display());
        let file = File::open(&self.path).with_context(reading)?;
        let (mut attempts, mut lookups) = (Vec::new(), Vec::new());
        for line in BufReader::new(file).lines() {
            match serde_json::from_str::<Line>(&line.with_context(reading)?).with_context(reading)? {
                Line::Attempt(attempt) => attempts.push(attempt),
                Line::Lookup(lookup) => lookups.push(lookup),
            }
        }
        Ok((attempts, lookups))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use flashsale_loadtest::recorder::{Outcome, ToldReceipt};

    use super::*;

    fn receipt() -> Option<ToldReceipt> {
        Some(ToldReceipt { number: "PUR-1".into(), at: "2026-11-23T12:00:00.000Z".into() })
    }

    pub(crate) fn attempt(shopper: u64, outcome: Outcome) -> Attempt {
        let receipt = receipt().filter(|_| outcome == Outcome::Purchased);
        Attempt { shopper, key: 1, due_us: 0, sent_us: 1, answered_us: 2, outcome, polite: true, receipt }
    }

    fn lookup(shopper: u64, outcome: Outcome) -> Lookup {
        let receipt = receipt().filter(|_| outcome == Outcome::Found);
        Lookup { shopper, sent_us: 3, answered_us: 4, outcome, receipt }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::create(&folder.path().join("attempts.jsonl")).unwrap();
        let first = [attempt(1, Outcome::Purchased), attempt(2, Outcome::Unexpected(418))];
        record.append(&first, &[lookup(1, Outcome::Found)]).unwrap();
        record.append(&[attempt(3, Outcome::Broken)], &[lookup(3, Outcome::Unexpected(500))]).unwrap();
        let (attempts, lookups) = record.read().unwrap();
        assert_eq!(attempts.iter().map(|attempt| attempt.shopper).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(attempts[0].receipt.is_some() && attempts[1].outcome == Outcome::Unexpected(418));
        assert_eq!(lookups.iter().map(|lookup| lookup.shopper).collect::<Vec<_>>(), [1, 3]);
        assert!(lookups[0].receipt.is_some() && lookups[1].outcome == Outcome::Unexpected(500));
    }

    #[test]
    fn what_is_handed_over_is_written_and_a_full_disk_ends_the_load() {
        let folder = tempfile::tempdir().unwrap();
        let (live, path) = (Live::default(), folder.path().join("attempts.jsonl"));
        let mut record = Record::create(&path).unwrap();
        let (ran, written) = record.fill(&live, |hand_over| {
            for shopper in 0..1_000 {
                hand_over(vec![attempt(shopper, Outcome::SoldOut)], vec![lookup(shopper, Outcome::NotFound)]);
            }
            7
        });
        let (attempts, lookups) = record.read().unwrap();
        assert_eq!((ran, attempts.len(), lookups.len()), (7, 1_000, 1_000));
        assert!(written.is_ok() && !live.stop.load(Ordering::Relaxed));
        // A file that takes nothing.
        let mut full = Record { file: BufWriter::new(File::create("/dev/full").unwrap()), path };
        let (measured, written) = full.fill(&live, |hand_over| {
            while !live.stop.load(Ordering::Relaxed) {
                hand_over(vec![attempt(1, Outcome::SoldOut)], Vec::new());
            }
            "what was measured"
        });
        let why = format!("{:#}", written.unwrap_err());
        assert!(why.contains("attempts.jsonl") && measured == "what was measured", "{why}");
    }
}
