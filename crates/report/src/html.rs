//! The report as one page that needs nothing else: no script, no font, no picture, and the browser is told to fetch
//! none.

use crate::{
    Report,
    series::Series,
    wording::{clock, count, grouped, happened, maybe_span, moment, percent, printable, span},
};

mod chart;

use chart::{Bar, Drawing, Legend};

/// Most points of a chart over time.
const POINTS_MAX: usize = 600;
const STYLE: &str = include_str!("html/style.css");
/// Outcomes in the order of [`Series::points`]: class in the style sheet, and name.
const OUTCOMES: [Legend; 4] = [
    ("accepted", "accepted"),
    ("purchased", "already purchased"),
    ("soldout", "sold out"),
    ("notactive", "not active"),
];

/// The report as an HTML file.
pub fn html(report: &Report) -> String {
    let title = escape(&format!("{} {}", report.sku, report.sale_id));
    let body = [
        head(report),
        summary(report),
        demand(report),
        funnel(report),
        sold(report),
        latency(report),
        retries(report),
        deciles(report),
        fairness(report),
        instances(report),
        changes(report),
    ]
    .concat();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// `text` as text of a page and as value of an attribute, whoever wrote it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn head(report: &Report) -> String {
    let reason = report.end_reason.map(|reason| format!(", {}", reason.as_str())).unwrap_or_default();
    let state = report.state.as_str();
    let (paused, removed) =
        (if report.paused { ", paused" } else { "" }, if report.removed { ", removed" } else { "" });
    let mut head = format!(
        "<header>\n<h1><bdi>{}</bdi></h1>\n<p>{} <span class=\"faint\">{}</span> {state}{reason}{paused}{removed}</p>\n",
        escape(&report.product_name),
        escape(report.sku.as_str()),
        escape(report.sale_id.as_str()),
    );
    for (number, noun, what) in [
        (report.units.missing, "unit", "missing in the log."),
        (report.units.buyers_with_more, "shopper", "with more than one unit."),
        (report.not_understood, "record", "could not be understood, and nothing below counts them."),
    ] {
        if number > 0 {
            put(&mut head, format_args!("<p class=\"bad\">{} {what}</p>\n", count(number, noun)));
        }
    }
    head + "</header>\n"
}

fn summary(report: &Report) -> String {
    let (units, fairness) = (&report.units, &report.fairness);
    let facts = [
        ("Sold", format!("{} of {}", grouped(report.sold), grouped(report.initial_stock))),
        ("Left over", grouped(units.left_over)),
        (
            "Sold out after",
            report.time_to_sell_out_ms.map_or_else(|| "not sold out".into(), |millis| span(millis as f64)),
        ),
        ("Attempts", grouped(report.totals.attempts)),
        ("Shoppers", grouped(report.retries.shoppers)),
        ("Buyers", grouped(units.buyers)),
        ("Start", report.start_time.to_string()),
        ("End", report.end_time.to_string()),
        ("First attempt", moment(report.first_at)),
        ("Last attempt", moment(report.last_at)),
        ("First unit", moment(units.first_sold_at)),
        ("Last unit", moment(units.last_sold_at)),
        ("Most units in a second", grouped(units.peak_per_second)),
        (
            "In the first minute",
            format!("{} sold, {} later", grouped(units.in_first_minute), grouped(units.after_first_minute)),
        ),
        ("Half were decided within", maybe_span(report.latency.received_to_decided.p50_ms)),
        ("Neighbours in order of arrival", percent(fairness.neighbours_in_order)),
        ("Repeated records", grouped(report.repeats)),
    ];
    let mut list = "<dl>\n".to_owned();
    for (name, value) in facts {
        put(&mut list, format_args!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escape(&value)));
    }
    list + "</dl>\n"
}

fn demand(report: &Report) -> String {
    let series = Series::of(report, POINTS_MAX);
    let mut says = format!(
        "{}; at most {} in {}.",
        count(report.totals.attempts, "attempt"),
        grouped(series.highest()),
        if series.step == 1 { "one second".to_owned() } else { format!("{} s, which is one point", series.step) }
    );
    if series.not_drawn > 0 {
        says.push_str(&format!(" {} long before or after are not drawn.", count(series.not_drawn, "attempt")));
    }
    let rows = series.points.iter().enumerate().map(|(index, point)| {
        let mut row = vec![clock(series.begin(index), series.is_long())];
        row.extend([point.iter().sum::<u64>()].into_iter().chain(*point).map(grouped));
        row
    });
    let table = table(
        "Attempts by the time of their decision, UTC",
        &["from", "attempts", "accepted", "already purchased", "sold out", "not active"],
        rows,
    );
    figure("demand", "Attempts over time", &says, &OUTCOMES, &chart::stacked(&series, &OUTCOMES), &table)
}

fn funnel(report: &Report) -> String {
    let totals = &report.totals;
    let mut bars = vec![Bar::new("all attempts", "notactive", totals.attempts)];
    let parts = [totals.accepted, totals.already_purchased, totals.sold_out, totals.not_active_in_all()];
    bars.extend(OUTCOMES.iter().zip(parts).map(|(&(class, name), part)| Bar::new(name, class, part)));
    bars.extend(totals.not_active.iter().map(|(reason, part)| Bar::new(format!("– {reason}"), "notactive", *part)));
    let share = |part: u64| percent(crate::fairness::share(part, totals.attempts));
    let rows = bars.iter().map(|bar| vec![bar.label.clone(), grouped(bar.value), share(bar.value)]).collect::<Vec<_>>();
    for bar in &mut bars {
        bar.figure = format!("{}  {}", grouped(bar.value), share(bar.value));
    }
    let says = format!(
        "{} of {} got a unit; {} were refused at the edge, without Redis.",
        grouped(totals.accepted),
        count(totals.attempts, "attempt"),
        grouped(totals.at_the_edge)
    );
    let table = table("Attempts by outcome and reason", &["outcome", "attempts", "share"], rows);
    figure("funnel", "What shoppers were told", &says, &[], &chart::bars(&bars), &table)
}

fn sold(report: &Report) -> String {
    let curve = &report.units.curve;
    let says = match (curve.first(), curve.last()) {
        (Some(_), Some(last)) => {
            format!("{} sold within {} of the start.", count(last.units, "unit"), span(last.after_ms))
        }
        _ => "No unit was sold.".to_owned(),
    };
    let rows = curve.iter().map(|point| vec![span(point.after_ms), grouped(point.units)]);
    let table = table("Units sold by a time after the start", &["after", "units"], rows);
    figure("sold", "Units sold", &says, &[], &chart::curve(curve, report.initial_stock), &table)
}

fn latency(report: &Report) -> String {
    let (mut bars, mut rows, mut skewed) = (Vec::new(), Vec::new(), 0);
    let latency = &report.latency;
    for (name, class, times) in
        [("decision", "soldout", &latency.received_to_decided), ("log", "accepted", &latency.received_to_logged)]
    {
        let quantiles =
            [("half", times.p50_ms), ("90 %", times.p90_ms), ("99 %", times.p99_ms), ("longest", times.max_ms)];
        for (quantile, millis) in quantiles {
            // In steps that do not matter; the length of the bar is the logarithm.
            let mut bar =
                Bar::new(format!("{name}, {quantile}"), class, millis.map_or(0, |millis| (millis * 1_000.0) as u64));
            bar.figure = maybe_span(millis);
            bars.push(bar);
        }
        let mut row = vec![format!("to the {name}"), grouped(times.count)];
        row.extend(quantiles.map(|(_, millis)| maybe_span(millis)));
        rows.push(row);
        skewed += times.clock_skew;
    }
    let mut says =
        "From the arrival of an attempt to its decision and to its record. The scale is logarithmic.".to_owned();
    if skewed > 0 {
        says.push_str(&format!(" Clocks differ: {} ended before they began and count as 0.", grouped(skewed)));
    }
    let table = table("Latency", &["", "attempts", "half", "90 %", "99 %", "longest"], rows);
    figure("latency", "How long it took", &says, &[], &chart::logarithmic(&bars), &table)
}

fn retries(report: &Report) -> String {
    let retries = &report.retries;
    let bars: Vec<Bar> =
        retries.attempts_per_shopper.iter().map(|band| Bar::new(band.attempts, "soldout", band.shoppers)).collect();
    let rows = bars.iter().map(|bar| vec![bar.label.clone(), grouped(bar.value)]);
    let mut tables = table("Shoppers by the number of their attempts", &["attempts", "shoppers"], rows);
    let insistent = retries
        .most_insistent
        .iter()
        .map(|one| vec![one.user_id.clone(), grouped(one.attempts), if one.bought { "yes" } else { "no" }.to_owned()]);
    tables.push_str(&table("The most insistent", &["shopper", "attempts", "bought"], insistent));
    let again = retries.shoppers - retries.attempts_per_shopper.first().map_or(0, |band| band.shoppers);
    let says = format!("{}, of whom {} tried more than once.", count(retries.shoppers, "shopper"), grouped(again));
    figure("retries", "Attempts per shopper", &says, &[], &chart::bars(&bars), &tables)
}

fn deciles(report: &Report) -> String {
    let fairness = &report.fairness;
    let columns: Vec<Bar> = fairness
        .deciles
        .iter()
        .map(|decile| {
            // In tenths of a per cent.
            let share = decile.share.map_or(0, |share| (share * 1_000.0).round() as u64);
            Bar { figure: percent(decile.share), ..Bar::new(format!("{}.", decile.decile), "accepted", share) }
        })
        .collect();
    let rows = fairness.deciles.iter().map(|decile| {
        vec![
            decile.decile.to_string(),
            maybe_span(decile.from_ms),
            maybe_span(decile.to_ms),
            grouped(decile.shoppers),
            grouped(decile.winners),
            percent(decile.share),
        ]
    });
    let says = format!(
        "Shoppers in order of their first attempt after the start, in ten equal parts. {} came within a second, {} of them got a unit.",
        grouped(fairness.shoppers_in_first_second),
        grouped(fairness.winners_in_first_second)
    );
    let table = table("Winners by tenth of arrival", &["tenth", "from", "to", "shoppers", "winners", "share"], rows);
    figure("deciles", "Winners by order of arrival", &says, &[], &chart::columns(&columns), &table)
}

fn fairness(report: &Report) -> String {
    let fairness = &report.fairness;
    let rows = [
        ("units whose arrival is known", grouped(fairness.units_with_arrival)),
        ("units left out", grouped(fairness.units_without_arrival)),
        ("neighbours in order of arrival", percent(fairness.neighbours_in_order)),
        ("pairs in the wrong order", grouped(fairness.inversions)),
        ("their share of all pairs", percent(fairness.inversion_share)),
        ("largest overtaking", maybe_span(fairness.largest_overtaking_ms)),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    section("Order of sale and order of arrival", &table("By the clocks of the ingest instances", &["", "value"], rows))
}

fn instances(report: &Report) -> String {
    let units = &report.units;
    let mut rows: Vec<Vec<String>> = units
        .by_instance
        .iter()
        .map(|one| vec![one.ingest_id.clone(), grouped(one.units), percent(Some(one.share))])
        .collect();
    if units.by_other_instances > 0 {
        let share = crate::fairness::share(units.by_other_instances, units.sold);
        rows.push(vec!["others".into(), grouped(units.by_other_instances), percent(share)]);
    }
    section("Who sold the units", &table("Units by ingest instance", &["instance", "units", "share"], rows))
}

fn changes(report: &Report) -> String {
    let rows = report
        .changes
        .iter()
        .map(|change| vec![change.at.to_string(), happened(change.kind).to_owned(), grouped(change.sold)]);
    section("What was done to the sale", &table("Changes", &["at", "what", "units sold"], rows))
}

fn section(title: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n<div class=\"scroll\">{content}</div>\n</section>\n", escape(title))
}

/// A chart with its name, what it says, and its numbers for those who cannot see it or want to know exactly.
fn figure(id: &str, title: &str, says: &str, legend: &[Legend], drawing: &Drawing, table: &str) -> String {
    let (title, says, height, shapes) = (escape(title), escape(says), drawing.height, &drawing.shapes);
    let mut figure = format!("<figure>\n<figcaption><h2>{title}</h2><p class=\"faint\">{says}</p></figcaption>\n");
    if !legend.is_empty() {
        figure.push_str("<ul class=\"legend\">");
        for (class, name) in legend {
            put(&mut figure, format_args!("<li><span class=\"{class}\"></span>{}</li>", escape(name)));
        }
        figure.push_str("</ul>\n");
    }
    put(
        &mut figure,
        format_args!(
            "<svg viewBox=\"0 0 {} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-says\">\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-says\">{says}</desc>{shapes}</svg>\n\
             <details><summary>The numbers: {title}</summary><div class=\"scroll\">{table}</div></details>\n</figure>\n",
            chart::WIDTH
        ),
    );
    figure
}

/// A table whose first column names the rows; everything in it is escaped here.
fn table(caption: &str, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = format!("<table><caption>{}</caption><thead><tr>", escape(caption));
    for name in header {
        put(&mut table, format_args!("<th scope=\"col\">{}</th>", escape(name)));
    }
    table.push_str("</tr></thead><tbody>\n");
    for row in rows {
        table.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            match column {
                0 => put(&mut table, format_args!("<th scope=\"row\"><bdi>{cell}</bdi></th>")),
                _ => put(&mut table, format_args!("<td>{cell}</td>")),
            }
        }
        table.push_str("</tr>\n");
    }
    table + "</tbody></table>\n"
}

/// Appends to a page.
fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.push_str(&std::fmt::format(text));
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
