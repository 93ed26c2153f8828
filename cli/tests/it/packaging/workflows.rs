//! The workflows of GitHub: pinned, with few rights, and of this project's versions and commands.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{entries, files, items, path, read, texts, versions, yaml};

const FOLDER: &str = ".github/workflows";
const PREPARE: &str = ".github/actions/prepare/action.yml";

fn workflows() -> Vec<(String, Value)> {
    files(FOLDER).into_iter().map(|file| (file.clone(), yaml(&format!("{FOLDER}/{file}")).remove(0))).collect()
}

/// Every step of all jobs, and of the action that they share.
fn steps() -> Vec<Value> {
    let all = workflows();
    let jobs = all.iter().flat_map(|(_, workflow)| entries(&workflow["jobs"]));
    let steps = jobs.flat_map(|(_, job)| items(&job["steps"]).cloned());
    let shared = yaml(PREPARE).remove(0);
    steps.chain(items(&shared["runs"]["steps"]).cloned()).collect()
}

/// A release of an action: a major version, or the commit.
fn is_pinned(version: &str) -> bool {
    let is_major = version.strip_prefix('v').is_some_and(|digits| digits.parse::<u32>().is_ok());
    is_major || version.len() == 40 && version.chars().all(|c| c.is_ascii_hexdigit())
}

#[test]
fn every_action_is_pinned_and_no_job_has_rights_that_it_was_not_given() {
    for step in steps() {
        let Some(action) = step["uses"].as_str() else { continue };
        let is_ours = action.strip_prefix("./").is_some_and(|folder| path(folder).join("action.yml").exists());
        let version = action.split_once('@').map(|(_, version)| version);
        assert!(is_ours || version.is_some_and(is_pinned), "{action} is not pinned");
    }
    for (file, workflow) in workflows() {
        assert_eq!(workflow["permissions"], json!({ "contents": "read" }), "{file}");
        for (name, job) in entries(&workflow["jobs"]) {
            assert!(job["timeout-minutes"].is_number(), "{file}: {name} may hang for hours");
            let needs: BTreeSet<&str> = match &job["needs"] {
                Value::String(one) => BTreeSet::from([one.as_str()]),
                many => texts(many).into_iter().collect(),
            };
            for need in needs {
                assert!(workflow["jobs"].get(need).is_some(), "{file}: {name} needs {need}, which is no job");
            }
            let is_release = file == "release.yml";
            assert!(is_release || job["permissions"].is_null(), "{file}: {name} takes rights");
        }
    }
    assert!(is_pinned("v4") && !is_pinned("main") && !is_pinned("v4-beta") && is_pinned(&"a1".repeat(20)));
}

#[test]
fn the_workflows_use_the_versions_and_commands_of_the_project() {
    let (_, rust) = versions();
    let toolchain = format!("rustup toolchain install {rust} ");
    assert!(read(PREPARE).contains(&toolchain), "{PREPARE} installs another Rust than {rust}");
    let makefile = read("Makefile");
    let mut commands = 0;
    for step in steps() {
        for line in step["run"].as_str().unwrap_or_default().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let targets = words.strip_prefix(&["make"]).unwrap_or_default();
            for target in targets {
                assert!(makefile.contains(&format!("\n{target}:")), "make has no {target}");
            }
            let script = words.first().filter(|word| word.starts_with("deploy/"));
            assert!(script.is_none_or(|script| path(script).exists()), "there is no {line}");
            commands += targets.len() + usize::from(script.is_some());
        }
    }
    assert!(commands >= 5, "the workflows run what developers run");
}
