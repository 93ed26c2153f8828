//! `sale-status` → the newest state of each sale → every open page.
//!
//! ```text
//! view of the topic ─▶ hub: one state a sale ─▶ each stream takes the newest when it is ready for it
//! ```
//!
//! A listener has no queue. It holds a place in its sale's history, and whenever its connection has room it is sent what
//! leads from there to the newest state; a slow one skips what lies between. Frames are made once and shared.
//!
//! Ids of events are places in the sale's history, so any instance resumes any listener. Nothing here is written
//! anywhere: an instance that starts reads the topic whole.

mod clients;
mod config;
mod frames;
mod hub;
mod openapi;
mod router;
mod service;

pub(crate) use clients::Refused;
pub use config::Config;
pub(crate) use frames::Frames;
pub use openapi::openapi;
pub use service::Service;
