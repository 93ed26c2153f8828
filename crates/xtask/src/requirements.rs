//! Each promise of `docs/requirements.md` has a test that is named after it, and tests are named after no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

const DOCUMENT: &str = "docs/requirements.md";
/// What ids begin with. Behind a single F or I, for faults and invariants, stands no hyphen.
const KINDS: [&str; 8] = ["F", "FE", "FL", "I", "IM", "NF", "PR", "T"];

/// Compares the ids of the document with those of the tests, and the tests that it names with those there are.
pub(crate) fn check(texts: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let Some(document) = texts.get(Path::new(DOCUMENT)) else { return vec![format!("{DOCUMENT} is missing")] };
    let (names, used) = tests(texts);
    let (mut promised, mut problems) = (BTreeSet::new(), Vec::new());
    for (ids, tests) in rows(document) {
        if tests.is_empty() {
            problems.push(format!("{DOCUMENT} does not say where {} is tested", ids.join(", ")));
        }
        let unknown = tests.into_iter().filter(|test| !names.contains(*test));
        problems.extend(unknown.map(|test| format!("{DOCUMENT} names the test `{test}`, which is not there")));
        promised.extend(ids.into_iter().map(str::to_owned));
    }
    problems.extend(promised.difference(&used).map(|id| format!("no test is named after {id} of {DOCUMENT}")));
    problems.extend(used.difference(&promised).map(|id| format!("tests are named after {id}, not in {DOCUMENT}")));
    problems
}

/// The rows whose first cell is made of ids: these, and the names in the last cell.
fn rows(document: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let rows = document.lines().filter_map(|line| {
        let (first, rest) = line.strip_prefix("| ")?.split_once(" |")?;
        let (_, last) = rest.strip_suffix(" |")?.rsplit_once(" | ")?;
        let ids: Vec<&str> = first.split(", ").collect();
        ids.iter().all(|id| is_id(id)).then(|| (ids, last.split('`').skip(1).step_by(2).collect()))
    });
    rows.collect()
}

fn is_id(text: &str) -> bool {
    let number = text.trim_start_matches(|c: char| c.is_ascii_uppercase()).trim_start_matches('-');
    number.parse::<u32>().is_ok_and(|number| KINDS.iter().any(|kind| id(kind, number) == text))
}

fn id(kind: &str, number: u32) -> String {
    let hyphen = if ["F", "I"].contains(&kind) { "" } else { "-" };
    format!("{kind}{hyphen}{number}")
}

/// The names of all tests and drills, and the ids after which they are named.
fn tests(texts: &BTreeMap<PathBuf, String>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut names, mut used) = (BTreeSet::new(), BTreeSet::new());
    // Not this crate, whose tests are about tests that do not exist.
    for (file, text) in texts.iter().filter(|(file, _)| !file.starts_with("crates/xtask")) {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if file.extension().is_some_and(|kind| kind == "rs") {
            let functions = text.split("fn ").skip(1).map(name_at_start);
            used.extend(functions.clone().flat_map(ids_of_function));
            names.extend(functions.map(str::to_owned));
            if file.starts_with("crates/drills") {
                used.extend(quoted_after(text, "fault: \""));
                names.extend(quoted_after(text, "name: \""));
            }
        } else if name.contains(".test.ts") || name.contains(".spec.ts") {
            let titles = text.split(['"', '`']);
            used.extend(titles.clone().flat_map(ids_of_title));
            names.extend(titles.map(str::to_owned));
        }
    }
    (names, used)
}

fn name_at_start(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

fn quoted_after(text: &str, begin: &str) -> Vec<String> {
    text.split(begin).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// The ids with which the name of a function begins: two of `pr_5_pr_6_…`, three of `t_1_to_3_…`.
fn ids_of_function(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let (mut ids, mut rest) = (Vec::new(), &words[..]);
    while let [word, number, after @ ..] = rest {
        let kind = KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(word));
        let (Some(kind), Ok(first)) = (kind, number.parse::<u32>()) else { break };
        let (last, after) = match after {
            ["to", last, after @ ..] => (last.parse().unwrap_or(first), after),
            _ => (first, after),
        };
        ids.extend((first..=last).map(|number| id(kind, number)));
        rest = after;
    }
    ids
}

/// The ids with which the title of a test begins: two of "FE-4 PR-1 a purchase …", one of "FE-9: …".
fn ids_of_title(title: &str) -> Vec<String> {
    let words = title.split_whitespace().map(|word| word.trim_end_matches(':'));
    words.take_while(|word| is_id(word)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "\
| id | must hold | tested by |
|---|---|---|
| T-1, T-2 | the `script` is right | `t_1_to_2_it_is`, and more |
| PR-1 | one can buy | `pr_1_i_3_a_receipt`, `FE-4 PR-1 a purchase` |
| FE-4 | and sees it | `FE-4 PR-1 a purchase` |
| I3 | nothing is lost | `pr_1_i_3_a_receipt` |
| F5 | a crash | `it-dies` |
";
    const RUST: &str = "#[test]\nfn t_1_to_2_it_is() {}\nasync fn pr_1_i_3_a_receipt() {}\nfn if_64() {}";
    const DRILL: &str = "Drill { fault: \"F5\", name: \"it-dies\" }";
    const TITLES: &str = "test(\"FE-4 PR-1 a purchase\", async () => { say(`I ${3}`) });";

    fn found(document: &str, rust: &str, drill: &str, titles: &str) -> Vec<String> {
        let files = [
            (DOCUMENT, document),
            ("lua/tests/it.rs", rust),
            ("crates/drills/src/drills/redis.rs", drill),
            ("frontend/e2e/purchase.spec.ts", titles),
            ("frontend/e2e/shop.ts", "title(\"FE-99 is none\")"),
        ];
        check(&files.map(|(file, text)| (PathBuf::from(file), text.to_owned())).into())
    }

    #[test]
    fn promises_and_tests_that_agree_are_passed_over() {
        assert_eq!(found(ROWS, RUST, DRILL, TITLES), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_on_either_side_is_named() {
        let more = format!("{RUST}\nfn nf_7_more() {{}}");
        let fewer = RUST.replace("t_1_to_2_it_is", "t_1_it_is");
        let nowhere = ROWS.replace("`it-dies`", "by hand");
        let another = DRILL.replace("it-dies", "it-sleeps");
        for (document, rust, drill, titles, wanted) in [
            (ROWS, more.as_str(), DRILL, TITLES, "named after NF-7, not in"),
            (ROWS, fewer.as_str(), DRILL, TITLES, "no test is named after T-2"),
            (ROWS, RUST, "", TITLES, "no test is named after F5"),
            (ROWS, RUST, DRILL, "", "no test is named after FE-4"),
            (ROWS, RUST, another.as_str(), TITLES, "`it-dies`, which is not there"),
            (nowhere.as_str(), RUST, DRILL, TITLES, "where F5 is tested"),
        ] {
            let found = found(document, rust, drill, titles);
            assert!(found.iter().any(|problem| problem.contains(wanted)), "{wanted}: {found:?}");
        }
    }
}
