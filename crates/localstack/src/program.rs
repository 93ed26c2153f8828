//! Finding programs, and tying them to this process.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{sys::signal::Signal, unistd::User};

use crate::{Error, Kind, spawner};

/// Looks a program up in `PATH`, and where Debian keeps servers.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

/// A command that gets `orphan_signal` when this process dies, runs as `user` if one is given, and is in a process
/// group of its own: a Ctrl-C in the terminal is for its parent, who stops it in order.
pub(crate) fn tied(program: &Path, user: Option<&User>, orphan_signal: Signal) -> Result<Command, Error> {
    use std::os::unix::process::CommandExt;

    let setpriv = find("setpriv").ok_or_else(|| Error::Missing { what: "setpriv (util-linux)".into() })?;
    let signal = orphan_signal.as_str().trim_start_matches("SIG");
    let mut command = Command::new(setpriv);
    command.arg("--pdeathsig").arg(signal);
    if let Some(user) = user {
        command.arg(format!("--reuid={}", user.uid)).arg(format!("--regid={}", user.gid)).arg("--clear-groups");
    }
    command.arg("--").arg(program).process_group(0).stdin(Stdio::null());
    Ok(command)
}

/// Runs a program that makes something and ends.
///
/// # Errors
/// With the last lines of its output when it does not end well.
pub(crate) fn prepare(server: Kind, program: &Path, mut command: Command) -> Result<(), Error> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = spawner::spawn(command)
        .and_then(std::process::Child::wait_with_output)
        .map_err(Error::io(format!("run {}", program.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Error::Prepare {
        server,
        program: program.file_name().unwrap_or(OsStr::new("?")).to_string_lossy().into_owned(),
        output: last_lines(&String::from_utf8_lossy(&text)),
    })
}

/// The last lines of a log: enough to see the reason, few enough for a terminal.
pub(crate) fn last_lines(text: &str) -> String {
    const LINES_MAX: usize = 15;
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}
