//! Starts Kafka, Redis and Postgres as child processes on loopback.
//!
//! `flashsale up` runs a [`Stack`] in `.flashsale/`; tests start single [`Server`]s in temporary directories. What a
//! server holds survives its restart and a `kill -9` of everything; the servers themselves never outlive the process
//! that started them, however it ends. All calls block: from tokio, call them through `spawn_blocking`.
//!
//! Linux only: the tie between parent and child is `setpriv --pdeathsig` of util-linux.

mod config;
mod error;
mod fault_proxy;
mod kafka;
mod leftover;
mod owner;
mod ports;
mod postgres;
mod program;
mod redis;
mod server;
mod spawner;
mod stack;

pub use config::{Config, Kind, Progress, Stage, Step, Tls};
pub use error::Error;
pub use fault_proxy::{Fault, FaultProxy};
pub use owner::{down, owner};
pub use ports::{Ports, running};
pub use postgres::{data_folders, psql};
pub use server::Server;
pub use stack::Stack;
