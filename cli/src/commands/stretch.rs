//! A stretch of a topic, as a person types it.

use std::{fmt, time::SystemTime};

use flashsale_core::Micros;
use flashsale_ledger::Ledger;
use flashsale_streaming::{ScanFrom, ScanRanges, ScanUntil, resolve};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::commands::sale_times;

/// One end of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Beginning,
    End,
    /// Of every partition.
    Offset(i64),
    /// Record stamps have milliseconds. One that was given as a span is another each time it is typed.
    At {
        millis: i64,
        is_span: bool,
    },
}

/// Reads where a stretch begins.
pub(super) fn from(text: &str) -> Result<Bound, String> {
    match read(text, now())? {
        Bound::End => Err("nothing lies behind the end".into()),
        bound => Ok(bound),
    }
}

/// Reads where a stretch ends.
pub(super) fn until(text: &str) -> Result<Bound, String> {
    match read(text, now())? {
        Bound::Beginning => Err("nothing lies before the beginning".into()),
        bound => Ok(bound),
    }
}

fn now() -> Micros {
    Micros::from_utc(OffsetDateTime::from(SystemTime::now()))
}

fn read(text: &str, now: Micros) -> Result<Bound, String> {
    match text {
        "beginning" => return Ok(Bound::Beginning),
        "end" => return Ok(Bound::End),
        _ => {}
    }
    if let Some(offset) = text.strip_prefix("offset=") {
        return match offset.parse() {
            Ok(offset) if offset >= 0 => Ok(Bound::Offset(offset)),
            _ => Err("an offset is a whole number, as in offset=1000".into()),
        };
    }
    if let Some(span) = text.strip_prefix('-') {
        let at = now.0.checked_sub(sale_times::span(span)?).map(|at| Micros(at).as_millis());
        return at.map(|millis| Bound::At { millis, is_span: true }).ok_or_else(|| "too far away".into());
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|at| Bound::At { millis: Micros::from_utc(at).as_millis(), is_span: false })
        .map_err(|_| {
            "expected `beginning`, `end`, `offset=N`, a span before now such as -10m, or a time such as \
             2026-11-27T09:00:00Z"
                .into()
        })
}

/// In a form that means the same at any time.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning => f.write_str("beginning"),
            Self::End => f.write_str("end"),
            Self::Offset(offset) => write!(f, "offset={offset}"),
            Self::At { millis, .. } => write!(f, "{}", Micros(millis.saturating_mul(1_000))),
        }
    }
}

impl Bound {
    /// Whether it says the same each time it is typed.
    pub(super) fn is_fixed(self) -> bool {
        !matches!(self, Self::At { is_span: true, .. })
    }
}

/// The offsets of a stretch of the topic that the brokers call `name`.
pub(super) async fn offsets(ledger: &Ledger, name: &str, from: Bound, until: Bound) -> anyhow::Result<ScanRanges> {
    let (scan_from, scan_until) = questions(from, until);
    let mut ranges = resolve(ledger.streaming(), name, &scan_from, &scan_until).await?;
    cut(&mut ranges, from, until);
    Ok(ranges)
}

/// What the brokers are asked; offsets are left to [`cut`].
fn questions(from: Bound, until: Bound) -> (ScanFrom, ScanUntil) {
    let from = match from {
        Bound::At { millis, .. } => ScanFrom::Time(millis),
        _ => ScanFrom::Beginning,
    };
    let until = match until {
        Bound::At { millis, .. } => ScanUntil::Time(millis),
        _ => ScanUntil::End,
    };
    (from, until)
}

/// Cuts every range at the offsets that were asked for.
fn cut(ranges: &mut ScanRanges, from: Bound, until: Bound) {
    for range in ranges.values_mut() {
        if let Bound::Offset(offset) = from {
            range.start = offset.clamp(range.start, range.end);
        }
        if let Bound::Offset(offset) = until {
            range.end = offset.clamp(range.start, range.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros(1_795_435_200_000_000);

    #[test]
    fn every_form_of_a_bound() {
        let shown = |text: &str| read(text, NOW).map(|bound| bound.to_string());
        assert_eq!(shown("beginning"), Ok("beginning".to_owned()));
        assert_eq!(shown("end"), Ok("end".to_owned()));
        assert_eq!(shown("offset=12"), Ok("offset=12".to_owned()));
        assert_eq!(shown("-90m"), Ok("2026-11-23T10:30:00.000Z".to_owned()));
        assert_eq!(shown("2026-11-23T13:00:00+01:00"), Ok("2026-11-23T12:00:00.000Z".to_owned()));
        for bad in ["", "now", "-", "-5", "-x1m", "offset=", "offset=-1", "-9999999999999999d", "2026-11-23"] {
            assert!(read(bad, NOW).is_err(), "{bad}");
        }
        assert!(from("end").is_err() && until("beginning").is_err());
        assert!(read("-1s", NOW).is_ok_and(|bound| !bound.is_fixed()));
    }

    #[test]
    fn offsets_cut_and_never_widen() {
        let mut ranges = ScanRanges::from([(0, 10..20), (1, 0..5), (2, 30..40)]);
        cut(&mut ranges, Bound::Offset(12), Bound::Offset(15));
        assert_eq!(ranges, ScanRanges::from([(0, 12..15), (1, 5..5), (2, 30..30)]));
    }
}
