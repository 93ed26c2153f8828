//! How it looks: lines of text, of which a window shows as many as fit. Pure: the same model, the same frame.

use std::time::Duration;

use ratatui::{
    Frame,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};

use super::model::{Consumer, Look, Model, Overview, Sale, Second};

/// The smallest window that shows something useful.
const WIDTH_MIN: u16 = 40;
const HEIGHT_MIN: u16 = 10;
/// From here on a line has all its columns.
const WIDE: usize = 80;
/// Lines that a problem may take at the bottom.
const PROBLEM_LINES_MAX: usize = 3;
/// Seconds of which a latency still counts as that of now.
const LATENCY_SECONDS: usize = 10;
/// From nothing to the highest value that is shown.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws one frame.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    let (width, height) = (area.width, area.height);
    if width < WIDTH_MIN || height < HEIGHT_MIN {
        let small = format!("{width}x{height} is too small: at least {WIDTH_MIN}x{HEIGHT_MIN}, please");
        frame.render_widget(Paragraph::new(small).wrap(Wrap { trim: true }), area);
        return;
    }
    let (columns, paint) = (usize::from(width), Paint { colours: model.colours });
    let foot = footer(model, columns, paint);
    let room = usize::from(height) - 1 - foot.len();
    let mut lines = vec![header(model, columns, paint)];
    let body = body(model, columns, paint);
    let scroll = model.scroll.min(body.len().saturating_sub(room));
    lines.extend(body.into_iter().skip(scroll).take(room));
    lines.resize(1 + room, Line::default());
    lines.extend(foot);
    frame.render_widget(Paragraph::new(lines), area);
}

/// How far a window of this size can be scrolled.
pub(super) fn scroll_max(model: &Model, width: u16, height: u16) -> usize {
    let (columns, paint) = (usize::from(width), Paint { colours: false });
    let room = usize::from(height).saturating_sub(1 + footer(model, columns, paint).len());
    body(model, columns, paint).len().saturating_sub(room)
}

/// The whole of it as text, without the keys.
pub(super) fn text(model: &Model, width: u16) -> Vec<String> {
    let (columns, paint) = (usize::from(width), Paint { colours: false });
    let lines = std::iter::once(header(model, columns, paint)).chain(body(model, columns, paint));
    let plain = lines.map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect::<String>());
    plain.map(|line| line.trim_end().to_owned()).collect()
}

fn header(model: &Model, columns: usize, paint: Paint) -> Line<'static> {
    let right = match &model.look {
        Some(look) => format!("{} UTC, {} old", clock(&look.overview.at), age(model.age)),
        None => "no data yet".to_owned(),
    };
    let paused = if model.paused { " PAUSED" } else { "" };
    let title = if columns >= WIDE { format!("flashsale top  {}", model.url) } else { model.url.clone() };
    let left = fit(&title, columns.saturating_sub(right.len() + paused.len() + 1));
    line([
        (left, paint.bold()),
        (format!(" {right}"), Style::new()),
        (paused.to_owned(), paint.colour(Color::Yellow).add_modifier(Modifier::BOLD)),
    ])
}

/// What is at the bottom: the keys, or what went wrong.
fn footer(model: &Model, columns: usize, paint: Paint) -> Vec<Line<'static>> {
    let Some(problem) = &model.problem else {
        return vec![line([("q quit  p pause  arrows scroll".to_owned(), paint.dim())])];
    };
    let since = match &model.look {
        Some(_) => format!("last data {} ago", age(model.age)),
        None => "no data yet".to_owned(),
    };
    let told = clean(&format!("{}, {since}", problem.trim_end_matches('.')));
    let mut rows = wrapped(&told, columns);
    if rows.len() > PROBLEM_LINES_MAX {
        // What it begins with, and how old the data is.
        rows.truncate(PROBLEM_LINES_MAX - 1);
        rows.push(format!("… {since}"));
    }
    rows.into_iter().map(|row| line([(row, paint.bad())])).collect()
}

fn body(model: &Model, columns: usize, paint: Paint) -> Vec<Line<'static>> {
    let Some(Look { overview, consumers: groups }) = &model.look else {
        let waiting = if model.problem.is_some() { "Nothing is known." } else { "Asking …" };
        return vec![line([(waiting.to_owned(), paint.dim())])];
    };
    let mut lines = sales(&overview.sales, columns, paint);
    lines.push(Line::default());
    lines.extend(decisions(&overview.decisions.seconds, columns, paint));
    lines.push(Line::default());
    lines.extend(consumers(groups, columns, paint));
    lines.push(Line::default());
    lines.extend(totals(overview, paint));
    lines
}

fn sales(sales: &[Sale], columns: usize, paint: Paint) -> Vec<Line<'static>> {
    let mut lines = vec![line([(format!("Sales ({})", sales.len()), paint.bold())])];
    if sales.is_empty() {
        lines.push(line([("  none; flashsale sale create makes one".to_owned(), paint.dim())]));
        return lines;
    }
    let wide = columns >= WIDE;
    let heading = if wide {
        format!(
            "  {:16} {:9} {:12} {:>7}    {:7} {:>8} {:>7}",
            "SKU", "STATE", "STOCK", "LEFT", "OF", "SOLD/S", "OUTBOX"
        )
    } else {
        format!("{:11} {:8} {:6} {:>6} {:>5}", "SKU", "STATE", "STOCK", "LEFT", "/S")
    };
    lines.push(line([(heading, paint.dim())]));
    for sale in sales {
        let (state, style) = match (sale.state.as_str(), sale.paused, sale.end_reason.as_deref()) {
            ("ENDED", _, Some("SOLD_OUT")) => ("SOLD OUT", paint.dim()),
            ("ENDED", _, _) => ("ENDED", paint.dim()),
            (_, true, _) => ("PAUSED", paint.colour(Color::Yellow)),
            ("ACTIVE", ..) => ("ACTIVE", paint.colour(Color::Green)),
            (other, ..) => (other, Style::new()),
        };
        let rate = sale.sold_per_second.map_or_else(unknown, rate);
        lines.push(if wide {
            let (left, of) = (sale.stock, sale.initial_stock);
            let rest = format!(" {left:>7} of {of:<7} {rate:>8} {:>7}", number(sale.outbox));
            line([
                (format!("  {} ", fit(&sale.sku, 16)), Style::new()),
                (fit(state, 9), style),
                (format!(" {}", bar(sale.stock, sale.initial_stock, 12)), style),
                (rest, Style::new()),
            ])
        } else {
            line([
                (format!("{} ", fit(&sale.sku, 11)), Style::new()),
                (fit(state, 8), style),
                (format!(" {}", bar(sale.stock, sale.initial_stock, 6)), style),
                (format!(" {:>6} {rate:>5}", sale.stock), Style::new()),
            ])
        });
    }
    lines
}

fn decisions(seconds: &[Second], columns: usize, paint: Paint) -> Vec<Line<'static>> {
    let newest = |value: fn(&Second) -> Option<f64>| seconds.iter().rev().take(LATENCY_SECONDS).find_map(value);
    let (p50, p99) = (newest(|second| second.p50_ms), newest(|second| second.p99_ms));
    let latency = |value: Option<f64>| value.map_or_else(unknown, |value| format!("{} ms", rate(value)));
    let title = if columns >= WIDE { "Decisions a second" } else { "Decisions" };
    let mut lines = vec![line([
        (title.to_owned(), paint.bold()),
        (format!("   to the log: p50 {}  p99 {}", latency(p50), latency(p99)), Style::new()),
    ])];
    type Outcome = (&'static str, Color, fn(&Second) -> u64);
    let outcomes: [Outcome; 4] = [
        ("accepted", Color::Green, |second| second.accepted),
        ("already", Color::Yellow, |second| second.already_purchased),
        ("sold out", Color::Red, |second| second.sold_out),
        ("not active", Color::Blue, |second| second.not_active),
    ];
    for (label, colour, value) in outcomes {
        let values: Vec<u64> = seconds.iter().map(value).collect();
        let now = number(values.last().copied());
        lines.push(if columns >= WIDE {
            let (drawn, peak) = sparkline(&values, columns - 38);
            let peak = number(peak);
            line([
                (format!("  {label:12} "), Style::new()),
                (drawn, paint.colour(colour)),
                (format!(" {now:>7}/s  peak {peak:>6}"), Style::new()),
            ])
        } else {
            let (drawn, _) = sparkline(&values, columns.saturating_sub(21));
            line([
                (format!("{label:11} "), Style::new()),
                (drawn, paint.colour(colour)),
                (format!(" {now:>6}/s"), Style::new()),
            ])
        });
    }
    lines
}

fn consumers(groups: &[Consumer], columns: usize, paint: Paint) -> Vec<Line<'static>> {
    let mut lines = vec![line([(format!("Consumers ({})", groups.len()), paint.bold())])];
    if groups.is_empty() {
        lines.push(line([("  none is known".to_owned(), paint.dim())]));
        return lines;
    }
    let wide = columns >= WIDE;
    let heading = if wide {
        let titles = ["CONSUMER", "VERDICT", "LAG", "BEHIND", "PER S", "MEMBERS", "HELD"];
        let [name, verdict, lag, behind, per_second, members, held] = titles;
        format!("  {name:30} {verdict:8} {lag:>8} {behind:>8} {per_second:>7} {members:>7} {held}")
    } else {
        format!("{:16} {:7} {:>8} {:>6}", "CONSUMER", "VERDICT", "LAG", "BEHIND")
    };
    lines.push(line([(heading, paint.dim())]));
    for group in groups {
        let (lag, behind) = (number(group.lag_records), group.lag_seconds.map_or_else(unknown, seconds));
        let per_second = group.per_second.map_or_else(unknown, rate);
        let held = if group.paused == "NONE" { String::new() } else { clean(&group.paused.to_lowercase()) };
        let style = paint.verdict(&group.verdict);
        lines.push(if wide {
            let rest = format!(" {lag:>8} {behind:>8} {per_second:>7} {:>7} {held}", group.members.len());
            line([
                (format!("  {} ", fit(&group.name, 30)), Style::new()),
                (fit(&group.verdict, 8), style),
                (rest, Style::new()),
            ])
        } else {
            line([
                (format!("{} ", fit(&group.name, 16)), Style::new()),
                (fit(&group.verdict, 7), style),
                (format!(" {lag:>8} {behind:>6}"), Style::new()),
            ])
        });
        if group.verdict != "OK" && !group.why.is_empty() {
            lines.push(line([(format!("    {}", clean(&group.why)), style)]));
        }
        if let Some(order) = group.order.as_ref().filter(|order| order.action != "RESUME") {
            let until = order.until_offset.map(|offset| format!(" {offset}")).unwrap_or_default();
            let (action, by, at) = (clean(&order.action), clean(&order.issued_by), clock(&order.issued_at));
            let told = format!("    order {action}{until} by {by} at {at} UTC");
            lines.push(line([(told, paint.colour(Color::Yellow))]));
        }
    }
    lines
}

fn totals(overview: &Overview, paint: Paint) -> Vec<Line<'static>> {
    let open = overview.dead_letters.open;
    let letters = if open.is_some_and(|open| open > 0) { paint.bad() } else { Style::new() };
    let (compared, style) = match &overview.last_reconciliation {
        None => (unknown(), Style::new()),
        Some(run) => {
            let (sku, mode, at) = (clean(&run.sku), clean(&run.mode), clock(&run.finished_at));
            let told = format!(
                "{sku} at {at}, {mode}: {} units, {} found, {} repaired",
                run.compared, run.found, run.repaired
            );
            (told, if run.found > run.repaired { paint.bad() } else { Style::new() })
        }
    };
    vec![
        line([("Outbox        ".to_owned(), paint.bold()), (number(overview.outbox.entries), Style::new())]),
        line([("Dead letters  ".to_owned(), paint.bold()), (format!("{} open", number(open)), letters)]),
        line([("Compared      ".to_owned(), paint.bold()), (compared, style)]),
    ]
}

/// Styles, without colours where nobody wants them.
#[derive(Debug, Clone, Copy)]
struct Paint {
    colours: bool,
}

impl Paint {
    fn colour(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn verdict(self, verdict: &str) -> Style {
        match verdict {
            "OK" => self.colour(Color::Green),
            "WARN" => self.colour(Color::Yellow),
            "STALL" | "STOP" | "REWIND" => self.bad(),
            _ => self.dim(),
        }
    }
}

fn line<const N: usize>(parts: [(String, Style); N]) -> Line<'static> {
    Line::from(Vec::from(parts.map(|(text, style)| Span::styled(text, style))))
}

/// Names come from elsewhere: none may steer the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Rows of at most `width` columns, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let row = rows.last_mut().map_or(0, |row| row.chars().count());
        match rows.last_mut() {
            Some(last) if row > 0 && row + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            Some(last) if row == 0 => last.push_str(word),
            _ => rows.push(word.to_owned()),
        }
    }
    rows
}

/// Exactly `width` columns: cut, or filled with spaces.
fn fit(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn unknown() -> String {
    "?".to_owned()
}

fn number(value: Option<impl ToString>) -> String {
    value.map_or_else(unknown, |value| value.to_string())
}

/// A number of which only the first digits matter.
fn rate(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn seconds(value: f64) -> String {
    if value < 600.0 { format!("{} s", rate(value)) } else { format!("{:.0} min", value / 60.0) }
}

fn age(age: Duration) -> String {
    if age.as_secs() < 600 { format!("{} s", age.as_secs()) } else { format!("{} min", age.as_secs() / 60) }
}

/// The time of day of an ISO 8601 time.
fn clock(at: &str) -> String {
    at.get(11..19).map_or_else(unknown, clean)
}

/// How much is left, in so many cells; something that is left is at least one.
fn bar(left: u64, of: u64, cells: usize) -> String {
    let full = (u128::from(left) * cells as u128).div_ceil(u128::from(of.max(1)));
    let full = usize::try_from(full).unwrap_or(cells).min(cells);
    format!("{}{}", "█".repeat(full), "░".repeat(cells - full))
}

/// The newest values, the last one on the right, and the highest of them if there are any.
fn sparkline(values: &[u64], cells: usize) -> (String, Option<u64>) {
    let shown = &values[values.len().saturating_sub(cells)..];
    let peak = shown.iter().copied().max();
    let level = |value: u64| {
        let level = (u128::from(value) * 8).div_ceil(u128::from(peak.unwrap_or(0).max(1)));
        LEVELS[usize::try_from(level).unwrap_or(8).min(8)]
    };
    let drawn: String = shown.iter().map(|value| level(*value)).collect();
    (format!("{drawn:>cells$}"), peak)
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
