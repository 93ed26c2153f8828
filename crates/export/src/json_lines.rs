//! JSON Lines: one flat object a row.

use std::io::Write;

use crate::{
    Error, Format, Row,
    folder::Draft,
    format::Encoder,
    table::{Column, RECORD},
};

const FORMAT: Format = Format::Jsonl;

/// A file of them.
pub(crate) struct JsonLines {
    columns: Vec<&'static Column>,
    draft: Draft,
    /// The line that is being made.
    line: Vec<u8>,
}

impl JsonLines {
    pub(crate) fn begin(columns: Vec<&'static Column>, draft: Draft) -> Self {
        Self { columns, draft, line: Vec::new() }
    }
}

impl Encoder for JsonLines {
    fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        self.line.clear();
        write_columns(&mut self.line, &self.columns, row).map_err(|source| FORMAT.broken(source))?;
        self.line.extend_from_slice(b"}\n");
        self.draft.write_all(&self.line).map_err(|source| FORMAT.broken(source))
    }

    fn finish(self: Box<Self>) -> Result<Draft, Error> {
        Ok(self.draft)
    }
}

/// Appends an object that is not closed yet. The names of columns need no escaping.
fn write_columns(line: &mut Vec<u8>, columns: &[&'static Column], row: &Row<'_>) -> Result<(), serde_json::Error> {
    let mut before = b"{\"";
    for column in columns {
        line.extend_from_slice(before);
        line.extend_from_slice(column.name.as_bytes());
        line.extend_from_slice(b"\":");
        column.cell(row).write_json(line)?;
        before = b",\"";
    }
    Ok(())
}

/// The line that tells of a record without columns: where it stands, what is wrong with it, its bytes as hex.
pub(crate) fn problem_line(row: &Row<'_>, problem: &str, hex: Option<&str>) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = Vec::new();
    write_columns(&mut line, &RECORD.iter().collect::<Vec<_>>(), row)?;
    line.extend_from_slice(b",\"schema_id\":");
    serde_json::to_writer(&mut line, &row.schema_id)?;
    line.extend_from_slice(b",\"problem\":");
    serde_json::to_writer(&mut line, problem)?;
    line.extend_from_slice(b",\"hex\":");
    serde_json::to_writer(&mut line, &hex)?;
    line.extend_from_slice(b"}\n");
    Ok(line)
}
