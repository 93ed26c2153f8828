//! The report as one page that needs nothing else: no script, no font, no picture, and the browser is told to fetch
//! none.

use super::{
    ListenersReport, Percentile, Percentiles, Report, RouteReport, State, Verdict,
    headline::{Headline, Standing, stores},
    plot,
    series::{Series, ordered},
    threshold::Limit,
    wording::{UNKNOWN, grouped, latency, length, printable, rate, route as route_words, share, words},
};

/// Most points of a chart over time.
const POINTS_MAX: usize = 160;
/// Most rows of the table beside it.
const ROWS_MAX: usize = 60;
const STYLE: &str = include_str!("style.css");

/// The report as an HTML file.
pub(super) fn html(report: &Report) -> String {
    let headline = Headline::of(report);
    let routes: String = report.routes.iter().map(route).collect();
    let body = [
        head(report),
        verdict(report, &headline),
        figures(report),
        routes,
        report.listeners.as_ref().map(listeners).unwrap_or_default(),
        failures(report),
        run(report),
    ]
    .concat();
    let title = escape(&format!("{}: {}", report.scenario, headline.word));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// `text` as text of a page and as value of an attribute, whoever wrote it. With the slash, so that nothing that was
/// written elsewhere looks like an address.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '/' => escaped.push_str("&#47;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Appends to a page.
pub(super) fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.push_str(&std::fmt::format(text));
}

fn head(report: &Report) -> String {
    format!(
        "<header>\n<p class=\"over\">Load test</p>\n<h1><bdi>{}</bdi></h1>\n<p class=\"lead\">{}</p>\n</header>\n",
        escape(&words(&report.scenario)),
        escape(&report.description)
    )
}

/// The verdict in large letters, then what it is made of.
fn verdict(report: &Report, headline: &Headline) -> String {
    let (class, mark) = match headline.standing {
        Standing::Good => ("good", "M5 12.5l4.5 4.5L19 7.5"),
        Standing::Open => ("open", "M6 12h12"),
        Standing::Bad => ("bad", "M6.5 6.5l11 11M17.5 6.5l-11 11"),
    };
    let mut page = format!(
        "<section class=\"verdict {class}\" aria-label=\"Verdict\">\n<div class=\"line\">\
         <svg class=\"mark\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"{mark}\"/></svg>\
         <div><p class=\"word\">{}</p><p>{}</p></div></div>\n</section>\n",
        headline.word,
        escape(&headline.says)
    );
    if let Some(verdict) = &report.verdict {
        let content = definitions("figures small", &stores(verdict)) + &checks(verdict);
        page.push_str(&section(
            "Proof",
            "Each store was read by itself and compared with what clients were told.",
            &content,
        ));
    }
    if !report.thresholds.is_empty() {
        page.push_str(&section("Limits", "Counted from when a request was due.", &limits(report)));
    }
    page
}

fn checks(verdict: &Verdict) -> String {
    let mut page = "<ul class=\"checks\">\n".to_owned();
    for check in &verdict.checks {
        let (class, word) = standing(check.state);
        put(
            &mut page,
            format_args!(
                "<li><span class=\"tag {class}\">{word}</span><span class=\"id\">{}</span><span class=\"what\">{}",
                escape(check.id),
                escape(&check.what)
            ),
        );
        if !check.detail.is_empty() {
            put(&mut page, format_args!("<small><bdi>{}</bdi></small>", escape(&check.detail)));
        }
        page.push_str("</span></li>\n");
    }
    page + "</ul>\n"
}

/// Class and words for whether something holds.
fn standing(state: State) -> (&'static str, &'static str) {
    match state {
        State::Holds => ("good", "holds"),
        State::Broken => ("bad", "does not hold"),
        State::NotChecked => ("open", "not checked"),
    }
}

/// Each limit with a bar: how much of it was used.
fn limits(report: &Report) -> String {
    let mut page = "<ul class=\"checks\">\n".to_owned();
    for threshold in &report.thresholds {
        let (class, word) = standing(if threshold.holds { State::Holds } else { State::Broken });
        let limit = threshold.name.parse::<Limit>().ok();
        let used = limit.map_or(0.0, |limit| (threshold.measured_ms / limit.max_ms * 100.0).clamp(0.0, 100.0));
        let measured = if threshold.measured_ms > 0.0 {
            latency(threshold.measured_ms)
        } else {
            "nothing was measured".to_owned()
        };
        put(
            &mut page,
            format_args!(
                "<li><span class=\"tag {class}\">{word}</span><span class=\"id\">{}</span>\
                 <span class=\"what\">{}{}</span></li>\n",
                escape(&threshold.name),
                escape(&measured),
                bar(if threshold.holds { "within" } else { "beyond" }, used)
            ),
        );
    }
    page + "</ul>\n"
}

/// The figures that most want to know.
fn figures(report: &Report) -> String {
    let Some(main) = report.main_route() else {
        return section("Figures", "Nothing was answered.", "");
    };
    let due = &main.since_due;
    let broken: u64 = report.routes.iter().map(|route| route.sent - route.answered).sum();
    let facts = [
        ("Answers a second", rate(main.per_second)),
        ("Answers", grouped(main.answered)),
        ("Half within", latency(due.p50_ms)),
        ("99 of 100 within", latency(due.p99_ms)),
        ("Longest", latency(due.max_ms)),
        ("Without an answer", grouped(broken)),
    ];
    section("Figures", route_words(main.route).0, &definitions("figures", &facts))
}

fn route(route: &RouteReport) -> String {
    let (title, asked) = route_words(route.route);
    let series = Series::of(route, POINTS_MAX);
    let id = title.split(' ').next().unwrap_or(title).to_lowercase();
    let says = format!(
        "{asked}: {} sent, {} answered, {} a second.",
        grouped(route.sent),
        grouped(route.answered),
        rate(route.per_second)
    );
    let each = match (series.step, series.width) {
        (0 | 1, 0 | 1) => String::new(),
        (0 | 1, width) => format!(" A point is {width} seconds."),
        (step, 0 | 1) => format!(" A point is the worst of {step} seconds."),
        (step, width) => format!(" A point is the worst of {step} times {width} seconds."),
    };
    let legend: Vec<(String, String)> =
        series.outcomes.iter().map(|(name, class)| ((*class).to_owned(), words(name))).collect();
    let lines = |names: [(&str, &str); 2]| names.map(|(class, name)| (class.to_owned(), name.to_owned()));
    let charts = [
        figure(
            &id,
            "outcomes",
            "Answers a second",
            "By what they said, with what broke.",
            &legend,
            &plot::outcomes(&series),
        ),
        figure(
            &id,
            "latency",
            "Latency over time",
            &format!("From when a request was due.{each}"),
            &lines([("p50", "p50"), ("p99", "p99")]),
            &plot::latencies(&series),
        ),
        figure(
            &id,
            "distribution",
            "Distribution",
            "The further to the right, the fewer took longer.",
            &lines([("due", "since due"), ("sent", "since sent")]),
            &plot::distribution(&route.distribution),
        ),
    ]
    .concat();
    let tables = [percentiles(route), outcomes(route)].concat();
    let numbers = numbers(route);
    section(
        title,
        &says,
        &format!("<div class=\"charts\">\n{charts}</div>\n<div class=\"tables\">\n{tables}</div>\n{numbers}"),
    )
}

/// Latencies by what they count from.
fn percentiles(route: &RouteReport) -> String {
    let mut rows = vec![figures_row("since due", &route.since_due), figures_row("since sent", &route.since_sent)];
    rows.extend(route.refused.as_ref().map(|refused| figures_row("refusals, since due", refused)));
    let header: Vec<&str> = [""].into_iter().chain(Percentile::ALL.map(Percentile::name)).collect();
    table("Latency", &header, rows)
}

fn figures_row(name: &str, latencies: &Percentiles) -> Vec<String> {
    let figures = Percentile::ALL.map(|percentile| latency(percentile.of(latencies)));
    [name.to_owned()].into_iter().chain(figures).collect()
}

/// Outcomes with their shares, as bars too.
fn outcomes(route: &RouteReport) -> String {
    let mut page = "<div class=\"scroll\"><table><caption>What came of the requests</caption><thead><tr>\
                    <th scope=\"col\">outcome</th><th scope=\"col\">requests</th><th scope=\"col\">share</th>\
                    <th scope=\"col\" class=\"wide\"></th></tr></thead><tbody>\n"
        .to_owned();
    for (name, class) in ordered(&route.outcomes) {
        let requests = route.outcomes.get(name).copied().unwrap_or(0);
        put(
            &mut page,
            format_args!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&words(name)),
                grouped(requests),
                share(requests, route.sent),
                bar(class, requests as f64 / route.sent.max(1) as f64 * 100.0)
            ),
        );
    }
    page + "</tbody></table></div>\n"
}

/// The charts over time in numbers, for those who cannot see them or want to know exactly.
fn numbers(route: &RouteReport) -> String {
    let series = Series::of(route, ROWS_MAX);
    let mut header = vec!["from second", "a second", "p50", "p99"];
    header.extend(series.outcomes.iter().map(|(name, _)| *name));
    let rows = series.points.iter().map(|point| {
        let figures = [grouped(point.second), rate(point.per_second()), latency(point.p50_ms), latency(point.p99_ms)];
        figures.into_iter().chain(point.counts.iter().copied().map(grouped)).collect::<Vec<_>>()
    });
    let over_time = table("Over time", &header, rows);
    let rows = route.distribution.iter().map(|point| {
        vec![format!("p{:.2}", point.quantile * 100.0), latency(point.since_due_ms), latency(point.since_sent_ms)]
    });
    let distribution = table("Distribution", &["", "since due", "since sent"], rows);
    format!("<details><summary>The numbers of these charts</summary>\n{over_time}{distribution}</details>\n")
}

fn listeners(listeners: &ListenersReport) -> String {
    let number = |number: usize| grouped(number as u64);
    let mut facts = vec![
        ("Listeners", number(listeners.count)),
        ("Had a stream", number(listeners.opened)),
        ("Saw the end", number(listeners.saw_the_end)),
        ("Told that they missed something", number(listeners.resets)),
        ("Stock that rose (I11)", number(listeners.rises)),
    ];
    if let Some(lag) = &listeners.lag {
        facts.push(("News late by half", latency(lag.p50_ms)));
        facts.push(("99 of 100", latency(lag.p99_ms)));
    }
    section("Live stream", "What those saw who listened to the sale.", &definitions("figures", &facts))
}

fn failures(report: &Report) -> String {
    if report.failures.is_empty() {
        return String::new();
    }
    let rows = report.failures.iter().map(|(what, times)| vec![what.clone(), grouped(*times)]);
    section(
        "What broke",
        "Requests without an answer, in the words of the system.",
        &table("", &["what", "times"], rows),
    )
}

fn run(report: &Report) -> String {
    let cores = if report.seconds > 0.0 {
        format!("{:.1} cores", report.client_cpu_seconds / report.seconds)
    } else {
        UNKNOWN.to_owned()
    };
    let facts = [
        ("Servers", report.url.clone()),
        ("Began", report.started_at.clone()),
        ("Took", length(report.seconds)),
        ("Seed", report.seed.to_string()),
        ("Connections", grouped(report.connections)),
        ("Never sent", grouped(report.unsent)),
        ("Work of this tool", format!("{:.1} s, {cores}", report.client_cpu_seconds)),
        ("Version", report.version.clone()),
    ];
    let mut says = "Latency counts from when a request was due, so a server that makes its clients wait does not look \
                    faster for it."
        .to_owned();
    if report.unsent > 0 {
        says.push_str(" Requests that were never sent are in no other figure: the tool could not keep up.");
    }
    section("The run", &says, &definitions("facts", &facts))
}

fn definitions(class: &str, facts: &[(&str, String)]) -> String {
    let mut page = format!("<dl class=\"{class}\">\n");
    for (name, value) in facts {
        put(&mut page, format_args!("<div><dt>{}</dt><dd><bdi>{}</bdi></dd></div>\n", escape(name), escape(value)));
    }
    page + "</dl>\n"
}

fn section(title: &str, says: &str, content: &str) -> String {
    let (title, says) = (escape(title), escape(says));
    format!("<section>\n<h2>{title}</h2>\n<p class=\"faint\">{says}</p>\n{content}</section>\n")
}

/// A chart with its name, what it says, and what its colours are.
fn figure(route: &str, name: &str, title: &str, says: &str, legend: &[(String, String)], shapes: &str) -> String {
    let (title, says, id) = (escape(title), escape(says), format!("{}-{name}", escape(route)));
    let mut page = format!("<figure>\n<figcaption><h3>{title}</h3><p class=\"faint\">{says}</p></figcaption>\n");
    put(
        &mut page,
        format_args!(
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-says\">\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-says\">{says}</desc>{shapes}</svg>\n\
             <ul class=\"legend\">",
            plot::WIDTH,
            plot::HEIGHT
        ),
    );
    for (class, name) in legend {
        put(&mut page, format_args!("<li><span class=\"swatch {class}\"></span>{}</li>", escape(name)));
    }
    page + "</ul>\n</figure>\n"
}

/// A bar of so many per cent.
fn bar(class: &str, percent: f64) -> String {
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"rail\" width=\"100\" height=\"4\"/><rect class=\"{class}\" width=\"{percent:.2}\" height=\"4\"/></svg>"
    )
}

/// A table whose first column names the rows; everything in it is escaped here.
fn table(caption: &str, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut page = format!("<div class=\"scroll\"><table><caption>{}</caption><thead><tr>", escape(caption));
    for name in header {
        put(&mut page, format_args!("<th scope=\"col\">{}</th>", escape(&words(name))));
    }
    page.push_str("</tr></thead><tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            match column {
                0 => put(&mut page, format_args!("<th scope=\"row\"><bdi>{cell}</bdi></th>")),
                _ => put(&mut page, format_args!("<td>{cell}</td>")),
            }
        }
        page.push_str("</tr>\n");
    }
    page + "</tbody></table></div>\n"
}
