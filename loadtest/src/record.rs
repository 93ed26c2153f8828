//! Every attempt in a file, one JSON object a line.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use flashsale_loadtest::recorder::Attempt;

/// A file that attempts are written to.
#[derive(Debug)]
pub(crate) struct Record {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Record {
    /// An empty one; what was in the file is gone.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Adds attempts.
    pub(crate) fn append(&mut self, attempts: &[Attempt]) -> Result<()> {
        let writing = || format!("write {}", self.path.display());
        for attempt in attempts {
            serde_json::to_writer(&mut self.file, attempt).with_context(writing)?;
            self.file.write_all(b"\n").with_context(writing)?;
        }
        self.file.flush().with_context(writing)
    }

    /// All that was added.
    pub(crate) fn read(&self) -> Result<Vec<Attempt>> {
        let reading = || format!("read {}", self.path.display());
        let file = File::open(&self.path).with_context(reading)?;
        let mut attempts = Vec::new();
        for line in BufReader::new(file).lines() {
            attempts.push(serde_json::from_str(&line.with_context(reading)?).with_context(reading)?);
        }
        Ok(attempts)
    }
}

#[cfg(test)]
mod tests {
    use flashsale_loadtest::recorder::{Outcome, ToldReceipt};

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::create(&folder.path().join("attempts.jsonl")).unwrap();
        let attempt = |shopper, outcome| Attempt {
            shopper,
            key: 1,
            due_us: 0,
            sent_us: 1,
            answered_us: 2,
            outcome,
            polite: true,
            receipt: (outcome == Outcome::Purchased)
                .then(|| ToldReceipt { number: "PUR-1".into(), at: "2026-11-23T12:00:00.000Z".into() }),
        };
        record.append(&[attempt(1, Outcome::Purchased), attempt(2, Outcome::Unexpected(418))]).unwrap();
        record.append(&[attempt(3, Outcome::Broken)]).unwrap();
        let read = record.read().unwrap();
        assert_eq!(read.iter().map(|attempt| attempt.shopper).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(read[0].receipt.is_some() && read[1].outcome == Outcome::Unexpected(418));
    }
}
