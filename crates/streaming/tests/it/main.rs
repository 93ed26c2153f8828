//! The log, for real: producer and consumer groups on a live broker, faults on a mock cluster.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod contract;
mod group;
mod hold;
mod memory;
mod producer;
mod security;
