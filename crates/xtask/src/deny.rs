//! What may be in the tree of dependencies, by the lists of `deny.toml`: licences, registries, banned crates.
//!
//! `cargo deny` checks the same and more where it is installed, which costs minutes; this is a part of every run.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, anyhow};
use cargo_metadata::{Metadata, MetadataCommand};
use serde::Deserialize;
use spdx::{Expression, LicenseReq, Licensee, ParseMode};

/// The part of `deny.toml` that is read here.
#[derive(Debug, Deserialize)]
struct Lists {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    /// Who may depend on it all the same.
    #[serde(default)]
    wrappers: BTreeSet<String>,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// A crate that is not ours.
#[derive(Debug, Clone, Default)]
struct Foreign {
    name: String,
    version: String,
    licence: Option<String>,
    source: String,
    /// Who depends on it, by name.
    wanted_by: BTreeSet<String>,
}

/// Everything in the tree that `deny.toml` does not allow.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(root.join("deny.toml")).context("read deny.toml")?;
    let lists: Lists = toml::from_str(&text).context("deny.toml")?;
    let mut command = MetadataCommand::new();
    // What only other systems need has not been fetched.
    command.other_options(["--filter-platform".to_owned(), host()?]);
    let metadata = command.exec().context("read the tree of dependencies")?;
    problems(&lists, &foreign(&metadata))
}

/// The system that this one is for cargo.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("run rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

fn foreign(metadata: &Metadata) -> Vec<Foreign> {
    let named = metadata.packages.iter().map(|package| (&package.id, package.name.to_string()));
    let names: BTreeMap<_, _> = named.collect();
    let mut wanted_by: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
        for dependency in &node.deps {
            wanted_by.entry(&dependency.pkg).or_default().extend(names.get(&node.id).cloned());
        }
    }
    let foreign = metadata.packages.iter().filter_map(|package| {
        Some(Foreign {
            name: package.name.to_string(),
            version: package.version.to_string(),
            licence: package.license.clone(),
            source: package.source.as_ref()?.repr.clone(),
            wanted_by: wanted_by.get(&package.id).cloned().unwrap_or_default(),
        })
    });
    foreign.collect()
}

fn problems(lists: &Lists, crates: &[Foreign]) -> anyhow::Result<Vec<String>> {
    let allowed = licensees(&lists.licenses.allow)?;
    let mut problems = Vec::new();
    for Foreign { name, version, licence, source, wanted_by } in crates {
        let mut refuse = |why: String| problems.push(format!("{name} {version} {why}; deny.toml says what may be"));
        let exception = lists.licenses.exceptions.iter().find(|exception| exception.name == *name);
        let exception = exception.map(|exception| licensees(&exception.allow)).transpose()?.unwrap_or_default();
        match licence.as_deref().map(|text| (text, Expression::parse_mode(text, ParseMode::LAX))) {
            None => refuse("names no licence".to_owned()),
            Some((text, Err(_))) => refuse(format!("has a licence that cannot be read: {text}")),
            Some((text, Ok(expression))) => {
                let may = |wanted: &LicenseReq| allowed.iter().chain(&exception).any(|one| one.satisfies(wanted));
                if !expression.evaluate(may) {
                    refuse(format!("has a licence that is not allowed: {text}"));
                }
            }
        }
        if !lists.sources.allow_registry.iter().any(|registry| *source == format!("registry+{registry}")) {
            refuse(format!("comes from {source}"));
        }
        for ban in lists.bans.deny.iter().filter(|ban| ban.name == *name) {
            if ban.wrappers.is_empty() || !wanted_by.is_subset(&ban.wrappers) {
                refuse(format!("is wanted by {wanted_by:?} and banned: {}", ban.reason));
            }
        }
    }
    Ok(problems)
}

fn licensees(names: &[String]) -> anyhow::Result<Vec<Licensee>> {
    let parse = |name: &String| Licensee::parse(name).map_err(|error| anyhow!("{name} in deny.toml: {error}"));
    names.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_is_found() {
        let lists: Lists = toml::from_str(
            r#"
            [licenses]
            allow = ["MIT", "Apache-2.0"]
            exceptions = [{ crate = "odd", allow = ["MPL-2.0"] }]
            [bans]
            deny = [{ crate = "tls", wrappers = ["log"], reason = "one is enough" }, { crate = "old", reason = "old" }]
            [sources]
            allow-registry = ["https://example.org/index"]
            "#,
        )
        .unwrap();
        let fine = Foreign {
            name: "fine".into(),
            version: "1.0.0".into(),
            licence: Some("GPL-3.0-only OR MIT".into()),
            source: "registry+https://example.org/index".into(),
            wanted_by: BTreeSet::from(["log".into()]),
        };
        let found = |change: &dyn Fn(&mut Foreign)| {
            let mut one = fine.clone();
            change(&mut one);
            problems(&lists, &[one]).unwrap()
        };
        let odd = |one: &mut Foreign| {
            one.name = "odd".into();
            one.licence = Some("MPL-2.0 AND MIT".into());
        };
        let elsewhere = |one: &mut Foreign| {
            one.name = "tls".into();
            one.wanted_by = BTreeSet::from(["log".into(), "api".into()]);
        };
        assert_eq!(found(&odd), Vec::<String>::new(), "an exception");
        assert_eq!(found(&|one| one.name = "tls".into()), Vec::<String>::new(), "its wrapper may");
        for licence in ["MIT/Apache-2.0", "Apache-2.0 / MIT", "(MIT OR Zlib)", "ISC WITH LLVM-exception OR MIT"] {
            assert_eq!(found(&|one| one.licence = Some(licence.into())), Vec::<String>::new(), "{licence}");
        }
        type Change<'a> = &'a dyn Fn(&mut Foreign);
        let wrong: [(Change<'_>, &str); 7] = [
            (&|one| one.licence = None, "names no licence"),
            (&|one| one.licence = Some("Beerware-ish".into()), "cannot be read"),
            (&|one| one.licence = Some("MIT AND GPL-3.0-only".into()), "not allowed"),
            (&|one| one.licence = Some("MPL-2.0".into()), "not allowed"),
            (&|one| one.source = "git+https://example.org/fine".into(), "comes from git+"),
            (&|one| one.name = "old".into(), "banned: old"),
            (&elsewhere, "banned: one is enough"),
        ];
        for (change, why) in wrong {
            let problems = found(change);
            assert!(problems.len() == 1 && problems[0].contains(why), "{why}: {problems:?}");
        }
    }
}
