//! The architecture invariants of ARCHITECTURE.md, as checks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Longest file of code, in lines.
const FILE_LINES_MAX: usize = 500;
/// Longest function, in lines.
const FUNCTION_LINES_MAX: usize = 70;

const SERVICES: [&str; 4] = ["flashsale-ingest", "flashsale-processor", "flashsale-sinks", "flashsale-api"];

/// Returns everything that breaks a rule.
pub(crate) fn check() -> anyhow::Result<Vec<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().context("read the workspace")?;
    let root = metadata.workspace_root.as_std_path().to_owned();
    let mut problems = dependencies(&dependency_map(&metadata));
    problems.extend(manifests(&metadata)?);
    problems.extend(alerts(&root)?);
    for file in tracked_files(&root)? {
        let Ok(text) = fs::read_to_string(root.join(&file)) else { continue };
        problems.extend(sizes(&file, &text));
        problems.extend(words(&file, &text));
    }
    Ok(problems)
}

/// Normal dependencies by package.
fn dependency_map(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let names = |package: &cargo_metadata::Package| {
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        normal.map(|dependency| dependency.name.clone()).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), names(package))).collect()
}

/// Dependencies point inwards only.
fn dependencies(map: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut problems = Vec::new();
    for (package, dependencies) in map {
        let ours: Vec<&str> =
            dependencies.iter().map(String::as_str).filter(|name| name.starts_with("flashsale")).collect();
        let mut refuse = |rule: &str, name: &str| problems.push(format!("{package} depends on {name}: {rule}"));
        for name in &ours {
            if SERVICES.contains(name) && package != "flashsale" {
                refuse("only the binary knows services", name);
            }
            if *name == "flashsale-testkit" {
                refuse("the testkit is for tests", name);
            }
            let foundation = ["flashsale-streaming", "flashsale-platform", "flashsale-localstack"];
            if foundation.contains(&package.as_str()) || package == "flashsale-core" {
                refuse("foundations know nothing of ours", name);
            }
            if ["flashsale-lua", "flashsale-sql", "flashsale-schemas"].contains(&package.as_str())
                && *name != "flashsale-core"
            {
                refuse("the contracts know the domain and nothing else of ours", name);
            }
        }
        for (crate_name, owner) in [("rdkafka", "flashsale-streaming"), ("sqlx", "flashsale-sql")] {
            if dependencies.contains(crate_name) && package != owner {
                refuse(&format!("only {owner} names it"), crate_name);
            }
        }
        if package == "flashsale-core" {
            for io in ["tokio", "redis", "axum", "hyper", "rand", "tracing", "metrics"] {
                if dependencies.contains(io) {
                    refuse("the core does no IO", io);
                }
            }
        }
    }
    problems
}

/// Every crate takes lints, edition and licence from the workspace, and says what it is.
fn manifests(metadata: &Metadata) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let text = fs::read_to_string(&package.manifest_path).with_context(|| package.manifest_path.to_string())?;
        for line in ["[lints]\nworkspace = true", "edition.workspace = true", "license.workspace = true"] {
            if !text.contains(line) {
                problems.push(format!("{} lacks `{}`", package.manifest_path, line.replace('\n', " ")));
            }
        }
        if package.description.is_none() {
            problems.push(format!("{} has no description", package.manifest_path));
        }
    }
    Ok(problems)
}

/// Every metric that an alert or its test names is one that a crate makes.
fn alerts(root: &Path) -> anyhow::Result<Vec<String>> {
    let files = tracked_files(root)?;
    let read = |file: &PathBuf| fs::read_to_string(root.join(file)).unwrap_or_default();
    let made: String =
        files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs")).map(read).collect();
    let mut problems = BTreeSet::new();
    for file in
        files.iter().filter(|file| file.starts_with("deploy/prometheus") && file.to_string_lossy().ends_with(".yml"))
    {
        let text = read(file);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for name in words.filter(|word| word.starts_with("flashsale_")) {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            if !made.contains(&format!("\"{name}\"")) && !made.contains(&format!("\"{base}\"")) {
                problems.insert(format!("{} names {name}, which nothing measures", file.display()));
            }
        }
    }
    Ok(problems.into_iter().collect())
}

fn tracked_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root).output();
    let output = output.context("run git ls-files")?;
    anyhow::ensure!(output.status.success(), "git ls-files failed");
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect())
}

fn sizes(file: &Path, text: &str) -> Vec<String> {
    let code = ["rs", "lua", "sql", "ts", "tsx", "sh"];
    if !file.extension().is_some_and(|extension| code.iter().any(|known| extension == *known)) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        problems.push(format!("{} has {lines} lines, more than {FILE_LINES_MAX}: split it by noun", file.display()));
    }
    if file.extension().is_some_and(|extension| extension == "rs") {
        problems.extend(long_functions(text).into_iter().map(|(line, length)| {
            format!("{}:{line} is a function of {length} lines, more than {FUNCTION_LINES_MAX}", file.display())
        }));
    }
    problems
}

/// Functions that are too long: first line and length. rustfmt puts the closing brace under the `fn`.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let mut long = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        match &open {
            Some((first, close)) if line == close => {
                let length = number - first + 1;
                if length > FUNCTION_LINES_MAX {
                    long.push((*first, length));
                }
                open = None;
            }
            None => {
                let is_function = starts_function(line);
                if is_function && !line.ends_with('}') && !line.ends_with(';') {
                    open = Some((number, format!("{indent}}}")));
                }
            }
            Some(_) => {}
        }
    }
    long
}

/// Whether the line begins a function, after its visibility and qualifiers.
fn starts_function(line: &str) -> bool {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| ["pub", "const", "async", "unsafe", "extern"].contains(word) || word.starts_with("pub("));
    words.next() == Some("fn")
}

/// Names that say nothing, and marks of unfinished work.
fn words(file: &Path, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if ["utils", "util", "helpers", "common", "misc"].contains(&stem) {
        problems.push(format!("{}: name it after what is in it", file.display()));
    }
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["todo", "!("].concat()];
    for (number, line) in (1..).zip(text.lines()) {
        if file.extension().is_some_and(|extension| extension == "rs") && marks.iter().any(|mark| line.contains(mark)) {
            problems.push(format!("{}:{number} is unfinished", file.display()));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_architecture_holds() {
        assert_eq!(check().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn broken_rules_are_found() {
        let map = |package: &str, dependency: &str| {
            BTreeMap::from([(package.to_owned(), BTreeSet::from([dependency.to_owned()]))])
        };
        for (package, dependency) in [
            ("flashsale-ingest", "flashsale-api"),
            ("flashsale-core", "tokio"),
            ("flashsale-api", "rdkafka"),
            ("flashsale-streaming", "flashsale-schemas"),
            ("flashsale-lua", "flashsale-platform"),
            ("flashsale-api", "flashsale-testkit"),
        ] {
            assert_eq!(dependencies(&map(package, dependency)).len(), 1, "{package} on {dependency}");
        }
        assert!(dependencies(&map("flashsale", "flashsale-api")).is_empty());
        let long = format!("fn a() {{\n{}}}\n", "    x();\n".repeat(FUNCTION_LINES_MAX));
        assert_eq!(long_functions(&long), [(1, FUNCTION_LINES_MAX + 2)]);
        assert!(starts_function("    pub(super) const fn a(") && !starts_function("let fn_ = 1;"));
        assert_eq!(sizes(Path::new("a.rs"), &"\n".repeat(FILE_LINES_MAX + 1)).len(), 1);
        assert_eq!(words(Path::new("x/utils.rs"), "").len(), 1);
    }
}
