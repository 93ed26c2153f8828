//! What happened in a sale, told from its log alone: no IO, no async, no clock.
//!
//! [`Builder`] folds the records of one SKU into a [`Report`], which [`text()`] shows on a terminal and [`html()`] as a
//! page. [`timetravel::StateAt`] folds the same records into the sale as of a time.
#![deny(clippy::unwrap_used, clippy::expect_used)]

mod builder;
mod demand;
mod fairness;
mod html;
mod latency;
mod report;
mod retries;
mod series;
mod shoppers;
mod text;
pub mod timetravel;
mod units;
mod wording;

#[cfg(test)]
mod sample;

pub use builder::Builder;
pub use demand::{Second, Totals};
pub use fairness::{Decile, Fairness};
pub use html::html;
pub use latency::{Latency, Percentiles};
pub use report::{Change, Report};
pub use retries::{Band, Insistent, Retries};
pub use text::{Tone, text};
pub use units::{Instance, SoldBy, Units};
pub use wording::{happened, printable};
