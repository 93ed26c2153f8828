//! Numbers, times and names as people read them.

use flashsale_core::Micros;
use flashsale_schemas::events::ChangeKind;

/// What stands for a value that is not known.
pub(crate) const UNKNOWN: &str = "–";

/// 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun, in the plural where it belongs.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A length of time, with as many digits as anybody wants.
pub(crate) fn span(millis: f64) -> String {
    let (size, sign) = (millis.abs(), if millis < 0.0 { "-" } else { "" });
    if size < 9.95 {
        return format!("{millis:.2} ms");
    }
    if size < 999.5 {
        return format!("{millis:.0} ms");
    }
    if size < 59_995.0 {
        return format!("{:.2} s", millis / 1_000.0);
    }
    let seconds = (size / 1_000.0).round() as u64;
    match seconds {
        0..3_600 => format!("{sign}{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{sign}{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// A length of time that may not be known.
pub(crate) fn maybe_span(millis: Option<f64>) -> String {
    millis.map_or_else(|| UNKNOWN.to_owned(), span)
}

/// A share as a percentage.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| UNKNOWN.to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A time to the millisecond, or the sign for none.
pub(crate) fn moment(at: Option<Micros>) -> String {
    at.map_or_else(|| UNKNOWN.to_owned(), |at| at.to_string())
}

/// The time of day of a second since 1970; with its day where a curve is longer than one.
pub(crate) fn clock(second: i64, with_day: bool) -> String {
    let text = Micros(second.saturating_mul(1_000_000)).to_string();
    let (day, time) = (text.get(..10).unwrap_or_default(), text.get(11..19).unwrap_or_default());
    if with_day { format!("{day} {time}") } else { time.to_owned() }
}

/// What happened to a sale, in a word.
pub fn happened(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Created => "created",
        ChangeKind::Updated => "changed",
        ChangeKind::Started => "started",
        ChangeKind::Paused => "paused",
        ChangeKind::Resumed => "resumed",
        ChangeKind::Ended => "ended",
        ChangeKind::Deleted => "removed",
        ChangeKind::Unknown => "something newer than this build",
    }
}

/// `text` without what would steer a terminal or turn the direction of writing.
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The first `chars_max` characters; where there are more, the last of them says so.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!((count(1, "unit"), count(0, "unit")), ("1 unit".into(), "0 units".into()));
        for (millis, text) in [
            (0.25, "0.25 ms"),
            (12.3, "12 ms"),
            (999.9, "1.00 s"),
            (13_500.0, "13.50 s"),
            (59_999.0, "1 min 00 s"),
            (245_000.0, "4 min 05 s"),
            (7_500_000.0, "2 h 05 min"),
            (-3.5, "-3.50 ms"),
        ] {
            assert_eq!(span(millis), text);
        }
        assert_eq!((percent(Some(0.066)), percent(None)), ("6.6 %".into(), "–".into()));
    }

    #[test]
    fn times() {
        assert_eq!(clock(1_795_435_200, false), "12:00:00");
        assert_eq!(clock(1_795_435_200, true), "2026-11-23 12:00:00");
        assert_eq!(moment(None), "–");
    }

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!((shortened("äöü", 3), shortened("äöüß", 3)), ("äöü".into(), "äö…".into()));
    }
}
