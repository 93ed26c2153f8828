//! The built binary as its users run it: real processes, real servers, real sockets.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod analysis;
mod challenge;
mod command_line;
mod documents;
mod edge;
mod flood;
mod http;
mod identity;
mod load;
mod metrics;
mod nginx;
mod operations;
mod packaging;
mod process;
mod proof;
mod stampede;
mod tls;
mod top;
mod traces;
mod up;
