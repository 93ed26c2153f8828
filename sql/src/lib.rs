//! Migrations, queries and the typed store.
//!
//! Every statement is a file in `queries/`; a test has Postgres prepare them all. [`Store::apply`] is where
//! the log becomes rows, in one transaction with how far it was read.
#![deny(clippy::unwrap_used, clippy::expect_used)]

mod apply;
mod copy;
mod error;
mod offset;
mod product;
mod purchase;
mod rebuild;
mod reconciliation;
mod store;

pub use apply::{Applied, Apply, Conflict, Decided, Entry, Read};
pub use error::{Error, Fault};
pub use offset::Offset;
pub use product::{InsertError, Product};
pub use purchase::{Answer, Count};
pub use rebuild::Held;
pub use reconciliation::Reconciliation;
pub use store::{Config, Store};
