use flashsale_schemas::events::{ChangeKind, Outcome};

use super::*;
use crate::sample::{SECOND, START, builder, change, log_of, refusal, unit};

fn plain(report: &Report) -> String {
    text(report, 80, &|_, text| text.to_owned())
}

/// Whether a line of `shown` has all of these in it.
fn has_line(shown: &str, parts: &[&str]) -> bool {
    shown.lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

#[test]
fn every_section_has_its_figures() {
    let mut builder = builder();
    builder.decision(&unit(1, "ann", START + 2_000, Some(START)), Some(START / 1_000 + 7));
    builder.decision(&unit(2, "bob", START + 3_000, Some(START + 1_000)), Some(START / 1_000 + 7));
    builder.decision(&refusal(1, "cy", Outcome::SaleNotActive, Some("PAUSED"), START + SECOND), None);
    builder.decision(&refusal(2, "cy", Outcome::AlreadyPurchased, None, START + SECOND), None);
    builder.event(&change(3, ChangeKind::Paused, START + SECOND / 2));
    let shown = plain(&builder.build(None).unwrap());
    for parts in [
        &["PHONE", "06C5HN3T8Q2Z", "ACTIVE, paused"][..],
        &["2 of 10 units sold", "2026-11-23T12:00:00.000Z"],
        &["4 attempts by 3 shoppers"],
        &["accepted", "2", "50.0 %", "█"],
        &["  PAUSED", "1", "25.0 %"],
        &["12:00:00", "12:00:02"],
        &["to the decision", "2.00 ms", "2"],
        &["to the log", "6.00 ms", "7.00 ms"],
        &["once", "2"],
        &["2 attempts by cy, in vain"],
        &["neighbouring units in order of arrival", "100.0 %"],
        &["10.", "0 of", "1"],
        &["2 units to 2 shoppers, 8 left over"],
        &["2 in the first minute, 0 later"],
        &["100.0 %", "by ingest ingest-1"],
        &["2026-11-23T12:00:00.500Z", "paused"],
    ] {
        assert!(has_line(&shown, parts), "{parts:?} in:\n{shown}");
    }
    assert!(!shown.contains('\x1b') && !shown.contains("verify"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
}

#[test]
fn an_empty_sale_is_shown_too() {
    let shown = plain(&log_of(&[]));
    assert!(has_line(&shown, &["0 of 10 units sold"]), "{shown}");
    assert!(has_line(&shown, &["largest overtaking", "–"]), "{shown}");
    assert!(!shown.contains("Attempts over time"), "{shown}");
}

#[test]
fn what_must_not_be_stands_out() {
    let report = log_of(&[unit(1, "ann", START, None), unit(4, "ann", START, None)]);
    let shown = text(&report, 80, &|tone, text| if tone == Tone::Bad { format!("!{text}!") } else { text.to_owned() });
    assert!(has_line(&shown, &["!  2 units missing in the log; `flashsale verify` tells more!"]), "{shown}");
    assert!(has_line(&shown, &["!  1 shopper with more than one unit"]), "{shown}");
}

#[test]
fn names_cannot_steer_the_terminal() {
    let log: Vec<_> = (1..3).map(|n| refusal(n, "\x1b[2Jeve", Outcome::SoldOut, None, START)).collect();
    let shown = plain(&log_of(&log));
    assert!(!shown.contains('\x1b') && has_line(&shown, &["2 attempts by", "[2Jeve, in vain"]), "{shown}");
}

#[test]
fn bars_are_as_long_as_their_part() {
    assert_eq!((bar(1, 1, 4), bar(1, 2, 4), bar(3, 16, 4)), ("████".into(), "██".into(), "▊".into()));
    assert_eq!((bar(0, 9, 4), bar(1, 1_000_000, 4), bar(0, 0, 4)), (String::new(), "▏".into(), String::new()));
    let column = |part| (0..CURVE_LINES).map(|line| cell(part, 64, line)).collect::<String>();
    assert_eq!((column(64), column(12), column(0)), ("████████".into(), "█▄      ".into(), "        ".into()));
}
