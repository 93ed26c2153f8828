//! A stretch of a topic in files: Parquet, CSV or JSON Lines.
//!
//! Rows come in, one partition after the other; parts come out. A part is finished under its name or not there at
//! all, and the journal beside it says how far the export is. What is written depends on the [`Plan`] and the rows
//! alone, never on the clock or on interruptions: an export that was cut off and resumed ends with the same bytes, and
//! two exports of one stretch are equal, their manifests too. A record that nobody can read is kept as hex, in
//! `unreadable.jsonl`.
//!
//! One table ([`Shape`]) names the columns of a topic, and all three formats are made from it. CSV holds the data as it
//! is: a value that begins with `=` is a formula to a spreadsheet, so open foreign data there as text.

mod cell;
mod csv_file;
mod folder;
mod format;
mod json_lines;
mod parquet_file;
mod plan;
mod progress;
mod row;
mod table;
mod unreadable;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use format::Format;
pub use plan::{Filter, Plan, ROWS_PER_FILE, Units};
pub use progress::{Manifest, Part, Unreadable, begun};
pub use row::{Row, Value};
pub use table::Shape;
pub use writer::{Existing, Writer};

/// What can go wrong with an export.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be used.
    #[error("{doing} {}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Rows did not become bytes.
    #[error("write {format}")]
    Encode {
        /// In which format.
        format: Format,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The journal or the manifest is not one.
    #[error("{} is not what an export writes; replace the export (--overwrite) or choose another folder", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: serde_json::Error,
    },
    /// Something that the journal names is gone or has another size.
    #[error("{} is missing or has changed since it was written; replace the export (--overwrite)", .0.display())]
    Changed(PathBuf),
    /// The folder has an export, and nobody said what to do with it.
    #[error(
        "{} has an export already; go on with it (--resume), replace it (--overwrite) or choose another folder",
        .0.display()
    )]
    Exists(PathBuf),
    /// The folder has other people's files.
    #[error("{} has files in it that are no export; choose another folder", .0.display())]
    NotEmpty(PathBuf),
    /// The folder has an export of something else.
    #[error(
        "{} has another export: {}; ask for the same again, choose another folder, or replace it (--overwrite)",
        .folder.display(), .differences.join("; ")
    )]
    OtherPlan {
        /// The folder.
        folder: PathBuf,
        /// What differs, for people.
        differences: Vec<String>,
    },
    /// Somebody else writes there.
    #[error("another process writes to {} now", .0.display())]
    Busy(PathBuf),
    /// A row came that is not next, or not of the plan.
    #[error("offset {offset} of partition {partition} is not in its turn")]
    OutOfOrder {
        /// The partition of the row.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
    /// A row came that the table has no columns for.
    #[error("offset {offset} of partition {partition} is of another topic")]
    OtherTopic {
        /// The partition of the row.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
    /// The end was declared too early.
    #[error("partition {partition} is exported up to offset {next} only")]
    Unfinished {
        /// Which partition.
        partition: i32,
        /// Where it would go on.
        next: i64,
    },
}

/// Makes an [`Error::File`] of what the system said.
fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { doing, path, source }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
