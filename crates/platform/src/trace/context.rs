//! Which span of which trace, as W3C Trace Context names it.

use std::{
    fmt,
    num::{NonZeroU64, NonZeroU128},
};

/// Bytes of a `traceparent`: `00-`, 32 digits of the trace, `-`, 16 of the span, `-`, two of flags.
const BYTES: usize = 55;

/// A span that is sampled, as its children are told of it. What is not sampled has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) trace: NonZeroU128,
    pub(super) span: NonZeroU64,
    /// Whether another process told of it.
    pub(super) remote: bool,
}

impl TraceContext {
    /// Reads a `traceparent` of version 00; none when anything about it is wrong, or when it is not sampled.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != BYTES || !text.starts_with(b"00-") || text[35] != b'-' || text[52] != b'-' {
            return None;
        }
        let trace = NonZeroU128::new(hex(&text[3..35])?)?;
        let span = NonZeroU64::new(hex(&text[36..52])?.try_into().ok()?)?;
        let sampled = hex(&text[53..])? & 1 == 1;
        sampled.then_some(Self { trace, span, remote: true })
    }

    /// The first span of a new trace.
    pub(super) fn random() -> Self {
        Self { trace: rand::random(), span: rand::random(), remote: false }
    }

    /// A new span of the same trace.
    pub(super) fn next(self) -> Self {
        Self { span: rand::random(), remote: false, ..self }
    }
}

/// As a `traceparent` carries it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

/// The number of up to 32 digits, of which none is upper case.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_comes_back_as_it_was() {
        let context = TraceContext::parse(VALID.as_bytes()).unwrap();
        assert_eq!(context.to_string(), VALID);
        assert_eq!(context.trace.get(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(context.span.get(), 0xb7ad_6b71_6920_3331);
        let other_flags = TraceContext::parse(VALID.replace("-01", "-ff").as_bytes());
        assert_eq!(other_flags, Some(context), "flags that are not known yet do no harm");
    }

    #[test]
    fn what_is_not_exactly_a_sampled_traceparent_is_none() {
        for wrong in [
            "",
            "00",
            "00-drill",
            // Another version, and one that may not be.
            &VALID.replace("00-0", "01-0"),
            &VALID.replace("00-0", "ff-0"),
            // Upper case, other letters, signs.
            &VALID.to_uppercase(),
            &VALID.replace("0af7", "0aF7"),
            &VALID.replace("0af7", "0ag7"),
            &VALID.replace("0af7", "+af7"),
            // Ids of zeros.
            &VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            // Too short, too long, with other separators.
            &VALID[1..],
            &VALID[..54],
            &format!("{VALID}0"),
            &format!("{VALID}-00"),
            &VALID.replace('-', "_"),
            // Not sampled, and flags that are none.
            &VALID.replace("-01", "-00"),
            &VALID.replace("-01", "-0x"),
        ] {
            assert_eq!(TraceContext::parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(TraceContext::parse(&[0xff; BYTES]), None);
    }

    #[test]
    fn the_next_span_belongs_to_the_same_trace() {
        let first = TraceContext::random();
        let next = first.next();
        assert_eq!(next.trace, first.trace);
        assert_ne!(next.span, first.span);
        assert_ne!(TraceContext::random().trace, first.trace);
    }
}
