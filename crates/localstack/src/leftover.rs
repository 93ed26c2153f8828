//! Pid files: how a start finds the servers that a killed predecessor left behind.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::Error;

/// How long a leftover may take to end by its own signal before it is killed.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// A process id with its start time: together they never name another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    /// In clock ticks since boot.
    started: u64,
}

impl Process {
    /// The process that runs under this id now; none when it ended, even if nobody has reaped it yet.
    fn running(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // proc(5): "pid (comm) state ppid ..."; comm may hold anything, also blanks and brackets.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        // starttime is field 22; the state, just taken, is field 3.
        Some(Self { pid, started: fields.nth(18)?.parse().ok()? })
    }

    fn runs(self) -> bool {
        Self::running(self.pid) == Some(self)
    }
}

/// True while a process of this id runs.
pub(crate) fn is_running(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| Process::running(pid).is_some())
}

/// Notes which process serves.
pub(crate) fn write(file: &Path, pid: u32) -> Result<(), Error> {
    let Some(process) = i32::try_from(pid).ok().and_then(Process::running) else { return Ok(()) };
    fs::write(file, format!("{} {}\n", process.pid, process.started))
        .map_err(Error::io(format!("write {}", file.display())))
}

/// Forgets the process, which has ended.
pub(crate) fn remove(file: &Path) {
    if let Err(error) = fs::remove_file(file)
        && error.kind() != io::ErrorKind::NotFound
    {
        // Harmless: the process it names has ended, and the next start sees that.
        tracing::warn!(%error, file = %file.display(), "cannot remove a pid file");
    }
}

/// Ends the process that the file names, if it still runs, and waits until it is gone.
pub(crate) fn end(file: &Path, signal: Signal) -> Result<(), Error> {
    let Some(process) = read(file) else { return Ok(()) };
    let begun = Instant::now();
    let mut sent = None;
    while process.runs() {
        let due = if begun.elapsed() < GRACE { signal } else { Signal::SIGKILL };
        if sent != Some(due) {
            tracing::info!(pid = process.pid, signal = %due, "ending a server that outlived its parent");
            kill(Pid::from_raw(process.pid), due)
                .or_else(|errno| if process.runs() { Err(errno) } else { Ok(()) })
                .map_err(|errno| Error::Io { what: format!("end process {}", process.pid), source: errno.into() })?;
            sent = Some(due);
        }
        thread::sleep(POLL);
    }
    remove(file);
    Ok(())
}

fn read(file: &Path) -> Option<Process> {
    let text = fs::read_to_string(file).ok()?;
    let (pid, started) = text.trim().split_once(' ')?;
    Some(Process { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_its_namesake_of_another_time_does_not() {
        let own = Process::running(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.runs());
        assert!(!Process { started: own.started + 1, ..own }.runs());
    }

    #[test]
    fn a_leftover_is_ended_and_its_file_removed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sleep.pid");
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        write(&file, child.id()).unwrap();
        end(&file, Signal::SIGTERM).unwrap();
        assert!(!file.exists());
        assert!(!child.wait().unwrap().success());
    }
}
