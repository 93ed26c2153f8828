//! The load tool, against servers that behave as a test wants, and on figures that are known.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod binary;
mod engine;
mod report;
mod server;
mod up;
