//! The built binary as its users run it: real processes, real servers, real sockets.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod analysis;
mod command_line;
mod documents;
mod http;
mod metrics;
mod operations;
mod process;
mod proof;
mod stampede;
mod top;
mod traces;
mod up;
