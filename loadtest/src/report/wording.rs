//! Numbers, times and names as people read them.

use super::Route;

/// What stands for a value that is not known.
pub(super) const UNKNOWN: &str = "–";

/// 1,234,567.
pub(super) fn grouped(number: u64) -> String {
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
pub(super) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// So many a second, with as many digits as anybody wants.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 99.95 { format!("{per_second:.1}") } else { grouped(per_second.round() as u64) }
}

/// A latency in milliseconds; unknown when it is 0, as all are that were not measured.
pub(super) fn latency(millis: f64) -> String {
    match millis {
        ms if ms.is_nan() || ms <= 0.0 => UNKNOWN.to_owned(),
        ms if ms < 0.999_5 => format!("{:.0} µs", ms * 1_000.0),
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 99.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_995.0 => format!("{:.2} s", ms / 1_000.0),
        ms => format!("{:.0} s", ms / 1_000.0),
    }
}

/// How long a run took.
pub(super) fn length(seconds: f64) -> String {
    if seconds < 119.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..7_200 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3_600, whole / 60 % 60),
    }
}

/// `part` of `whole` as a percentage.
pub(super) fn share(part: u64, whole: u64) -> String {
    if whole == 0 { UNKNOWN.to_owned() } else { format!("{:.1} %", part as f64 / whole as f64 * 100.0) }
}

/// An outcome in words: `already-purchased` is already purchased.
pub(super) fn words(name: &str) -> String {
    name.replace(['-', '_'], " ").to_lowercase()
}

/// A route in words, and what is asked.
pub(super) fn route(route: Route) -> (&'static str, &'static str) {
    match route {
        Route::Purchase => ("Purchases", "POST /api/v1/purchases"),
        Route::Status => ("Status of the sale", "GET /api/v1/sales"),
        Route::Receipt => ("Looking a purchase up", "GET /api/v1/purchases"),
    }
}

/// `text` without what would steer a terminal or turn the direction of writing.
pub(super) fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1,000", "12,345,678"]);
        assert_eq!([0.0, 0.26, 99.94, 99.96, 12_345.6].map(rate), ["0.0", "0.3", "99.9", "100", "12,346"]);
        assert_eq!((share(1, 3), share(0, 0)), ("33.3 %".to_owned(), UNKNOWN.to_owned()));
        assert_eq!((count(1, "answer"), count(2, "answer")), ("1 answer".to_owned(), "2 answers".to_owned()));
    }

    #[test]
    fn times() {
        for (millis, text) in [
            (0.0, "–"),
            (f64::NAN, "–"),
            (0.25, "250 µs"),
            (0.999_9, "1.00 ms"),
            (9.999, "10.0 ms"),
            (99.99, "100 ms"),
            (999.9, "1.00 s"),
            (120_000.0, "120 s"),
        ] {
            assert_eq!(latency(millis), text);
        }
        assert_eq!([1.23, 125.0, 7_500.0].map(length), ["1.2 s", "2 min 05 s", "2 h 05 min"]);
    }

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(words("already-purchased"), "already purchased");
    }
}
