//! The report on a terminal.

use std::fmt::Display;

use crate::{
    Percentiles, Report,
    series::Series,
    wording::{clock, count, grouped, happened, maybe_span, moment, percent, printable, shortened, span},
};

/// How a piece of text is meant, for whoever gives it a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A title.
    Strong,
    /// What was sold.
    Good,
    /// What must not be.
    Bad,
    /// What is said by the way.
    Faint,
}

/// Narrowest and widest page, in characters.
const WIDTHS: (usize, usize) = (60, 140);
/// Lines of the demand curve.
const CURVE_LINES: usize = 8;
/// Widest name of a shopper or product.
const NAME_CHARS_MAX: usize = 40;
/// Changes of the sale that are shown.
const CHANGES_MAX: usize = 12;
/// Columns of a bar chart in front of its bars.
const LABEL: usize = 22;
const FIGURE: usize = 18;

type Paint<'a> = &'a dyn Fn(Tone, &str) -> String;

/// The report in lines of at most about `width` characters. `paint` gives text its colour, or returns it as it is.
pub fn text(report: &Report, width: usize, paint: &dyn Fn(Tone, &str) -> String) -> String {
    let mut page = Page { lines: String::new(), width: width.clamp(WIDTHS.0, WIDTHS.1), paint };
    page.head(report);
    page.outcomes(report);
    page.demand(report);
    page.latency(report);
    page.retries(report);
    page.fairness(report);
    page.units(report);
    page.changes(report);
    page.remarks(report);
    page.lines
}

struct Page<'a> {
    lines: String,
    width: usize,
    paint: Paint<'a>,
}

impl Page<'_> {
    fn line(&mut self, text: impl Display) {
        self.lines.push_str(text.to_string().trim_end());
        self.lines.push('\n');
    }

    fn title(&mut self, title: &str, aside: &str) {
        let (title, aside) = ((self.paint)(Tone::Strong, title), (self.paint)(Tone::Faint, aside));
        self.line("");
        self.line(format!("{title}  {aside}"));
    }

    /// A line of a bar chart: label, figure, and a bar as long as `part` of `whole`.
    fn row(&mut self, label: &str, figure: &str, tone: Option<Tone>, part: u64, whole: u64) {
        let bar = bar(part, whole, self.width.saturating_sub(LABEL + FIGURE + 4));
        let bar = match tone {
            Some(tone) => (self.paint)(tone, &bar),
            None => bar,
        };
        self.line(format!("  {label:LABEL$}{figure:>FIGURE$}  {bar}"));
    }

    fn head(&mut self, report: &Report) {
        let reason = report.end_reason.map(|reason| format!(", {}", reason.as_str())).unwrap_or_default();
        let removed = if report.removed { ", removed" } else { "" };
        let paused = if report.paused { ", paused" } else { "" };
        let (sku, sale) =
            ((self.paint)(Tone::Strong, report.sku.as_str()), (self.paint)(Tone::Faint, report.sale_id.as_str()));
        self.line(format!("{sku}  {sale}  {}{reason}{paused}{removed}", report.state.as_str()));
        self.line(format!("  {}", shortened(&printable(&report.product_name), NAME_CHARS_MAX)));
        self.line(format!(
            "  {} of {} sold, from {} to {}",
            grouped(report.sold),
            count(report.initial_stock, "unit"),
            report.start_time,
            report.end_time
        ));
        if let Some(millis) = report.time_to_sell_out_ms {
            self.line(format!("  Sold out {} after the start", span(millis as f64)));
        }
    }

    fn outcomes(&mut self, report: &Report) {
        let totals = &report.totals;
        let who = format!("{} by {}", count(totals.attempts, "attempt"), count(report.retries.shoppers, "shopper"));
        self.title("What shoppers were told", &who);
        let figure = |part: u64| format!("{} {:>7}", grouped(part), percent(part_of(part, totals.attempts)));
        for (label, tone, part) in [
            ("accepted", Some(Tone::Good), totals.accepted),
            ("already purchased", None, totals.already_purchased),
            ("sold out", None, totals.sold_out),
            ("not active", None, totals.not_active_in_all()),
        ] {
            self.row(label, &figure(part), tone, part, totals.attempts);
        }
        for (reason, part) in &totals.not_active {
            self.row(&format!("  {reason}"), &figure(*part), Some(Tone::Faint), *part, totals.attempts);
        }
    }

    fn demand(&mut self, report: &Report) {
        let series = Series::of(report, self.width.saturating_sub(12));
        if series.points.is_empty() {
            return;
        }
        let each = if series.step == 1 { "a second".to_owned() } else { format!("{} s", series.step) };
        self.title("Attempts over time", &format!("one column is {each}; units were sold in the coloured ones"));
        let highest = series.highest();
        for line in (0..CURVE_LINES).rev() {
            let label = if line == CURVE_LINES - 1 { grouped(highest) } else { String::new() };
            let cells = self.curve_line(&series, highest, line);
            self.line(format!("{label:>9} {cells}"));
        }
        let (from, to) = (clock(series.from, series.is_long()), clock(series.end(), series.is_long()));
        let room = series.points.len().max(from.len() + to.len() + 1);
        let gap = room - from.len();
        let axis = format!("{:9} {from}{to:>gap$}", "");
        self.line((self.paint)(Tone::Faint, &axis));
        if series.not_drawn > 0 {
            self.line(format!("  {} long before or after are not drawn.", count(series.not_drawn, "attempt")));
        }
    }

    /// Line `line` of the curve, from below; neighbours of one colour are painted together.
    fn curve_line(&self, series: &Series, highest: u64, line: usize) -> String {
        let mut cells = String::new();
        for run in series.points.chunk_by(|one, other| (one[0] > 0) == (other[0] > 0)) {
            let text: String = run.iter().map(|point| cell(point.iter().sum(), highest, line)).collect();
            let sold = run.first().is_some_and(|point| point[0] > 0);
            cells.push_str(&if sold { (self.paint)(Tone::Good, &text) } else { text });
        }
        cells
    }

    fn latency(&mut self, report: &Report) {
        self.title("From the arrival of an attempt", "of all that have both times");
        self.line(format!(
            "  {:LABEL$}{:>10}{:>10}{:>10}{:>10}{:>14}",
            "", "half", "90 %", "99 %", "longest", "attempts"
        ));
        let mut row = |label: &str, times: &Percentiles| {
            let [p50, p90, p99, max] = [times.p50_ms, times.p90_ms, times.p99_ms, times.max_ms].map(maybe_span);
            self.line(format!("  {label:LABEL$}{p50:>10}{p90:>10}{p99:>10}{max:>10}{:>14}", grouped(times.count)));
            if times.clock_skew > 0 {
                self.line(format!(
                    "  {:LABEL$}{} ended before they began: clocks differ",
                    "",
                    grouped(times.clock_skew)
                ));
            }
        };
        row("to the decision", &report.latency.received_to_decided);
        row("to the log", &report.latency.received_to_logged);
    }

    fn retries(&mut self, report: &Report) {
        let retries = &report.retries;
        self.title("How often shoppers tried", "");
        for band in &retries.attempts_per_shopper {
            let times = if band.attempts == "1" { "once".to_owned() } else { format!("{} times", band.attempts) };
            self.row(&times, &grouped(band.shoppers), None, band.shoppers, retries.shoppers);
        }
        for one in &retries.most_insistent {
            let name = shortened(&printable(&one.user_id), NAME_CHARS_MAX);
            let got = if one.bought { "and got one" } else { "in vain" };
            self.line(format!("  {:>9} attempts by {name}, {got}", grouped(one.attempts)));
        }
    }

    fn fairness(&mut self, report: &Report) {
        let fairness = &report.fairness;
        self.title("Whether who came first was served first", "by the clocks of the ingest instances");
        self.line(format!("  neighbouring units in order of arrival   {}", percent(fairness.neighbours_in_order)));
        self.line(format!("  pairs of units in the wrong order        {}", percent(fairness.inversion_share)));
        self.line(format!("  largest overtaking                       {}", maybe_span(fairness.largest_overtaking_ms)));
        if fairness.units_without_arrival > 0 {
            let left_out = count(fairness.units_without_arrival, "unit");
            self.line(format!("  {left_out} of unknown arrival left out"));
        }
        self.line(format!(
            "  {} came within a second of the start; {} of them got a unit",
            count(fairness.shoppers_in_first_second, "shopper"),
            grouped(fairness.winners_in_first_second)
        ));
        self.title("Winners by order of arrival", "each line is a tenth of the shoppers");
        for decile in &fairness.deciles {
            let label = format!("{:>2}. from {}", decile.decile, maybe_span(decile.from_ms));
            let figure = format!("{} of {}", grouped(decile.winners), grouped(decile.shoppers));
            self.row(&label, &figure, Some(Tone::Good), decile.winners, decile.shoppers);
        }
    }

    fn units(&mut self, report: &Report) {
        let units = &report.units;
        self.title("Where the units went", "");
        self.line(format!(
            "  {} to {}, {} left over",
            count(units.sold, "unit"),
            count(units.buyers, "shopper"),
            grouped(units.left_over)
        ));
        for (number, noun, what) in [
            (units.missing, "unit", "missing in the log"),
            (units.buyers_with_more, "shopper", "with more than one unit"),
        ] {
            if number > 0 {
                let text = format!("  {} {what}; `flashsale verify` tells more", count(number, noun));
                self.line((self.paint)(Tone::Bad, &text));
            }
        }
        self.line(format!(
            "  {} in the first minute, {} later; from {} to {}",
            grouped(units.in_first_minute),
            grouped(units.after_first_minute),
            moment(units.first_sold_at),
            moment(units.last_sold_at)
        ));
        let mean = units.mean_per_second.map_or_else(String::new, |mean| format!(", {mean:.1} on average"));
        self.line(format!("  at most {} a second{mean}", count(units.peak_per_second, "unit")));
        for one in &units.by_instance {
            let name = shortened(&printable(&one.ingest_id), NAME_CHARS_MAX);
            self.line(format!("  {:>9} {:>7} by ingest {name}", grouped(one.units), percent(Some(one.share))));
        }
        if units.by_other_instances > 0 {
            self.line(format!("  {:>9} by other ingest instances", grouped(units.by_other_instances)));
        }
    }

    fn changes(&mut self, report: &Report) {
        self.title("What was done to the sale", "");
        for change in report.changes.iter().take(CHANGES_MAX) {
            self.line(format!("  {}  {}, {} sold", change.at, happened(change.kind), count(change.sold, "unit")));
        }
        if report.changes.len() > CHANGES_MAX {
            self.line("  and more; --json lists a hundred");
        }
    }

    fn remarks(&mut self, report: &Report) {
        let mut remarks = Vec::new();
        if report.repeats > 0 {
            remarks.push(format!("{} said again what was known.", count(report.repeats, "record")));
        }
        if report.not_understood > 0 {
            remarks.push(format!("{} could not be understood.", count(report.not_understood, "record")));
        }
        if !remarks.is_empty() {
            self.line("");
            self.line((self.paint)(Tone::Faint, &remarks.join(" ")));
        }
    }
}

fn part_of(part: u64, whole: u64) -> Option<f64> {
    crate::fairness::share(part, whole)
}

/// A bar of `part` in `whole`, which would fill `room`; never nothing for something.
fn bar(part: u64, whole: u64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = eighths(part, whole, room);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// What line `line` from below shows of a column.
fn cell(part: u64, whole: u64, line: usize) -> char {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    EIGHTHS[eighths(part, whole, CURVE_LINES).saturating_sub(line * 8).min(8)]
}

/// How many eighths of a character `part` is, where `whole` fills `room` characters.
fn eighths(part: u64, whole: u64, room: usize) -> usize {
    if part == 0 || whole == 0 {
        return 0;
    }
    let full = u128::from(part.min(whole)) * (room * 8) as u128 / u128::from(whole);
    usize::try_from(full).unwrap_or(room * 8).max(1)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
