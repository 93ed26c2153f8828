//! CSV with a line of names. Values stay as they are, also those that a spreadsheet takes for formulas.

use crate::{Error, Format, Row, cell::Cell, folder::Draft, format::Encoder, table::Column};

const FORMAT: Format = Format::Csv;

/// A file of it.
pub(crate) struct CsvFile {
    columns: Vec<&'static Column>,
    writer: csv::Writer<Draft>,
    /// The value that is being written.
    field: Vec<u8>,
}

impl CsvFile {
    pub(crate) fn begin(columns: Vec<&'static Column>, draft: Draft) -> Result<Self, csv::Error> {
        let mut writer = csv::Writer::from_writer(draft);
        writer.write_record(columns.iter().map(|column| column.name))?;
        Ok(Self { columns, writer, field: Vec::new() })
    }

    fn write_cell(&mut self, cell: &Cell<'_>) -> Result<(), Error> {
        if let Cell::Text(text) = cell {
            return self.writer.write_field(text.as_bytes()).map_err(|source| FORMAT.broken(source));
        }
        self.field.clear();
        cell.write_plain(&mut self.field).map_err(|source| FORMAT.broken(source))?;
        self.writer.write_field(&self.field).map_err(|source| FORMAT.broken(source))
    }
}

impl Encoder for CsvFile {
    fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        for number in 0..self.columns.len() {
            let column = self.columns[number];
            self.write_cell(&column.cell(row))?;
        }
        // Ends the line.
        self.writer.write_record(None::<&[u8]>).map_err(|source| FORMAT.broken(source))
    }

    fn finish(self: Box<Self>) -> Result<Draft, Error> {
        let this = *self;
        this.writer.into_inner().map_err(|error| FORMAT.broken(error.into_error()))
    }
}
