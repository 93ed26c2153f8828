//! Does a consumer keep up? Judged by what happened during a window, not by a threshold: a lag of a thousand
//! records that shrinks is well, a lag of one that stands still is not.

use serde::Serialize;
use utoipa::ToSchema;

/// How one partition stood at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When, in milliseconds of any clock that does not go back.
    pub at_ms: u64,
    /// The first offset that the consumer has not done; none when it is not known.
    pub position: Option<i64>,
    /// The offset that the next record gets; none when it is not known.
    pub end: Option<i64>,
    /// Whether a member of the group reads it.
    pub owned: bool,
    /// Whether an operator's order holds it.
    pub held: bool,
}

impl Sample {
    /// Records that wait; none when that is not known.
    pub fn lag(&self) -> Option<u64> {
        Some(u64::try_from(self.end? - self.position?).unwrap_or(0))
    }
}

/// What became of the lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = ConsumerVerdict)]
pub enum Verdict {
    /// It keeps up.
    Ok,
    /// Nobody can say.
    Unknown,
    /// It falls behind, or is held by an order.
    Warn,
    /// It went back.
    Rewind,
    /// It is read and does not move.
    Stall,
    /// Nobody reads it.
    Stop,
}

impl Verdict {
    /// Every verdict, the best first.
    pub const ALL: [Self; 6] = [Self::Ok, Self::Unknown, Self::Warn, Self::Rewind, Self::Stall, Self::Stop];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Unknown => "UNKNOWN",
            Self::Warn => "WARN",
            Self::Rewind => "REWIND",
            Self::Stall => "STALL",
            Self::Stop => "STOP",
        }
    }
}

/// Judges a window of samples, the oldest first; `settled_ms` is how long a lag must be watched before it is held
/// against the consumer. Returns the verdict and why.
pub fn judge(window: &[Sample], settled_ms: u64) -> (Verdict, String) {
    let Some((first, last)) = window.first().zip(window.last()) else {
        return (Verdict::Unknown, "it was not looked at yet".into());
    };
    let span = last.at_ms.saturating_sub(first.at_ms);
    let seconds = span as f64 / 1_000.0;
    let nobody = window.iter().all(|sample| !sample.owned);
    if let Some((from, to)) = went_back(window) {
        return (Verdict::Rewind, format!("it went back from offset {from} to {to}"));
    }
    if last.held && last.lag() != Some(0) {
        return (Verdict::Warn, format!("an order holds it, {}", waiting(last.lag())));
    }
    match last.lag() {
        Some(0) => return (Verdict::Ok, "it is at the end".into()),
        lag if nobody && span >= settled_ms => {
            return (Verdict::Stop, format!("nobody reads it, {}", waiting(lag)));
        }
        None => return (Verdict::Unknown, "its position or its end is not known".into()),
        Some(_) => {}
    }
    if let Some(caught_up) = window.iter().rev().find(|sample| sample.lag() == Some(0)) {
        let ago = last.at_ms.saturating_sub(caught_up.at_ms) as f64 / 1_000.0;
        return (Verdict::Ok, format!("it was at the end {ago:.0} s ago"));
    }
    if span < settled_ms {
        return (Verdict::Unknown, format!("{}, and it was watched for {seconds:.0} s only", waiting(last.lag())));
    }
    let lags: Vec<u64> = window.iter().filter_map(Sample::lag).collect();
    if first.position.is_some() && first.position == last.position {
        return (Verdict::Stall, format!("it did not move for {seconds:.0} s, {}", waiting(last.lag())));
    }
    let grows = lags.windows(2).all(|pair| pair[1] >= pair[0]) && lags.last() > lags.first();
    if grows {
        let more = lags.last().zip(lags.first()).map_or(0, |(last, first)| last - first);
        return (Verdict::Warn, format!("it fell {more} records further behind in {seconds:.0} s"));
    }
    (Verdict::Ok, format!("{}, and it keeps up", waiting(last.lag())))
}

/// Records per second that were done during the window; none when that is not known.
pub fn rate(window: &[Sample]) -> Option<f64> {
    let known = |sample: &&Sample| sample.position.is_some();
    let (first, last) = (window.iter().find(known)?, window.iter().rev().find(known)?);
    let span = last.at_ms.checked_sub(first.at_ms).filter(|span| *span > 0)?;
    let done = last.position?.saturating_sub(first.position?).max(0);
    Some(done as f64 * 1_000.0 / span as f64)
}

fn went_back(window: &[Sample]) -> Option<(i64, i64)> {
    let positions: Vec<i64> = window.iter().filter_map(|sample| sample.position).collect();
    positions.windows(2).find(|pair| pair[1] < pair[0]).map(|pair| (pair[0], pair[1]))
}

/// How many records wait, in words.
fn waiting(count: Option<u64>) -> String {
    match count {
        Some(1) => "1 record waits".into(),
        Some(count) => format!("{count} records wait"),
        None => "an unknown number of records wait".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample a second: position and end.
    fn window(samples: &[(i64, i64)]) -> Vec<Sample> {
        let sample = |(second, (position, end)): (u64, &(i64, i64))| Sample {
            at_ms: second * 1_000,
            position: Some(*position),
            end: Some(*end),
            owned: true,
            held: false,
        };
        (0..).zip(samples).map(sample).collect()
    }

    fn verdict(window: &[Sample]) -> Verdict {
        judge(window, 2_000).0
    }

    #[test]
    fn a_lag_that_shrinks_or_was_gone_is_well_however_large() {
        assert_eq!(verdict(&window(&[(0, 9_000), (3_000, 10_000), (7_000, 11_000)])), Verdict::Ok);
        assert_eq!(verdict(&window(&[(5, 5), (5, 900), (5, 2_000)])), Verdict::Ok, "at the end two seconds ago");
        assert_eq!(verdict(&window(&[(5, 5)])), Verdict::Ok);
        assert_eq!(verdict(&window(&[(1, 9), (3, 12), (5, 13), (6, 15)])), Verdict::Ok, "now and then it gains");
    }

    #[test]
    fn one_record_that_waits_for_long_is_a_stall() {
        assert_eq!(verdict(&window(&[(8, 9), (8, 9), (8, 9)])), Verdict::Stall);
        assert_eq!(verdict(&window(&[(8, 9), (8, 9)])), Verdict::Unknown, "not watched for long enough");
    }

    #[test]
    fn who_moves_and_falls_behind_all_the_time_is_warned_of() {
        let (verdict, why) = judge(&window(&[(0, 10), (1, 15), (2, 20)]), 2_000);
        assert_eq!((verdict, why.as_str()), (Verdict::Warn, "it fell 8 records further behind in 2 s"));
    }

    #[test]
    fn who_went_back_is_told_so_also_when_it_is_at_the_end_again() {
        let (verdict, why) = judge(&window(&[(9, 9), (2, 9), (9, 9)]), 2_000);
        assert_eq!((verdict, why.as_str()), (Verdict::Rewind, "it went back from offset 9 to 2"));
    }

    #[test]
    fn nobody_who_reads_is_a_stop_unless_nothing_waits() {
        let mut left = window(&[(5, 9), (5, 9), (5, 9)]);
        left.iter_mut().for_each(|sample| sample.owned = false);
        assert_eq!(verdict(&left), Verdict::Stop);
        left.iter_mut().for_each(|sample| sample.position = None);
        assert_eq!(verdict(&left), Verdict::Stop, "whatever its position is");
        left.iter_mut().for_each(|sample| sample.position = Some(9));
        assert_eq!(verdict(&left), Verdict::Ok);
        let mut taken = window(&[(5, 9), (5, 9), (5, 9)]);
        taken[0].owned = false;
        taken[1].owned = false;
        assert_eq!(verdict(&taken), Verdict::Stall, "somebody reads it now");
    }

    #[test]
    fn what_is_not_known_is_unknown_and_not_zero() {
        let mut blind = window(&[(5, 9), (6, 9), (7, 9)]);
        blind[2].end = None;
        assert_eq!((blind[2].lag(), verdict(&blind)), (None, Verdict::Unknown));
        assert_eq!(verdict(&[]), Verdict::Unknown);
        assert_eq!(rate(&window(&[(5, 9)])), None);
    }

    #[test]
    fn an_order_that_holds_is_no_stall() {
        let mut held = window(&[(5, 9), (5, 9), (5, 9)]);
        held[2].held = true;
        let (verdict, why) = judge(&held, 2_000);
        assert_eq!((verdict, why.as_str()), (Verdict::Warn, "an order holds it, 4 records wait"));
    }

    #[test]
    fn the_rate_is_what_was_done_in_the_time() {
        assert_eq!(rate(&window(&[(0, 9), (50, 90), (100, 200)])), Some(50.0));
        assert_eq!(rate(&window(&[(100, 200), (50, 200)])), Some(0.0), "what goes back does nothing");
    }

    #[test]
    fn the_worst_verdict_is_the_greatest() {
        assert!(Verdict::ALL.is_sorted());
        assert_eq!(Verdict::ALL.map(Verdict::as_str)[5], "STOP");
    }
}
