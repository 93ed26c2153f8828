//! A point in time of the Redis clock, in microseconds.

use std::{fmt, ops::Sub, time::Duration};

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime, macros::format_description};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// From whole milliseconds since 1970; what is too far away for microseconds is the farthest that there is.
    pub const fn from_millis(millis: i64) -> Self {
        // Records of other producers bring any number here.
        Self(millis.saturating_mul(1_000))
    }

    /// Whole milliseconds since 1970, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// As a UTC time of day; a value outside the calendar's range becomes 1970.
    pub fn to_utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// From a UTC time of day, rounded down to a microsecond.
    pub fn from_utc(at: OffsetDateTime) -> Self {
        Self(i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX))
    }

    /// The UTC day.
    pub fn date(self) -> Date {
        self.to_utc().date()
    }

    /// How long after `earlier` this is; zero when it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self - earlier).unwrap_or(0))
    }
}

impl Sub for Micros {
    type Output = i64;
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

/// ISO 8601 in UTC with milliseconds, as the HTTP contract wants: `2026-11-23T12:00:00.000Z`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.to_utc();
        if let Ok(year @ 0..=9_999) = u32::try_from(at.year()) {
            // By hand: it stands in every answer.
            let mut text = *b"0000-00-00T00:00:00.000Z";
            digits(&mut text[..4], year);
            digits(&mut text[5..7], u8::from(at.month()).into());
            digits(&mut text[8..10], at.day().into());
            digits(&mut text[11..13], at.hour().into());
            digits(&mut text[14..16], at.minute().into());
            digits(&mut text[17..19], at.second().into());
            digits(&mut text[20..23], at.millisecond().into());
            return f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?);
        }
        let shape = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        f.write_str(&at.format(shape).map_err(|_| fmt::Error)?)
    }
}

/// Fills `into` with the last decimal digits of `number`.
fn digits(into: &mut [u8], mut number: u32) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand_it_is_what_the_calendar_says() {
        let shape = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        // Steps that meet every field, over four thousand years around 1970.
        for at in (-63_000_000_000_000_000_i64..63_000_000_000_000_000).step_by(7_654_321_987_654) {
            let at = Micros(at);
            assert_eq!(at.to_string(), at.to_utc().format(shape).unwrap());
        }
    }

    #[test]
    fn shown_in_utc_with_milliseconds() {
        assert_eq!(Micros(1_795_435_200_123_987).to_string(), "2026-11-23T12:00:00.123Z");
        assert_eq!(Micros::from_utc(Micros(-1_500).to_utc()), Micros(-1_500));
        for millis in [i64::MIN, i64::MAX] {
            assert_eq!(Micros::from_millis(millis).to_string(), "1970-01-01T00:00:00.000Z", "beyond every calendar");
        }
    }
}
