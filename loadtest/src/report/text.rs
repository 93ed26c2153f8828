//! The report on a terminal.

use std::fmt::Display;

use super::{
    ListenersReport, Percentile, Percentiles, Report, RouteReport, State, Verdict,
    headline::{Headline, Standing, stores},
    series::ordered,
    wording::{count, grouped, latency, length, printable, rate, route as route_words, share, words},
};

/// Columns of names in front of figures.
const NAME: usize = 20;
/// Columns of a latency.
const FIGURE: usize = 10;
/// Columns of the longest bar.
const BAR: usize = 24;

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy)]
enum Tone {
    Strong,
    Good,
    Open,
    Bad,
    Faint,
}

/// The report in lines, with colours if asked for.
pub(super) fn text(report: &Report, colours: bool) -> String {
    let mut page = Page { lines: String::new(), colours };
    page.head(report);
    for route in &report.routes {
        page.route(route);
    }
    if report.routes.is_empty() {
        page.line("");
        page.line("  Nothing was answered.");
    }
    if let Some(listeners) = &report.listeners {
        page.listeners(listeners);
    }
    page.failures(report);
    page.limits(report);
    if let Some(verdict) = &report.verdict {
        page.verdict(verdict);
    }
    page.headline(report);
    page.lines
}

#[derive(Debug)]
struct Page {
    lines: String,
    colours: bool,
}

impl Page {
    fn line(&mut self, text: impl Display) {
        self.lines.push_str(text.to_string().trim_end());
        self.lines.push('\n');
    }

    fn painted(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Open => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn title(&mut self, title: &str, aside: &str) {
        let (title, aside) = (self.painted(Tone::Strong, title), self.painted(Tone::Faint, aside));
        self.line("");
        self.line(format!("{title}  {aside}"));
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.line(format!("  {name:NAME$}{}", printable(value)));
    }

    /// A line that says whether something holds.
    fn held(&mut self, holds: bool, says: &str) {
        let mark = if holds { self.painted(Tone::Good, "✓") } else { self.painted(Tone::Bad, "✗") };
        self.line(format!("  {mark} {}", printable(says)));
    }

    fn head(&mut self, report: &Report) {
        let scenario = self.painted(Tone::Strong, &printable(&report.scenario));
        self.line(format!("{scenario}  {}", printable(&report.description)));
        self.fact("servers", &report.url);
        self.fact("began", &format!("{}, took {}", report.started_at, length(report.seconds)));
        self.fact("seed", &report.seed.to_string());
        let busy = report.client_cpu_seconds;
        self.fact("connections", &format!("{}; the tool worked for {busy:.1} s", grouped(report.connections)));
        if report.unsent > 0 {
            let unsent = format!("  {} never sent: the tool could not keep up", count(report.unsent, "request"));
            self.line(self.painted(Tone::Bad, &unsent));
        }
    }

    fn route(&mut self, route: &RouteReport) {
        let (title, asked) = route_words(route.route);
        self.title(title, asked);
        self.line(format!(
            "  {} sent, {} answered, {} a second",
            grouped(route.sent),
            grouped(route.answered),
            rate(route.per_second)
        ));
        for (name, class) in ordered(&route.outcomes) {
            let requests = route.outcomes.get(name).copied().unwrap_or(0);
            let (figure, share) = (grouped(requests), share(requests, route.sent));
            let bar = bar(requests, route.sent);
            let bar = match class {
                "o-purchased" | "o-found" => self.painted(Tone::Good, &bar),
                "o-broken" | "o-unexpected" => self.painted(Tone::Bad, &bar),
                _ => bar,
            };
            self.line(format!("  {:NAME$}{figure:>FIGURE$}{share:>9}  {bar}", words(name)));
        }
        let header: String = Percentile::ALL.map(|percentile| format!("{:>FIGURE$}", percentile.name())).concat();
        let header = self.painted(Tone::Faint, &format!("  {:NAME$}{header}", ""));
        self.line(header);
        self.latencies("since due", &route.since_due);
        self.latencies("since sent", &route.since_sent);
        if let Some(refused) = &route.refused {
            self.latencies("refusals", refused);
        }
    }

    fn latencies(&mut self, name: &str, latencies: &Percentiles) {
        let figures = Percentile::ALL.map(|percentile| format!("{:>FIGURE$}", latency(percentile.of(latencies))));
        self.line(format!("  {name:NAME$}{}", figures.concat()));
    }

    fn listeners(&mut self, listeners: &ListenersReport) {
        self.title("Live stream", "what those saw who listened");
        let number = |number: usize| grouped(number as u64);
        let ListenersReport { count, opened, saw_the_end, resets, rises, lag } = listeners;
        self.line(format!(
            "  {} of {} had a stream, {} saw the end, {} times one was told that it missed something",
            number(*opened),
            number(*count),
            number(*saw_the_end),
            number(*resets)
        ));
        self.held(*rises == 0, &format!("the stock rose {} times (I11)", number(*rises)));
        if let Some(lag) = lag {
            self.latencies("news late by", lag);
        }
    }

    fn failures(&mut self, report: &Report) {
        if report.failures.is_empty() {
            return;
        }
        self.title("What broke", "requests without an answer");
        for (what, times) in &report.failures {
            self.line(format!("  {:>FIGURE$}  {}", grouped(*times), printable(what)));
        }
    }

    fn limits(&mut self, report: &Report) {
        if report.thresholds.is_empty() {
            return;
        }
        self.title("Limits", "from when a request was due");
        for threshold in &report.thresholds {
            let measured = match threshold.measured_ms {
                ms if ms > 0.0 => latency(ms),
                _ => "nothing was measured".to_owned(),
            };
            self.held(threshold.holds, &format!("{:18}{measured}", threshold.name));
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.title("Proof", "each store was read by itself and compared with what clients were told");
        for (name, value) in stores(verdict) {
            self.fact(&name.to_lowercase(), &value);
        }
        for check in &verdict.checks {
            let says = format!("{:4}{}", check.id, check.what);
            let (tone, detail) = match check.state {
                State::Holds => {
                    self.held(true, &says);
                    continue;
                }
                State::Broken => {
                    self.held(false, &says);
                    (Tone::Bad, check.detail.clone())
                }
                State::NotChecked => {
                    let mark = self.painted(Tone::Open, "?");
                    self.line(format!("  {mark} {}", printable(&says)));
                    (Tone::Open, format!("not checked: {}", check.detail))
                }
            };
            let detail = self.painted(tone, &printable(&detail));
            self.line(format!("        {detail}"));
        }
    }

    fn headline(&mut self, report: &Report) {
        let headline = Headline::of(report);
        let tone = match headline.standing {
            Standing::Good => Tone::Good,
            Standing::Open => Tone::Open,
            Standing::Bad => Tone::Bad,
        };
        let word = self.painted(tone, headline.word);
        self.line("");
        self.line(format!("{word}  {}", headline.says));
    }
}

/// A bar of `part` in `whole`; never nothing for something.
fn bar(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return String::new();
    }
    let cells = (part.min(whole) as f64 / whole as f64 * BAR as f64).round() as usize;
    "█".repeat(cells.max(1))
}
