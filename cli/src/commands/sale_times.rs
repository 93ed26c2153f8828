//! Times as a person types them: `now`, `+10m`, `2026-11-27T09:00:00Z`.

use std::time::SystemTime;

use flashsale_core::Micros;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Reads a time and answers it in the form that the API takes.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let now = Micros::from_utc(OffsetDateTime::from(SystemTime::now()));
    read(text, now).map(|at| at.to_string())
}

fn read(text: &str, now: Micros) -> Result<Micros, String> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(text) = text.strip_prefix('+') {
        let at = now.0.checked_add(span(text)?);
        return at.map(Micros).ok_or_else(|| "too far away".to_owned());
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map(Micros::from_utc)
        .map_err(|_| "expected `now`, a span such as +10m, or a time such as 2026-11-27T09:00:00Z".to_owned())
}

/// Reads a span such as 10m without its sign; answers microseconds.
pub(super) fn span(text: &str) -> Result<i64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: i64 = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("a span ends with s, m, h or d, as in 10m".into()),
    };
    let number = || "a span is a whole number and a unit, as in 10m".to_owned();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(number());
    }
    let count: i64 = digits.parse().map_err(|_| number())?;
    let span = count.checked_mul(unit).and_then(|seconds| seconds.checked_mul(1_000_000));
    span.ok_or_else(|| "too far away".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let now = Micros(1_795_435_200_000_000);
        assert_eq!(read("now", now), Ok(now));
        assert_eq!(read("+90m", now).map(|at| at.to_string()), Ok("2026-11-23T13:30:00.000Z".into()));
        assert_eq!(read("2026-11-23T13:00:00+01:00", now), Ok(now));
        for bad in ["", "tomorrow", "+", "+5", "+x1m", "+9999999999999999d", "2026-11-23"] {
            assert!(read(bad, now).is_err(), "{bad}");
        }
    }
}
