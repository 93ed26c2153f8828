//! The report, as people and programs read it.

use std::{collections::BTreeSet, time::Duration};

use flashsale_loadtest::{
    recorder::{Outcome, Recording, Route, Times},
    report::{Limit, ListenersReport, Percentile, Percentiles, Report, Run},
    verdict::{Check, State, StoreCount, Verdict},
};
use hdrhistogram::Histogram;
use serde_json::Value as Json;

/// What somebody writes who means harm.
const SCRIPT: &str = "\"><script>alert('1')</script><img src=https://example.org/x onerror=alert(2)>&\x1b[2J";
const MILLI: u64 = 1_000_000;

fn run() -> Run {
    Run {
        scenario: "stampede".to_owned(),
        description: "1,000 shoppers want 100 units at once.".to_owned(),
        url: "http://127.0.0.1:8080".to_owned(),
        seed: 7,
        started_at: "2026-11-23T12:00:00.000Z".to_owned(),
    }
}

/// A thousand attempts that took 1 ms, 2 ms, 3 ms …, half of the time before they were written.
fn recording() -> Recording {
    let mut recording = Recording { took: Duration::from_secs(2), connected: 10, ..Recording::default() };
    for n in 1..=1_000 {
        let due = n * MILLI;
        let outcome = match n % 10 {
            0 => Outcome::Purchased,
            1 => Outcome::AlreadyPurchased,
            _ => Outcome::SoldOut,
        };
        let times = Times { due, sent: due + n * MILLI / 2, answered: due + n * MILLI };
        recording.note(Route::Purchase, times, outcome);
    }
    recording
}

fn verdict(proven: bool) -> Verdict {
    let count = Some(StoreCount { sold: 100, of: 100 });
    let what = "never more sold than there was".to_owned();
    let (state, detail) = if proven { (State::Holds, String::new()) } else { (State::Broken, SCRIPT.to_owned()) };
    let checks = vec![Check { id: "I1", what, state, detail }];
    let (redis, log, postgres) = (count, count, None);
    Verdict { proven, checks, redis, log, postgres, told: 100, looked_up: 40, converged_seconds: 1.25 }
}

/// One check that holds, and one that could not be made.
fn verdict_in_part() -> Verdict {
    let mut verdict = verdict(true);
    let (what, detail) = ("equal keys got equal answers".to_owned(), "no attempt was kept".to_owned());
    verdict.checks.push(Check { id: "I8", what, state: State::NotChecked, detail });
    Verdict { proven: false, ..verdict }
}

fn listeners(rises: usize) -> ListenersReport {
    ListenersReport { count: 20, opened: 20, saw_the_end: 19, resets: 1, rises, lag: Some(Percentiles::default()) }
}

fn limits(texts: &[&str]) -> Vec<Limit> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A run in which everything that can be wrong is, and every text is hostile.
fn hostile() -> Report {
    let mut recording = recording();
    let times = Times { due: 0, sent: 0, answered: MILLI };
    recording.note(Route::Purchase, times, Outcome::Unexpected(418));
    recording.note(Route::Purchase, times, Outcome::Broken);
    recording.note(Route::Purchase, times, Outcome::RateLimited);
    recording.note(Route::Status, times, Outcome::Found);
    recording.note(Route::Receipt, times, Outcome::NotFound);
    recording.fail(SCRIPT, 3);
    recording.unsent = 5;
    let run = Run {
        scenario: SCRIPT.to_owned(),
        description: SCRIPT.to_owned(),
        url: SCRIPT.to_owned(),
        started_at: SCRIPT.to_owned(),
        seed: 1,
    };
    Report::of(&recording, run, Some(listeners(2)), Some(verdict(false)), &limits(&["p99<1ms"]))
}

fn empty() -> Report {
    Report::of(&Recording::default(), run(), None, None, &[])
}

#[test]
fn percentiles_are_right() {
    let report = Report::of(&recording(), run(), None, None, &[]);
    let route = &report.routes[0];
    let Percentiles { p50_ms, p90_ms, p95_ms, p99_ms, p999_ms, max_ms, mean_ms } = route.since_due;
    let found = [p50_ms, p90_ms, p95_ms, p99_ms, p999_ms, max_ms, mean_ms];
    for (found, wanted) in found.into_iter().zip([500.0, 900.0, 950.0, 990.0, 999.0, 1_000.0, 500.5]) {
        assert!((found - wanted).abs() <= wanted / 1_000.0, "{found} is not {wanted}");
    }
    assert!((route.since_sent.p50_ms - 250.0).abs() <= 0.25, "{}", route.since_sent.p50_ms);
    assert_eq!((route.sent, route.answered, route.refused), (1_000, 1_000, None));
    assert_eq!(route.per_second, 500.0);
    assert_eq!(Percentiles::of(&Histogram::new(3).unwrap()), Percentiles::default());
}

#[test]
fn a_distribution_goes_as_far_as_there_are_answers() {
    let report = Report::of(&recording(), run(), None, None, &[]);
    let distribution = &report.routes[0].distribution;
    let (first, last) = (distribution[0], distribution[distribution.len() - 1]);
    assert!((first.quantile - 0.5).abs() < 1e-9 && (last.quantile - 0.999).abs() < 1e-9, "{first:?} {last:?}");
    assert!(distribution.is_sorted_by(|one, next| one.since_due_ms <= next.since_due_ms), "{distribution:?}");
}

#[test]
fn what_was_refused_or_broken_is_counted_and_not_mixed_in() {
    let report = hostile();
    let route = &report.routes[0];
    assert_eq!((route.sent, route.answered), (1_003, 1_002));
    assert_eq!(route.outcomes["sold-out"], 800);
    assert_eq!(route.outcomes["broken"], 1);
    assert!(route.refused.is_some_and(|refused| refused.max_ms < 1.01));
    let in_seconds: u64 = route.over_time.iter().map(|moment| moment.answered).sum();
    assert_eq!((in_seconds, route.over_time.len()), (1_002, 3));
    assert_eq!(
        report.routes.iter().map(|route| route.route).collect::<Vec<_>>(),
        [Route::Purchase, Route::Status, Route::Receipt]
    );
}

#[test]
fn limits_are_read_as_they_are_written() {
    for (text, percentile, max_ms) in [
        ("p99<2s", Percentile::P99, 2_000.0),
        ("p50<500ms", Percentile::P50, 500.0),
        ("p99.9<250us", Percentile::P999, 0.25),
        ("max<1.5s", Percentile::Max, 1_500.0),
        ("mean<20ms", Percentile::Mean, 20.0),
    ] {
        let limit: Limit = text.parse().unwrap();
        assert_eq!(limit, Limit { percentile, max_ms });
        assert_eq!(limit.to_string(), text);
    }
    assert_eq!(" p90 < 1 s ".parse::<Limit>().unwrap().to_string(), "p90<1s");
    for wrong in ["", "p99", "p98<2s", "p99<2", "p99<2h", "p99<-1s", "p99<0ms", "p99<infs", "p99<", "p99>2s"] {
        assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
    }
}

#[test]
fn a_limit_that_does_not_hold_fails_the_run() {
    let of = |limit| Report::of(&recording(), run(), None, Some(verdict(true)), &limits(&[limit]));
    assert!(of("p99<1s").passed());
    let report = of("p99<500ms");
    assert!(!report.passed() && !report.thresholds[0].holds);
    assert!(report.text(false).contains("Failed  1 of 1 checks hold; 0 of 1 limits hold."), "{}", report.text(false));
    // Nothing was measured, so nothing was kept.
    assert!(!Report::of(&Recording::default(), run(), None, None, &limits(&["p99<1s"])).passed());
}

#[test]
fn what_was_not_checked_fails_nothing_and_is_not_proven() {
    let report = Report::of(&recording(), run(), None, Some(verdict_in_part()), &limits(&["p99<2s"]));
    assert!(report.passed());
    let text = report.text(false);
    assert!(
        text.contains("  ? I8  equal keys got equal answers\n        not checked: no attempt was kept\n"),
        "{text}"
    );
    let summary = "Proven in part  1 of 2 checks hold, 1 not checked; 1 of 1 limits hold.\n";
    assert!(text.ends_with(summary), "{text}");
    let page = report.html();
    assert!(page.contains("<span class=\"tag open\">not checked</span><span class=\"id\">I8</span>"), "{page}");
    assert!(page.contains("class=\"verdict open\"") && page.contains("Proven in part"), "{page}");
    let json: Json = serde_json::from_str(&report.json().unwrap()).unwrap();
    let checks = json["verdict"]["checks"].as_array().unwrap();
    let states: Vec<&str> = checks.iter().filter_map(|check| check["state"].as_str()).collect();
    assert_eq!(states, ["holds", "not-checked"]);
    assert_eq!((&json["verdict"]["proven"], &json["verdict"]["lookedUp"]), (&Json::from(false), &Json::from(40)));
}

#[test]
fn limits_are_for_purchases_or_else_for_the_status() {
    let mut recording = Recording::default();
    recording.note(Route::Status, Times { due: 0, sent: 0, answered: 5 * MILLI }, Outcome::Found);
    let measured = |recording: &Recording| {
        Report::of(recording, run(), None, None, &limits(&["max<1s"])).thresholds[0].measured_ms
    };
    assert!((measured(&recording) - 5.0).abs() < 0.01);
    recording.note(Route::Purchase, Times { due: 0, sent: 0, answered: 9 * MILLI }, Outcome::SoldOut);
    assert!((measured(&recording) - 9.0).abs() < 0.01);
}

#[test]
fn i_11_a_stock_that_rose_fails_the_run() {
    let of = |rises, proven| Report::of(&recording(), run(), Some(listeners(rises)), Some(verdict(proven)), &[]);
    assert!(of(0, true).passed());
    assert!(!of(1, true).passed());
    assert!(!of(0, false).passed());
}

#[test]
fn texts_are_escaped_wherever_they_stand() {
    let page = hostile().html();
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\x1b'), "{page}");
    let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;&#47;script&gt;";
    // Scenario in title and heading, description, servers, start, failure, detail of a check.
    assert_eq!(page.matches(escaped).count(), 7, "{page}");
}

#[test]
fn the_page_fetches_and_runs_nothing() {
    let policy =
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">";
    for report in [hostile(), Report::of(&recording(), run(), None, Some(verdict(true)), &[])] {
        let page = report.html();
        assert!(page.contains(policy));
        for foreign in ["http://", "https://", "url(", "@import", " src=\"", " href=", " style=\"", "<link", "xmlns"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}

#[test]
fn tags_are_closed_and_ids_are_unique() {
    for report in [hostile(), empty()] {
        let page = report.html();
        for tag in [
            "main",
            "header",
            "section",
            "figure",
            "figcaption",
            "svg",
            "text",
            "title",
            "desc",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "details",
            "ul",
            "li",
            "dl",
            "dt",
            "dd",
            "div",
            "span",
            "small",
            "p",
            "h1",
            "h2",
            "h3",
            "bdi",
        ] {
            let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}

#[test]
fn every_chart_has_a_name_and_a_sentence() {
    let page = hostile().html();
    assert_eq!(page.matches("<svg class=\"chart\"").count(), 9);
    for part in ["role=\"img\" aria-labelledby=", "<desc id=", "<title id=", "<figcaption>", "class=\"legend\""] {
        assert_eq!(page.matches(part).count(), 9, "{part}");
    }
}

#[test]
fn nothing_at_all_is_shown_too() {
    let mut refused = Recording::default();
    refused.note(Route::Purchase, Times { due: 0, sent: 0, answered: MILLI }, Outcome::Unavailable);
    let refused = Report::of(&refused, run(), Some(listeners(0)), None, &limits(&["p50<1s"]));
    for report in [empty(), refused] {
        let (page, text, json) = (report.html(), report.text(true), report.json().unwrap());
        for shown in [&page, &text, &json] {
            assert!(!shown.contains("NaN") && !shown.contains(">inf") && !shown.contains(" inf"), "{shown}");
        }
        // What is no number is written as null.
        assert!(!json.contains("Ms\": null"), "{json}");
    }
    assert!(empty().passed() && empty().text(false).contains("Nothing was answered."));
}

#[test]
fn the_terminal_shows_what_was_found() {
    let report = hostile();
    let text = report.text(false);
    assert!(!text.contains('\x1b'), "{text}");
    for part in ["✗ p99<1ms", "✗ I1  never more", "already purchased", "unexpected 418", "100 of 100 sold", "Failed"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let coloured = report.text(true);
    assert!(coloured.contains("\x1b[31mFailed\x1b[0m") && !coloured.contains("\x1b[2J"), "{coloured}");
    let proven = Report::of(&recording(), run(), None, Some(verdict(true)), &limits(&["p99<2s"])).text(false);
    assert!(proven.ends_with("Proven  1 of 1 checks hold; 1 of 1 limits hold.\n"), "{proven}");
}

#[test]
fn programs_find_units_in_names() {
    let report = Report::of(&recording(), run(), None, Some(verdict(true)), &limits(&["p99<2s"]));
    let json: Json = serde_json::from_str(&report.json().unwrap()).unwrap();
    let route = &json["routes"][0];
    assert_eq!((&route["route"], &route["outcomes"]["purchased"]), (&Json::from("purchase"), &Json::from(100)));
    assert!(route["sinceDue"]["p99Ms"].as_f64().is_some_and(|p99| (p99 - 990.0).abs() < 1.0), "{route}");
    assert_eq!(route["overTime"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["thresholds"][0]["name"], "p99<2s");
    assert_eq!((&json["verdict"]["proven"], &json["seed"]), (&Json::from(true), &Json::from(7)));
    assert_eq!(json["clientCpuSeconds"], 0.0);
}

#[test]
fn a_long_run_makes_no_long_page() {
    let mut recording = Recording { took: Duration::from_secs(5_000), ..Recording::default() };
    for second in 0..5_000 {
        let due = second * 1_000 * MILLI;
        recording.note(Route::Purchase, Times { due, sent: due, answered: due + MILLI }, Outcome::SoldOut);
    }
    let report = Report::of(&recording, run(), None, None, &[]);
    // Twice as wide whenever there would be more than 300: 157 of 32 seconds, the last of which has 8.
    let over_time = &report.routes[0].over_time;
    let (first, last) = (&over_time[0], &over_time[over_time.len() - 1]);
    assert_eq!((over_time.len(), first.second, first.seconds, first.answered), (157, 0, 32, 32));
    assert_eq!((last.second, last.seconds, last.answered), (4_992, 8, 8));
    let page = report.html();
    assert!(page.len() < 300_000, "{}", page.len());
    assert!(page.contains("A point is 32 seconds.") && page.contains("seconds 4,992 to 4,999: 1.0 a second"), "{page}");
}

#[test]
fn a_point_of_several_seconds_is_the_worst_of_them() {
    let mut recording = Recording { took: Duration::from_secs(200), ..Recording::default() };
    for second in 0..200 {
        let due = second * 1_000 * MILLI;
        recording.note(Route::Status, Times { due, sent: due, answered: due + (second + 1) * MILLI }, Outcome::Found);
    }
    let page = Report::of(&recording, run(), None, None, &[]).html();
    assert!(page.contains("A point is the worst of 2 seconds."), "{page}");
    assert!(page.contains("seconds 198 to 199: 1.0 a second, 2 found"), "{page}");
}
