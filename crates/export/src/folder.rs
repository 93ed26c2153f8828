//! The folder of an export: what stands in it stands there whole.

use std::{
    fs::{self, File, TryLockError},
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{Error, failed, hex};

/// What is gathered before the system is asked to write.
const BUFFER_BYTES: usize = 256 * 1024;

/// A folder that this process alone writes to.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    handle: File,
}

impl Folder {
    /// Opens the folder, which is made if need be.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(failed("create", path))?;
        let handle = File::open(path).map_err(failed("open", path))?;
        match handle.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Busy(path.to_owned())),
            // Some file systems know no locks; then it is up to people.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { path: path.to_owned(), handle }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the file called `name` is while it is not finished.
    pub(crate) fn hidden(&self, name: &str) -> PathBuf {
        self.path.join(format!(".{name}.tmp"))
    }

    /// What is in it, hidden files too.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let reading = || -> io::Result<Vec<String>> {
            let entries = fs::read_dir(&self.path)?;
            entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect()
        };
        reading().map_err(failed("read", &self.path))
    }

    /// Begins a file that is to be called `name`.
    pub(crate) fn draft(&self, name: &str) -> Result<Draft, Error> {
        let (hidden, shown) = (self.hidden(name), self.join(name));
        let file = File::create(&hidden).map_err(failed("create", &hidden))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Draft { file, hidden, shown, hash: Sha256::new(), bytes: 0 })
    }

    /// Replaces the file called `name` at one stroke.
    pub(crate) fn save(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let path = self.join(name);
        let text =
            serde_json::to_string_pretty(value).map_err(|source| Error::Damaged { path: path.clone(), source })?;
        let mut draft = self.draft(name)?;
        writeln!(draft, "{text}").map_err(failed("write", &path))?;
        draft.publish(self).map(drop)
    }

    /// Gives the file `from` the name `to`.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        fs::rename(from, to).map_err(failed("name", to))?;
        // The name is kept once the folder is.
        self.handle.sync_all().map_err(failed("write", &self.path))
    }
}

/// What the file at `path` says; nothing when there is none.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(source) => Err(Error::Damaged { path: path.to_owned(), source }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Removes a file that need not be there.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// A file that has no name yet. One that is never published is swept away when the export is opened again.
#[derive(Debug)]
pub(crate) struct Draft {
    file: BufWriter<File>,
    hidden: PathBuf,
    shown: PathBuf,
    hash: Sha256,
    bytes: u64,
}

/// What is told of a finished file.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Draft {
    /// Sees to it that the disk has the file, then names it.
    pub(crate) fn publish(self, folder: &Folder) -> Result<Measure, Error> {
        let Self { mut file, hidden, shown, hash, bytes } = self;
        file.flush().map_err(failed("write", &hidden))?;
        file.get_ref().sync_all().map_err(failed("write", &hidden))?;
        folder.rename(&hidden, &shown)?;
        Ok(Measure { bytes, sha256: hex(&hash.finalize()) })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
