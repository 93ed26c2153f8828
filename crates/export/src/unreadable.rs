//! Records that nobody could read: kept as hex, beside the parts.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::PathBuf,
};

use sha2::{Digest, Sha256};

use crate::{
    Error, Row, Unreadable, failed,
    folder::{Folder, remove},
    hex,
    json_lines::problem_line,
};

const NAME: &str = "unreadable.jsonl";

/// The file while it grows. What the journal does not know of is cut off when the export is opened again.
#[derive(Debug)]
pub(crate) struct Problems {
    hidden: PathBuf,
    shown: PathBuf,
    file: Option<BufWriter<File>>,
    bytes: u64,
}

impl Problems {
    /// Goes on behind the first `bytes` of what is there.
    pub(crate) fn open(folder: &Folder, bytes: u64) -> Result<Self, Error> {
        let (hidden, shown) = (folder.hidden(NAME), folder.join(NAME));
        if bytes == 0 {
            remove(&hidden)?;
            remove(&shown)?;
            return Ok(Self { hidden, shown, file: None, bytes });
        }
        if !hidden.exists() && shown.exists() {
            // It was named, and then the manifest was not written.
            folder.rename(&shown, &hidden)?;
        }
        let reopening = || -> io::Result<Option<File>> {
            let mut file = OpenOptions::new().write(true).open(&hidden)?;
            if file.metadata()?.len() < bytes {
                return Ok(None);
            }
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(Some(file))
        };
        match reopening().map_err(failed("open", &hidden))? {
            Some(file) => Ok(Self { hidden, shown, file: Some(BufWriter::new(file)), bytes }),
            None => Err(Error::Changed(hidden)),
        }
    }

    /// Of an export that is done: nothing is touched.
    pub(crate) fn none(folder: &Folder) -> Self {
        Self { hidden: folder.hidden(NAME), shown: folder.join(NAME), file: None, bytes: 0 }
    }

    /// Adds a record; one without a value has no hex.
    pub(crate) fn push(&mut self, row: &Row<'_>, problem: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let shown = value.map(hex);
        let line = problem_line(row, problem, shown.as_deref())
            .map_err(|source| Error::Damaged { path: self.shown.clone(), source })?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => BufWriter::new(File::create(&self.hidden).map_err(failed("create", &self.hidden))?),
        };
        file.write_all(&line).map_err(failed("write", &self.hidden))?;
        self.bytes += line.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Sees to it that the disk has what was added; returns the size.
    pub(crate) fn sync(&mut self) -> Result<u64, Error> {
        if let Some(file) = &mut self.file {
            file.flush().map_err(failed("write", &self.hidden))?;
            file.get_ref().sync_all().map_err(failed("write", &self.hidden))?;
        }
        Ok(self.bytes)
    }

    /// Names the file, if there is anything in it.
    pub(crate) fn publish(mut self, folder: &Folder, rows: u64) -> Result<Option<Unreadable>, Error> {
        self.sync()?;
        if self.bytes == 0 {
            return Ok(None);
        }
        folder.rename(&self.hidden, &self.shown)?;
        let mut hash = Sha256::new();
        let hashing = File::open(&self.shown).and_then(|mut file| io::copy(&mut file, &mut hash));
        hashing.map_err(failed("read", &self.shown))?;
        let sha256 = hex(&hash.finalize());
        Ok(Some(Unreadable { file: NAME.into(), rows, bytes: self.bytes, sha256 }))
    }
}
