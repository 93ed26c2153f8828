//! One table of what the benchmarks measured, from the files that they leave in the target folder.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::Context;
use cargo_metadata::MetadataCommand;
use serde::Deserialize;

/// What stands around the table in a document.
const MARKS: [&str; 2] = ["<!-- figures: begin -->", "<!-- figures: end -->"];
/// As a reader goes through them; others come behind.
const ORDER: [&str; 6] = ["decide", "http", "proof", "live", "flood", "scale"];

/// What one benchmark left, as `flashsale_testkit::figures` writes it.
#[derive(Debug, Deserialize)]
struct Run {
    bench: String,
    date: String,
    commit: String,
    machine: String,
    settings: String,
    figures: Vec<Figure>,
}

/// The cells of a row, and whether a goal is met if there is one.
#[derive(Debug, Deserialize)]
struct Figure {
    met: Option<bool>,
    cells: [String; 6],
}

/// Prints the table, and writes it between the marks of a document.
pub(crate) fn run(document: Option<&Path>) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().no_deps().exec().context("read the workspace")?;
    let table = table(&runs(&metadata.target_directory.as_std_path().join("benchmarks"))?);
    writeln!(io::stdout().lock(), "{table}")?;
    let Some(document) = document else { return Ok(()) };
    let text = fs::read_to_string(document).with_context(|| format!("read {}", document.display()))?;
    let [begin, end] = MARKS;
    let text = between_marks(&text, &table)
        .with_context(|| format!("{} lacks the marks {begin} and {end}", document.display()))?;
    fs::write(document, text).with_context(|| format!("write {}", document.display()))
}

fn runs(folder: &Path) -> anyhow::Result<Vec<Run>> {
    let files = fs::read_dir(folder)
        .with_context(|| format!("read {}, where benchmarks leave their figures", folder.display()))?;
    let mut runs = Vec::new();
    for file in files {
        let file = file.context("read the figures")?.path();
        if file.extension().is_some_and(|kind| kind == "json") {
            let text = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            let run: Run = serde_json::from_slice(&text).with_context(|| format!("read {}", file.display()))?;
            runs.push(run);
        }
    }
    runs.sort_by_key(|run| (place(&run.bench), run.bench.clone()));
    Ok(runs)
}

fn place(bench: &str) -> usize {
    ORDER.iter().position(|known| *known == bench).unwrap_or(ORDER.len())
}

/// The figures, and below where they come from.
fn table(runs: &[Run]) -> String {
    let mut lines = vec![row(&["figure", "measured", "limit beside it", "ratio", "goal", ""]), row(&["---"; 6])];
    for figure in runs.iter().flat_map(|run| &run.figures) {
        let [name, measured, limit, ratio, goal, verdict] = figure.cells.each_ref().map(String::as_str);
        let verdict = if figure.met == Some(false) { format!("**{verdict}**") } else { verdict.to_owned() };
        lines.push(row(&[name, measured, limit, ratio, goal, &verdict]));
    }
    let goals = || runs.iter().flat_map(|run| &run.figures).filter_map(|figure| figure.met);
    lines.push(String::new());
    lines.push(format!("{} of {} goals are met.", goals().filter(|met| *met).count(), goals().count()));
    lines.push(String::new());
    lines.push(row(&["benchmark", "date", "commit", "machine", "settings"]));
    lines.push(row(&["---"; 5]));
    for run in runs {
        lines.push(row(&[&format!("`{}`", run.bench), &run.date, &run.commit, &run.machine, &run.settings]));
    }
    lines.join("\n")
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}

/// The document with this table; none if it lacks the marks.
fn between_marks(text: &str, table: &str) -> Option<String> {
    let [begin, end] = MARKS;
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{table}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bench: &str, met: &str) -> Run {
        let json = format!(
            r#"{{"bench":"{bench}","date":"2026-11-23","commit":"abc","machine":"2 cores","settings":"as is","figures":[
                {{"id":"x","met":{met},"cells":["{bench} a second","2 /s","limit: 4 /s","0.50","≥ 0.6","it is so"]}}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn the_table_marks_what_is_missed_and_says_where_it_comes_from() {
        let table = table(&[run("decide", "true"), run("http", "false"), run("live", "null")]);
        assert!(table.contains("| decide a second | 2 /s | limit: 4 /s | 0.50 | ≥ 0.6 | it is so |\n"), "{table}");
        assert!(table.contains("| http a second | 2 /s | limit: 4 /s | 0.50 | ≥ 0.6 | **it is so** |\n"), "{table}");
        assert!(table.contains("\n1 of 2 goals are met.\n"), "{table}");
        assert!(table.ends_with("| `live` | 2026-11-23 | abc | 2 cores | as is |"), "{table}");
    }

    #[test]
    fn the_table_takes_the_place_of_the_last_one() {
        let [begin, end] = MARKS;
        let first = between_marks(&format!("above\n{begin}{end}\nbelow\n"), "first").unwrap();
        let second = between_marks(&first, "second").unwrap();
        assert_eq!(second, format!("above\n{begin}\n\nsecond\n\n{end}\nbelow\n"));
        assert_eq!(between_marks(&format!("{end}{begin}"), "none"), None);
    }

    #[test]
    fn unknown_benchmarks_come_last() {
        assert!(place("decide") < place("flood") && place("flood") < place("another"));
    }
}
