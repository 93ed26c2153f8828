//! The edge on a real Redis and a real broker.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod answers;
mod challenge;
mod fixture;
mod overload;
mod stampede;
