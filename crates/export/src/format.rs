//! The formats, behind one way to write them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Row, Shape, csv_file::CsvFile, folder::Draft, json_lines::JsonLines, parquet_file::ParquetFile};

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Typed columns, compressed with zstd.
    Parquet,
    /// With a line of names; nothing between two commas is null.
    Csv,
    /// One object a line.
    Jsonl,
}

impl Format {
    /// Its name, which is also the end of a file's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// Makes an [`Error::Encode`].
    pub(crate) fn broken(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Encode { format: self, source: source.into() }
    }

    /// Begins a file with the columns of `shape`.
    pub(crate) fn encoder(self, shape: Shape, draft: Draft) -> Result<Box<dyn Encoder>, Error> {
        let columns = shape.columns();
        let encoder: Box<dyn Encoder> = match self {
            Self::Parquet => Box::new(ParquetFile::begin(&columns, draft).map_err(|source| self.broken(source))?),
            Self::Csv => Box::new(CsvFile::begin(columns, draft).map_err(|source| self.broken(source))?),
            Self::Jsonl => Box::new(JsonLines::begin(columns, draft)),
        };
        Ok(encoder)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Parquet, Self::Csv, Self::Jsonl]
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| "expected parquet, csv or jsonl".into())
    }
}

/// Makes the bytes of one file.
pub(crate) trait Encoder: Send {
    /// Adds a row.
    fn push(&mut self, row: &Row<'_>) -> Result<(), Error>;

    /// Writes what was held back, and gives the file up.
    fn finish(self: Box<Self>) -> Result<Draft, Error>;
}
