//! One stack a data directory: a locked file that names its owner.

use std::{
    fs::{self, File, TryLockError},
    io::{Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Error, leftover};

/// How long the kernel may take to free the lock of a process that was just killed. It looks alive meanwhile.
const RELEASE_MAX: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// The right to run servers in a data directory. The kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Owner {
    _file: File,
}

impl Owner {
    /// Takes the directory, which must exist.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, Error> {
        let begun = Instant::now();
        loop {
            let mut file = open(data_dir)?;
            if try_lock(&file, data_dir)? {
                let what = || format!("write {}", path(data_dir).display());
                file.set_len(0).map_err(Error::io(what()))?;
                file.rewind().map_err(Error::io(what()))?;
                writeln!(file, "{}", std::process::id()).map_err(Error::io(what()))?;
                return Ok(Self { _file: file });
            }
            if begun.elapsed() > RELEASE_MAX {
                return Err(Error::Owned { pid: read(data_dir).unwrap_or_default() });
            }
            thread::sleep(POLL);
        }
    }
}

/// The process whose stack runs in this data directory, if there is one.
///
/// # Errors
/// When the lock file is there and cannot be opened.
pub fn owner(data_dir: &Path) -> Result<Option<u32>, Error> {
    if !path(data_dir).exists() || try_lock(&open(data_dir)?, data_dir)? {
        return Ok(None);
    }
    Ok(read(data_dir))
}

/// Asks the process whose stack runs here to end, by SIGTERM, and waits until it has. Returns its id, or none when
/// nothing runs here.
///
/// # Errors
/// [`Error::StillOwned`] when it did not end within `deadline`.
pub fn down(data_dir: &Path, deadline: Duration) -> Result<Option<u32>, Error> {
    let Some(pid) = owner(data_dir)? else { return Ok(None) };
    if let Ok(raw) = i32::try_from(pid)
        && let Err(errno) = kill(Pid::from_raw(raw), Signal::SIGTERM)
        && leftover::is_running(pid)
    {
        return Err(Error::Io { what: format!("stop flashsale up (pid {pid})"), source: errno.into() });
    }
    let begun = Instant::now();
    while owner(data_dir)? == Some(pid) {
        if begun.elapsed() > deadline {
            return Err(Error::StillOwned { pid, after: deadline });
        }
        thread::sleep(POLL);
    }
    Ok(Some(pid))
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("lock")
}

fn open(data_dir: &Path) -> Result<File, Error> {
    let path = path(data_dir);
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::io(format!("open {}", path.display())))
}

/// Nothing is waited for: false when another has the lock.
fn try_lock(file: &File, data_dir: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => {
            Err(Error::Io { what: format!("lock {}", path(data_dir).display()), source })
        }
    }
}

fn read(data_dir: &Path) -> Option<u32> {
    fs::read_to_string(path(data_dir)).ok()?.trim().parse().ok()
}
