//! What a person sees: lines on stdout, errors on stderr, colours only on a terminal.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use comfy_table::{Table, presets};
use flashsale_platform::config;

/// What tools log: errors of their own, and what they wait for. What the client of the log says all the time while brokers are away would bury
/// the one line that tells what to do.
pub(crate) const TOOL_LOGS: &str = "error,flashsale::parts=warn,librdkafka=off,rdkafka=off";
/// Exit code of a wrong command line or configuration (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// Exit code when something needed is not there (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;

/// Writes a line to stdout; a reader that went away, as `head` does, is no error.
pub(crate) fn say(line: impl std::fmt::Display) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

/// A table with this header, with lines on a terminal only.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(if std::io::stdout().is_terminal() { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING });
    table.set_header(header);
    table
}

/// Writes JSON to stdout, over several lines.
pub(crate) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A number that may be unknown.
pub(crate) fn or_unknown(number: Option<impl std::fmt::Display>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

fn painted(text: &str, code: &str, terminal: bool) -> String {
    if terminal && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Bold on a terminal.
pub(crate) fn bold(text: &str) -> String {
    painted(text, "1", std::io::stdout().is_terminal())
}

/// Green on a terminal.
pub(crate) fn green(text: &str) -> String {
    painted(text, "32", std::io::stdout().is_terminal())
}

/// A number with its noun, in the plural where it belongs.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Red on a terminal.
pub(crate) fn red(text: &str) -> String {
    painted(text, "31", std::io::stdout().is_terminal())
}

/// Yellow on a terminal.
pub(crate) fn yellow(text: &str) -> String {
    painted(text, "33", std::io::stdout().is_terminal())
}

/// Dim on a terminal.
pub(crate) fn dim(text: &str) -> String {
    painted(text, "2", std::io::stdout().is_terminal())
}

/// Reports an error with its causes; returns the exit code for it.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    let label = painted("error:", "1;31", std::io::stderr().is_terminal());
    drop(writeln!(std::io::stderr().lock(), "{label} {error:#}"));
    let away = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref().is_some_and(flashsale_streaming::Error::is_unreachable)
    };
    if error.chain().any(away) {
        let hint =
            "The brokers do not answer: are they running (`make up`), and is --brokers or FLASHSALE_BROKERS right?";
        drop(writeln!(std::io::stderr().lock(), "{hint}"));
    }
    let usage = error.chain().any(|cause| cause.is::<config::Error>());
    let refused = error.chain().any(|cause| {
        use flashsale_operations::Error::{NotFound, Refused, Running};
        matches!(cause.downcast_ref(), Some(Refused(_) | NotFound(_) | Running(_)))
    });
    match (usage, refused) {
        (true, _) => ExitCode::from(USAGE),
        (_, true) => ExitCode::FAILURE,
        _ => ExitCode::from(UNAVAILABLE),
    }
}
