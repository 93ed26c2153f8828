//! Parquet: rows are gathered as columns, and written when a row group is full.

use std::{mem, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::{WriterProperties, WriterPropertiesPtr},
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{ColumnPath, Type, TypePtr},
};

use crate::{
    Error, Format, Row,
    cell::Cell,
    folder::Draft,
    format::Encoder,
    table::{Column, Kind},
};

const FORMAT: Format = Format::Parquet;
/// What is held in memory at most; readers skip or read a group as a whole.
const ROW_GROUP_ROWS: usize = 50_000;
/// Rows of which the texts are handed over at once: as many as the writer takes at once by itself, so that its pages end
/// where they would in any case.
const BATCH_ROWS: usize = 1_024;

/// A file of it.
pub(crate) struct ParquetFile {
    writer: SerializedFileWriter<Draft>,
    columns: Vec<Gathered>,
    /// Rows gathered.
    rows: usize,
}

impl ParquetFile {
    pub(crate) fn begin(columns: &[&'static Column], draft: Draft) -> Result<Self, ParquetError> {
        let writer = SerializedFileWriter::new(draft, schema(columns)?, properties(columns))?;
        Ok(Self { writer, columns: columns.iter().copied().map(Gathered::new).collect(), rows: 0 })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for gathered in &mut self.columns {
            let Some(column) = group.next_column()? else { break };
            gathered.write(column)?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl Encoder for ParquetFile {
    fn push(&mut self, row: &Row<'_>) -> Result<(), Error> {
        for gathered in &mut self.columns {
            gathered.push(row).map_err(|source| FORMAT.broken(source))?;
        }
        self.rows += 1;
        if self.rows < ROW_GROUP_ROWS {
            return Ok(());
        }
        self.write_group().map_err(|source| FORMAT.broken(source))
    }

    fn finish(mut self: Box<Self>) -> Result<Draft, Error> {
        if self.rows > 0 {
            self.write_group().map_err(|source| FORMAT.broken(source))?;
        }
        let this = *self;
        this.writer.into_inner().map_err(|source| FORMAT.broken(source))
    }
}

/// The values of one column that are not written yet.
struct Gathered {
    column: &'static Column,
    values: Values,
    /// Of an optional column: for each row 1 when it has a value, else 0.
    present: Vec<i16>,
}

enum Values {
    Int(Vec<i32>),
    Long(Vec<i64>),
    Flag(Vec<bool>),
    /// One after the other, and where each ends.
    Text {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
}

impl Gathered {
    fn new(column: &'static Column) -> Self {
        let values = match column.kind {
            Kind::Int => Values::Int(Vec::new()),
            Kind::Long | Kind::Millis | Kind::Micros => Values::Long(Vec::new()),
            Kind::Flag => Values::Flag(Vec::new()),
            Kind::Text | Kind::Unique | Kind::Json => Values::Text { bytes: Vec::new(), ends: Vec::new() },
        };
        Self { column, values, present: Vec::new() }
    }

    fn push(&mut self, row: &Row<'_>) -> Result<(), ParquetError> {
        let cell = self.column.cell(row);
        if self.column.optional {
            let is_null = matches!(cell, Cell::Null);
            self.present.push(i16::from(!is_null));
            if is_null {
                return Ok(());
            }
        }
        match (&mut self.values, cell) {
            (Values::Int(values), Cell::Int(value)) => values.push(value),
            (Values::Long(values), Cell::Long(value) | Cell::Millis(value) | Cell::Micros(value)) => values.push(value),
            (Values::Flag(values), Cell::Flag(value)) => values.push(value),
            (Values::Text { bytes, ends }, cell @ (Cell::Text(_) | Cell::Json(_))) => {
                cell.write_plain(bytes).map_err(|error| ParquetError::External(error.into()))?;
                ends.push(bytes.len());
            }
            (_, cell) => {
                let message = format!("the column {} takes no {cell:?}", self.column.name);
                return Err(ParquetError::General(message));
            }
        }
        Ok(())
    }

    /// Writes them as all of `column`, and is empty then.
    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let present = self.column.optional.then_some(self.present.as_slice());
        match &mut self.values {
            Values::Int(values) => write_values::<Int32Type>(column, values, present)?,
            Values::Long(values) => write_values::<Int64Type>(column, values, present)?,
            Values::Flag(values) => write_values::<BoolType>(column, values, present)?,
            Values::Text { bytes, ends } => {
                let texts = Bytes::from(mem::take(bytes));
                write_texts(&mut column, &texts, ends, present)?;
                ends.clear();
                // A closed column holds on to no text, so that their memory is there for the next group.
                column.close()?;
                if let Ok(mut memory) = texts.try_into_mut() {
                    memory.clear();
                    *bytes = memory.into();
                }
            }
        }
        self.present.clear();
        Ok(())
    }
}

fn write_values<T: DataType>(
    mut column: SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    present: Option<&[i16]>,
) -> Result<(), ParquetError> {
    column.typed::<T>().write_batch(values.as_slice(), present, None)?;
    values.clear();
    column.close()
}

/// Writes what lies one after the other in `texts`, without a copy of any.
fn write_texts(
    column: &mut SerializedColumnWriter<'_>,
    texts: &Bytes,
    ends: &[usize],
    present: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let column = column.typed::<ByteArrayType>();
    let mut start = 0;
    let mut slices = ends.iter().map(|end| ByteArray::from(texts.slice(mem::replace(&mut start, *end)..*end)));
    let rows = present.map_or(ends.len(), <[i16]>::len);
    let mut batch: Vec<ByteArray> = Vec::with_capacity(BATCH_ROWS);
    for first in (0..rows).step_by(BATCH_ROWS) {
        let rows = first..rows.min(first + BATCH_ROWS);
        let present = present.map(|present| &present[rows.clone()]);
        let values = present.map_or(rows.len(), |present| present.iter().filter(|present| **present == 1).count());
        batch.extend(slices.by_ref().take(values));
        column.write_batch(batch.as_slice(), present, None)?;
        batch.clear();
    }
    Ok(())
}

fn schema(columns: &[&'static Column]) -> Result<TypePtr, ParquetError> {
    let mut fields = Vec::with_capacity(columns.len());
    for column in columns {
        let (physical, logical) = match column.kind {
            Kind::Int => (Physical::INT32, None),
            Kind::Long => (Physical::INT64, None),
            Kind::Flag => (Physical::BOOLEAN, None),
            Kind::Text | Kind::Unique | Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Millis => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
            Kind::Micros => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        };
        let repetition = if column.optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let field = Type::primitive_type_builder(column.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()?;
        fields.push(Arc::new(field));
    }
    Ok(Arc::new(Type::group_type_builder("record").with_fields(fields).build()?))
}

/// What comes again goes through a dictionary; numbers that are always there and mostly grow are written as
/// differences. Not those that may be missing: not every reader takes a page of differences without one.
fn properties(columns: &[&'static Column]) -> WriterPropertiesPtr {
    let mut properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
    for column in columns {
        let path = ColumnPath::from(column.name);
        match (column.kind, column.optional) {
            (Kind::Long | Kind::Millis | Kind::Micros, false) => {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
            (Kind::Unique | Kind::Json | Kind::Micros, _) => {
                properties = properties.set_column_dictionary_enabled(path, false);
            }
            _ => {}
        }
    }
    Arc::new(properties.build())
}
