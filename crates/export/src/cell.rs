//! One value of one row, and how it reads.

use std::{borrow::Cow, io::Write};

use flashsale_core::Micros;

/// A value as a column's getter answers it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i32),
    Long(i64),
    Flag(bool),
    Text(Cow<'a, str>),
    Json(&'a serde_json::Value),
    /// Since 1970.
    Millis(i64),
    /// Since 1970.
    Micros(i64),
}

impl Cell<'_> {
    /// Appends it as text; nothing for null.
    pub(crate) fn write_plain(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self {
            Self::Null => {}
            Self::Int(number) => append(out, number),
            Self::Long(number) => append(out, number),
            Self::Flag(flag) => append(out, flag),
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Json(value) => serde_json::to_writer(out, value)?,
            Self::Millis(millis) => append_time(out, millis.saturating_mul(1_000)),
            Self::Micros(micros) => append_time(out, *micros),
        }
        Ok(())
    }

    /// Appends it as a JSON value; JSON stays what it is.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Text(text) => serde_json::to_writer(out, &**text)?,
            Self::Millis(_) | Self::Micros(_) => {
                out.push(b'"');
                self.write_plain(out)?;
                out.push(b'"');
            }
            Self::Int(_) | Self::Long(_) | Self::Flag(_) | Self::Json(_) => self.write_plain(out)?,
        }
        Ok(())
    }
}

/// Memory takes every byte.
fn append(out: &mut Vec<u8>, shown: impl std::fmt::Display) {
    drop(write!(out, "{shown}"));
}

/// ISO 8601 in UTC with microseconds: `2026-11-23T12:00:00.123456Z`.
fn append_time(out: &mut Vec<u8>, micros: i64) {
    let at = Micros(micros).to_utc();
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, micro) = at.to_hms_micro();
    match u32::try_from(year) {
        Ok(year) if year < 10_000 => append_digits::<4>(out, year),
        _ => append(out, format_args!("{year:04}")),
    }
    for (before, number) in [(b'-', u8::from(month)), (b'-', day), (b'T', hour), (b':', minute), (b':', second)] {
        out.push(before);
        append_digits::<2>(out, number.into());
    }
    out.push(b'.');
    append_digits::<6>(out, micro);
    out.push(b'Z');
}

/// The last digits of a number, zeros in front. By hand: a row has three times, and `write!` takes long over each part.
fn append_digits<const DIGITS: usize>(out: &mut Vec<u8>, mut number: u32) {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &Cell<'_>) -> (String, String) {
        let (mut plain, mut json) = (Vec::new(), Vec::new());
        cell.write_plain(&mut plain).unwrap();
        cell.write_json(&mut json).unwrap();
        (String::from_utf8(plain).unwrap(), String::from_utf8(json).unwrap())
    }

    #[test]
    fn times_keep_their_microseconds() {
        let at = "2026-11-23T12:00:00.123987Z";
        assert_eq!(shown(&Cell::Micros(1_795_435_200_123_987)), (at.to_owned(), format!("\"{at}\"")));
        assert_eq!(shown(&Cell::Millis(1_795_435_200_120)).0, "2026-11-23T12:00:00.120000Z");
        assert_eq!(shown(&Cell::Micros(-1)).0, "1969-12-31T23:59:59.999999Z");
        assert_eq!(shown(&Cell::Micros(-62_135_596_799_999_993)).0, "0001-01-01T00:00:00.000007Z");
        assert_eq!(shown(&Cell::Micros(-62_198_755_200_000_000)).0, "-001-01-01T00:00:00.000000Z");
    }

    #[test]
    fn null_is_nothing_as_text_and_null_in_json() {
        assert_eq!(shown(&Cell::Null), (String::new(), "null".to_owned()));
        assert_eq!(shown(&Cell::Flag(true)), ("true".to_owned(), "true".to_owned()));
        let text = "a \"b\"\n";
        assert_eq!(shown(&Cell::Text(text.into())), (text.to_owned(), r#""a \"b\"\n""#.to_owned()));
    }
}
