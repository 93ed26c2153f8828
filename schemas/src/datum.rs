//! Avro's binary encoding, as far as the hot path needs it.
//!
//! Every attempt to buy is written once and read by several consumers, and apache-avro's serde way through a schema costs
//! more than everything else that happens to a record. So a decision is written and read by hand; tests hold both ways
//! together, byte for byte. The encoding: <https://avro.apache.org/docs/1.12.0/specification/#binary-encoding>.

/// What is wrong with a datum.
pub type Malformed = Box<dyn std::error::Error + Send + Sync>;

/// How an event is written and read without its schema.
pub struct ByHand<T> {
    /// Appends the datum.
    pub write: fn(&T, &mut Vec<u8>),
    /// Takes a datum from the front of the bytes.
    pub read: fn(&mut &[u8]) -> Result<T, Malformed>,
}

impl<T> std::fmt::Debug for ByHand<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByHand")
    }
}

/// A long in Avro's variable-length zigzag.
pub(crate) fn write_long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        // The lowest seven bits, and the mark that more follow.
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // A text in memory is never longer than a signed number can say.
    write_long(text.len() as i64, out);
    out.extend_from_slice(text.as_bytes());
}

/// A union of null and something: which of the two, then the thing.
pub(crate) fn write_optional<T>(value: Option<T>, out: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
    match value {
        None => out.push(0),
        Some(value) => {
            write_long(1, out);
            write(value, out);
        }
    }
}

/// The number of an enum's symbol.
pub(crate) fn write_symbol(index: u8, out: &mut Vec<u8>) {
    write_long(index.into(), out);
}

pub(crate) fn read_long(datum: &mut &[u8]) -> Result<i64, Malformed> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = datum.split_first().ok_or("the datum is cut off")?;
        *datum = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return Err("a number of more than 64 bits".into());
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    Err("a number without an end".into())
}

/// Made only once its length is known to be there: a corrupt one allocates nothing.
pub(crate) fn read_text<'a, Text: From<&'a str>>(datum: &mut &'a [u8]) -> Result<Text, Malformed> {
    let length = usize::try_from(read_long(datum)?).map_err(|_| "a text of negative length")?;
    let (text, rest) = datum.split_at_checked(length).ok_or("the datum is cut off")?;
    *datum = rest;
    Ok(std::str::from_utf8(text)?.into())
}

pub(crate) fn read_optional<'a, T>(
    datum: &mut &'a [u8],
    read: impl FnOnce(&mut &'a [u8]) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    match read_long(datum)? {
        0 => Ok(None),
        1 => read(datum).map(Some),
        other => Err(format!("branch {other} of a union of two").into()),
    }
}

/// The symbol of an enum, of those that there are.
pub(crate) fn read_symbol<T: Copy>(datum: &mut &[u8], symbols: &[T]) -> Result<T, Malformed> {
    let index = read_long(datum)?;
    let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
    symbol.copied().ok_or_else(|| format!("symbol {index} of {}", symbols.len()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_was_written_and_cut_off_it_is_none() {
        for number in [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, i64::MAX, i64::MIN, 1_764_000_000_000_000] {
            let mut bytes = Vec::new();
            write_long(number, &mut bytes);
            let mut rest = bytes.as_slice();
            assert_eq!(read_long(&mut rest).unwrap(), number);
            assert!(rest.is_empty());
            assert!(read_long(&mut &bytes[..bytes.len() - 1]).is_err(), "{number} cut off");
        }
    }

    #[test]
    fn what_avro_cannot_have_written_is_refused() {
        for bytes in [&[0xff_u8; 11][..], &[0x80; 9], &[]] {
            assert!(read_long(&mut &*bytes).is_err(), "{bytes:?}");
        }
        // More bits than a long has.
        let too_long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(read_long(&mut &too_long[..]).is_err());
        // A text of a negative length, one longer than what follows, one that is not UTF-8.
        for bytes in [&[1_u8][..], &[0x80, 0x80, 0x80, 0x80, 0x40, b'a'], &[2, 0xff]] {
            assert!(read_text::<String>(&mut &*bytes).is_err(), "{bytes:?}");
        }
        assert!(read_optional(&mut &[4_u8][..], read_long).is_err());
        assert!(read_symbol(&mut &[4_u8][..], &["A", "B"]).is_err());
        assert!(read_symbol(&mut &[1_u8][..], &["A", "B"]).is_err());
    }
}
