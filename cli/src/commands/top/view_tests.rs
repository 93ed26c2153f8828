use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use serde_json::{Value, json};

use super::*;

fn second(accepted: u64, sold_out: u64, p99: Value) -> Value {
    json!({
        "at": "2026-11-27T09:00:06.000Z", "accepted": accepted, "alreadyPurchased": 2, "soldOut": sold_out,
        "notActive": 0, "p50Ms": 3.24, "p99Ms": p99,
    })
}

fn consumer(name: &str, verdict: &str, why: &str) -> Value {
    json!({
        "name": name, "ours": true, "state": "STABLE", "partitions": [], "verdict": verdict, "why": why,
        "members": [{ "memberId": "m", "clientId": "c", "host": "/127.0.0.1", "partitions": [] }],
        "lagRecords": 1200, "lagSeconds": 2.5, "perSecond": 950.4, "paused": "NONE", "order": null,
    })
}

fn full() -> (Value, Value) {
    let sale = json!({
        "sku": "PHONE", "saleId": "s", "productName": "A phone", "state": "ACTIVE", "endReason": null, "paused": false,
        "initialStock": 500, "sold": 200, "stock": 300, "startTime": "x", "endTime": "x", "outbox": 12,
        "soldPerSecond": 42.6,
    });
    let (mut paused, mut over) = (sale.clone(), sale.clone());
    (paused["sku"], paused["paused"]) = (json!("TABLET"), json!(true));
    (over["sku"], over["state"], over["endReason"], over["stock"]) =
        (json!("WATCH"), json!("ENDED"), json!("SOLD_OUT"), json!(0));
    let overview = json!({
        "at": "2026-11-27T09:00:07.123Z", "sales": [sale, paused, over],
        "decisions": { "seconds": [second(10, 0, json!(8)), second(80, 5, json!(12.6)), second(40, 900, json!(null))] },
        "deadLetters": { "open": 3 }, "outbox": { "entries": 12 },
        "lastReconciliation": {
            "runId": "r", "saleId": "s", "sku": "WATCH", "finishedAt": "2026-11-27T08:59:03.000Z", "mode": "REPAIR",
            "trigger": "SALE_ENDED", "compared": 500, "found": 2, "repaired": 2, "discrepancies": [],
        },
    });
    let mut held = consumer("flashsale-sink-postgres", "STALL", "it reads nothing, although 1200 records wait");
    held["paused"] = json!("SOME");
    held["order"] = json!({
        "action": "PAUSE", "partitions": [3], "untilOffset": null, "issuedBy": "maria",
        "issuedAt": "2026-11-27T08:30:00.000Z",
    });
    let mut free = consumer("flashsale-processor-status", "OK", "it is at the end");
    (free["order"], free["order"]["action"]) = (held["order"].clone(), json!("RESUME"));
    let consumers = json!({
        "at": "2026-11-27T09:00:07.123Z", "windowSeconds": 3,
        "consumers": [held, free],
    });
    (overview, consumers)
}

fn of((overview, consumers): (Value, Value)) -> Model {
    let mut model = Model::new("http://shop:8080/", true);
    model.look = Some(Look::read(overview, consumers).unwrap());
    model.age = Duration::from_secs(1);
    model
}

fn drawn(model: &Model, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    terminal.backend().buffer().clone()
}

fn rows(model: &Model, width: u16, height: u16) -> Vec<String> {
    let buffer = drawn(model, width, height);
    let cell = |x: u16, y: u16| buffer[(x, y)].symbol().to_owned();
    (0..height).map(|y| (0..width).map(|x| cell(x, y)).collect::<String>().trim_end().to_owned()).collect()
}

/// The colour of the first letter of a word.
fn colour(model: &Model, word: &str) -> Color {
    let text = rows(model, 80, 24);
    let y = text.iter().position(|row| row.contains(word)).unwrap_or_else(|| panic!("{word} in {text:#?}"));
    let x = text[y].chars().count() - text[y][text[y].find(word).unwrap()..].chars().count();
    drawn(model, 80, 24)[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())].fg
}

#[test]
fn everything_fits_on_80_by_24() {
    let rows = rows(&of(full()), 80, 24);
    let above = [
        "flashsale top  http://shop:8080                            09:00:07 UTC, 1 s old",
        "Sales (3)",
        "  SKU              STATE     STOCK           LEFT    OF        SOLD/S  OUTBOX",
        "  PHONE            ACTIVE    ████████░░░░     300 of 500           43      12",
        "  TABLET           PAUSED    ████████░░░░     300 of 500           43      12",
        "  WATCH            SOLD OUT  ░░░░░░░░░░░░       0 of 500           43      12",
        "",
        "Decisions a second   to the log: p50 3.2 ms  p99 13 ms",
        "  accepted                                            ▁█▄      40/s  peak     80",
        "  already                                             ███       2/s  peak      2",
        "  sold out                                             ▁█     900/s  peak    900",
        "  not active                                                    0/s  peak      0",
        "",
    ];
    assert_eq!(rows[..13], above, "{rows:#?}");
    let below = [
        "Consumers (2)",
        "  CONSUMER                       VERDICT       LAG   BEHIND   PER S MEMBERS HELD",
        "  flashsale-sink-postgres        STALL        1200    2.5 s     950       1 some",
        "    it reads nothing, although 1200 records wait",
        "    order PAUSE by maria at 08:30:00 UTC",
        "  flashsale-processor-status     OK           1200    2.5 s     950       1",
        "",
        "Outbox        12",
        "Dead letters  3 open",
        "Compared      WATCH at 08:59:03, REPAIR: 500 units, 2 found, 2 repaired",
    ];
    assert_eq!(rows[13..23], below, "{rows:#?}");
    assert_eq!(rows[23], "q quit  p pause  arrows scroll");
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{rows:#?}");
}

#[test]
fn verdicts_have_colours_unless_nobody_wants_them() {
    let mut model = of(full());
    assert_eq!(colour(&model, "STALL"), Color::Red);
    assert_eq!(colour(&model, "OK "), Color::Green);
    assert_eq!(colour(&model, "ACTIVE"), Color::Green);
    assert_eq!(colour(&model, "PAUSED"), Color::Yellow);
    model.colours = false;
    assert!(drawn(&model, 80, 24).content.iter().all(|cell| cell.fg == Color::Reset), "no colour at all");
}

#[test]
fn a_small_window_shows_less_and_scrolls() {
    let mut model = of(full());
    let top = rows(&model, 40, 10);
    assert_eq!(top[0], "http://shop:8080   09:00:07 UTC, 1 s old");
    assert_eq!(top[3], "PHONE       ACTIVE   ████░░    300    43", "{top:#?}");
    assert_eq!(top[9], "q quit  p pause  arrows scroll");
    let below = scroll_max(&model, 40, 10);
    assert_eq!(below, 22 - 8, "22 lines, 8 of them at once");
    model.scroll = below;
    let bottom = rows(&model, 40, 10);
    assert_eq!(bottom[7], "Dead letters  3 open", "{bottom:#?}");
    model.scroll = usize::MAX;
    assert_eq!(rows(&model, 40, 10), bottom, "no further than to the end");
    assert!(bottom.contains(&"flashsale-proce… OK          1200  2.5 s".to_owned()), "{bottom:#?}");
    let tiny = rows(&model, 39, 10).join(" ");
    assert!(tiny.contains("39x10 is too small") && tiny.contains("40x10"), "{tiny}");
}

#[test]
fn an_empty_installation_says_so() {
    let mut empty = full();
    empty.0["sales"] = json!([]);
    empty.0["decisions"]["seconds"] = json!([]);
    empty.1["consumers"] = json!([]);
    let text = text(&of(empty), 100).join("\n");
    for wanted in [
        "Sales (0)\n  none; flashsale sale create",
        "Consumers (0)\n  none is known",
        "p50 ?  p99 ?",
        "?/s  peak      ?",
    ] {
        assert!(text.contains(wanted), "{wanted} in\n{text}");
    }
}

#[test]
fn what_is_not_known_is_a_question_mark_and_never_a_zero() {
    let (mut overview, mut consumers) = full();
    overview["sales"] = json!([overview["sales"][0]]);
    (overview["sales"][0]["outbox"], overview["sales"][0]["soldPerSecond"]) = (json!(null), json!(null));
    overview["decisions"]["seconds"] = json!([second(1, 1, json!(null))]);
    (overview["deadLetters"]["open"], overview["outbox"]["entries"]) = (json!(null), json!(null));
    overview["lastReconciliation"] = json!(null);
    consumers["consumers"] = json!([consumer("analysts", "UNKNOWN", "the brokers do not answer")]);
    for field in ["lagRecords", "lagSeconds", "perSecond"] {
        consumers["consumers"][0][field] = json!(null);
    }
    let text = text(&of((overview, consumers)), 100);
    for wanted in [
        "  PHONE            ACTIVE    ████████░░░░     300 of 500            ?       ?",
        "Decisions a second   to the log: p50 3.2 ms  p99 ?",
        "  analysts                       UNKNOWN         ?        ?       ?       1",
        "    the brokers do not answer",
        "Outbox        ?",
        "Dead letters  ? open",
        "Compared      ?",
    ] {
        assert!(text.iter().any(|line| line == wanted), "{wanted} in {text:#?}");
    }
}

#[test]
fn an_error_says_how_old_the_data_is_and_keeps_it() {
    let mut model = of(full());
    model.problem =
        Some("cannot reach http://shop:8080; is it running (`make up`)? Give another with --url".to_owned());
    model.age = Duration::from_secs(12);
    for (width, height) in [(80, 24), (40, 10)] {
        let rows = rows(&model, width, height);
        let bottom = rows[usize::from(height) - 3..].join(" ");
        assert!(bottom.contains("cannot reach http://shop:8080"), "{rows:#?}");
        assert!(bottom.contains("last data 12 s ago"), "{rows:#?}");
        assert!(rows.iter().any(|row| row.contains("PHONE")), "{rows:#?}");
    }
    let mut nothing = Model::new("http://shop:8080", true);
    assert!(rows(&nothing, 80, 24)[1].contains("Asking"), "while the first look is under way");
    assert!(rows(&nothing, 80, 24)[0].ends_with("no data yet"));
    nothing.problem = Some("UNAUTHORIZED (401 Unauthorized): The admin key is wrong.".to_owned());
    let rows = rows(&nothing, 80, 24);
    assert!(rows[23].contains("UNAUTHORIZED") && rows[23].ends_with("no data yet"), "{rows:#?}");
}

#[test]
fn a_pause_shows_and_names_cannot_steer_the_terminal() {
    let (overview, mut consumers) = full();
    consumers["consumers"] = json!([consumer("evil\u{1b}[2Jgroup", "STOP", "\u{7}")]);
    let mut model = of((overview, consumers));
    model.paused = true;
    let text = text(&model, 100).join("\n");
    assert!(text.lines().next().unwrap().ends_with("1 s old PAUSED"), "{text}");
    assert!(text.contains("evil [2Jgroup") && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn bars_and_sparklines_tell_little_from_nothing() {
    for (left, of, wanted) in
        [(0, 500, "░░░░"), (1, 500, "█░░░"), (250, 500, "██░░"), (500, 500, "████"), (7, 0, "████")]
    {
        assert_eq!(bar(left, of, 4), wanted, "{left} of {of}");
    }
    assert_eq!(sparkline(&[], 3), ("   ".to_owned(), None));
    assert_eq!(sparkline(&[0, 0], 3), ("   ".to_owned(), Some(0)));
    assert_eq!(sparkline(&[9_000, 0, 1, 4_000, 8_000], 4), (" ▁▄█".to_owned(), Some(8_000)));
    assert_eq!((rate(0.04), rate(9.96), rate(1_234.5)), ("0.0".into(), "10.0".into(), "1234".into()));
    assert_eq!((seconds(2.55), seconds(599.0), seconds(3_600.0)), ("2.5 s".into(), "599 s".into(), "60 min".into()));
}
