//! Links between documents lead somewhere: to a file that is there, and to a heading that is in it. Where the words of a
//! link to code are a name, the code has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

/// Checks the links of every document, and the sections that alerts send their reader to. `is_there` tells whether a
/// path below the root exists, pictures and folders too.
pub(crate) fn check(texts: &BTreeMap<PathBuf, String>, is_there: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for (file, text) in texts {
        let (from, links) = match file.extension().and_then(|kind| kind.to_str()) {
            Some("md") => (file.parent().unwrap_or(Path::new("")), links(text)),
            Some("yml") if file.starts_with("deploy/prometheus/rules") => (Path::new(""), runbooks(text)),
            _ => continue,
        };
        for link in links {
            let (path, section) = link.split_once('#').map_or((&*link, None), |(path, name)| (path, Some(name)));
            let target = if path.is_empty() { file.clone() } else { resolved(from, path) };
            let is_in = |name| texts.get(&target).is_some_and(|text| sections(text).contains(name));
            if !is_there(&target) {
                problems.push(format!("{} leads to {link}, but there is no {}", file.display(), target.display()));
            } else if section.is_some_and(|name| !is_in(name)) {
                problems.push(format!("{} leads to {link}, which has no such heading", file.display()));
            }
        }
    }
    problems
}

/// Checks links such as [`a_test`](../tests/it/main.rs): a name that is no longer in the file sends nobody anywhere.
pub(crate) fn check_names(texts: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut problems = Vec::new();
    for (file, text) in texts.iter().filter(|(file, _)| file.extension().is_some_and(|kind| kind == "md")) {
        let from = file.parent().unwrap_or(Path::new(""));
        for (name, path) in names(&prose(text).collect::<Vec<_>>().join("\n")) {
            let is_code = [".rs", ".ts", ".tsx"].iter().any(|end| path.ends_with(end));
            let code = texts.get(&resolved(from, path)).filter(|_| is_code);
            if code.is_some_and(|code| !code.contains(name)) {
                problems.push(format!("{} says that {name} is in {path}, but it is not", file.display()));
            }
        }
    }
    problems
}

/// What links call by a name, and where they lead.
fn names(prose: &str) -> Vec<(&str, &str)> {
    let mut names = Vec::new();
    for (at, _) in prose.match_indices("`](") {
        let name = prose[..at].rsplit('`').next().unwrap_or_default();
        let path = prose[at + "`](".len()..].split(')').next().unwrap_or_default();
        names.push((name, path));
    }
    names
}

/// The lines of a document that are not code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where a document leads to within the repository, pictures included.
fn links(text: &str) -> Vec<String> {
    // Joined: the words of a link may stand on two lines.
    let prose = prose(text).collect::<Vec<_>>().join("\n");
    let after = |begin: &str, end: char| -> Vec<String> {
        prose.split(begin).skip(1).filter_map(|rest| rest.split(end).next()).map(str::to_owned).collect()
    };
    let mut links = after("](", ')');
    links.extend(after("src=\"", '"'));
    links.retain(|link| !link.contains(':'));
    links
}

/// The sections that rules name, as seen from the root.
fn runbooks(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).map(str::to_owned).collect()
}

/// `path` as seen from `folder`, without steps up.
fn resolved(folder: &Path, path: &str) -> PathBuf {
    let mut target = folder.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                target.pop();
            }
            part => target.push(part),
        }
    }
    target
}

/// What can stand behind the `#` of a link to this document, made of its headings as GitHub does it.
fn sections(text: &str) -> BTreeSet<String> {
    let mut sections = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let name = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let again = (1..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(again).find(|name| !sections.contains(name));
        sections.extend(free);
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "\
# What it is

[itself](#what-it-is), [the same
again](more.md#the-fence-1), ![a picture](../a.png), [elsewhere](https://example.org/none.md), [up](../README.md)

```sh
echo '# No heading' '[no link](none.md)'
```
";
    const THERE: &str = "# More\n\n## The fence\n\n## The `fence`\n";

    fn found(here: &str, rules: &str) -> Vec<String> {
        let files = [
            ("docs/here.md", here),
            ("docs/more.md", THERE),
            ("README.md", ""),
            ("deploy/prometheus/rules/a.yml", rules),
        ];
        let texts: BTreeMap<PathBuf, String> = files.map(|(file, text)| (PathBuf::from(file), text.to_owned())).into();
        check(&texts, |path| texts.contains_key(path) || path == Path::new("a.png"))
    }

    #[test]
    fn links_that_lead_somewhere_are_passed_over() {
        assert_eq!(found(HERE, "  runbook: docs/more.md#the-fence\n"), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_the_code_has_not_is_named() {
        let found = |document: &str| {
            let files = [("docs/a.md", document), ("it/main.rs", "fn there() {}"), ("b.md", "")];
            check_names(&files.map(|(file, text)| (PathBuf::from(file), text.to_owned())).into())
        };
        assert_eq!(found("`x` [`there`](../it/main.rs) and [`gone`](../b.md), [gone](../it/main.rs)"), [""; 0]);
        let found = found("[`there`](../it/main.rs), [`gone`](../it/main.rs)");
        assert_eq!(found, ["docs/a.md says that gone is in ../it/main.rs, but it is not"]);
    }

    #[test]
    fn a_link_to_nowhere_is_named() {
        for (here, rules, wanted) in [
            ("[a](none.md)", "", "there is no docs/none.md"),
            ("<img src=\"b.png\">", "", "there is no docs/b.png"),
            ("[a](#none)", "", "#none, which has no such heading"),
            ("[a](more.md#the-fence-2)", "", "#the-fence-2, which has no such heading"),
            ("", "runbook: docs/more.md#no-heading", "#no-heading, which has no such heading"),
            ("", "runbook: more.md#the-fence", "there is no more.md"),
        ] {
            let found = found(here, rules);
            assert!(found.len() == 1 && found[0].contains(wanted), "{wanted}: {found:?}");
        }
    }
}
