//! What a person sees: the report on stdout, everything else on stderr.

use std::{
    fmt::Display,
    io::{IsTerminal, Write},
};

/// Writes to stdout; a reader that went away, as `head` does, is no error.
pub(crate) fn say(text: impl Display) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Writes a line to stderr.
pub(crate) fn tell(line: impl Display) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Whether stdout shows colours.
pub(crate) fn has_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
