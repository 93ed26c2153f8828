//! One list of metrics: `docs/metrics.md` names those that the code makes, and everything else names those of the list.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

const LIST: &str = "docs/metrics.md";
const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];
/// Cells of a row of the list: metric, type, labels, unit, what it says, what to do.
const CELLS: usize = 6;

/// Compares the list with the code, and with all that names a metric.
pub(crate) fn check(texts: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let Some(list) = texts.get(Path::new(LIST)) else { return vec![format!("{LIST} is missing")] };
    // Not this file, whose tests measure things that do not exist.
    let code = texts
        .iter()
        .filter(|(file, _)| file.extension().is_some_and(|kind| kind == "rs") && !file.starts_with("crates/xtask"));
    let made: BTreeSet<(String, String)> = code.flat_map(|(_, text)| made(text)).collect();
    let (listed, mut problems) = listed(list);
    problems.extend(made.difference(&listed).map(|(name, kind)| format!("{LIST} has no row for the {kind} {name}")));
    problems.extend(
        listed.difference(&made).map(|(name, kind)| format!("{LIST} has a {kind} {name}, which nothing measures")),
    );
    for (file, text) in texts.iter().filter(|(file, _)| names_metrics(file)) {
        let unknown = named(text).into_iter().filter(|name| !listed.iter().any(|(known, _)| known == name));
        problems.extend(unknown.map(|name| format!("{} names {name}, which is not in {LIST}", file.display())));
    }
    problems
}

/// Rules, their tests, dashboards and documents.
fn names_metrics(file: &Path) -> bool {
    let known = ["yml", "json", "md"];
    let of_a_kind = file.extension().is_some_and(|extension| known.iter().any(|kind| extension == *kind));
    of_a_kind && (file.starts_with("deploy") || file.starts_with("docs"))
}

/// What the macros of a source file make: name and type. A name is a constant of the file, or stands in the macro.
fn made(text: &str) -> Vec<(String, String)> {
    let dense: String = text.split_whitespace().collect();
    let constant = |name: &str| {
        let (_, value) = dense.split_once(&format!("const{name}:&str="))?;
        value.split(';').next()
    };
    let mut made = Vec::new();
    for kind in KINDS {
        for call in dense.split(&format!("{kind}!(")).skip(1) {
            let argument = call.split([',', ')']).next().unwrap_or_default();
            let name = constant(argument).unwrap_or(argument).trim_matches('"');
            if name.starts_with("flashsale_") {
                made.push((name.to_owned(), kind.to_owned()));
            }
        }
    }
    made
}

/// The rows of the list, and what is wrong with them.
fn listed(text: &str) -> (BTreeSet<(String, String)>, Vec<String>) {
    let (mut listed, mut problems) = (BTreeSet::new(), Vec::new());
    for row in text.lines().filter(|line| line.starts_with("| `flashsale_")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        if cells.len() != CELLS || cells.iter().any(|cell| cell.is_empty()) {
            problems.push(format!("{LIST}: the row of {name} has not {CELLS} cells with something in each"));
        }
        let kind = cells.get(1).copied().unwrap_or_default();
        if (kind == "counter") != name.ends_with("_total") {
            problems.push(format!("{LIST}: {name} is a {kind}; counters, and they alone, end in _total"));
        }
        if !listed.insert((name.clone(), kind.to_owned())) {
            problems.push(format!("{LIST} has two rows for {name}"));
        }
    }
    (listed, problems)
}

/// The metrics that a text names; of a histogram the series are meant too. A bare prefix names none.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.strip_prefix("flashsale_").is_some_and(|rest| !rest.is_empty()));
    names
        .map(|name| ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = r#"
        const SOLD: &str = "flashsale_sold_total";
        const WAITS: &str =
            "flashsale_waits_seconds";
        fn describe() { describe_histogram!(WAITS, "Seconds"); }
        fn sold() { counter!(SOLD, "how" => "well").increment(1); metrics::gauge!("flashsale_open").set(1.0); }
    "#;
    const ROWS: &str = "
        | metric | type | labels | unit | says | do |\n\
        | `flashsale_sold_total` | counter | `how` | units | sold | nothing |\n\
        | `flashsale_waits_seconds` | histogram | - | seconds | waits | nothing |\n\
        | `flashsale_open` | gauge | - | 0 or 1 | open | open it |\n";

    fn found(list: &str, code: &str, rule: &str) -> Vec<String> {
        let files = [(LIST, list), ("x/src/metrics.rs", code), ("deploy/rules.yml", rule)];
        check(&files.map(|(file, text)| (PathBuf::from(file), text.to_owned())).into())
    }

    #[test]
    fn list_code_and_rules_agree() {
        let rule = "rate(flashsale_waits_seconds_bucket[1m]) > flashsale_open or flashsale_sold_total";
        assert_eq!(found(ROWS, CODE, rule), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_on_either_side_is_named() {
        for (list, code, rule, wanted) in [
            (ROWS, "", "", "which nothing measures"),
            ("", CODE, "", "has no row for"),
            (ROWS, CODE, "flashsale_lost > 0", "names flashsale_lost"),
            (ROWS.replace("| open it |", "| |").as_str(), CODE, "", "6 cells"),
            (ROWS.replace("| gauge |", "| counter |").as_str(), CODE, "", "end in _total"),
            (ROWS.repeat(2).as_str(), CODE, "", "two rows"),
        ] {
            let found = found(list, code, rule);
            assert!(found.iter().any(|problem| problem.contains(wanted)), "{wanted}: {found:?}");
        }
    }
}
