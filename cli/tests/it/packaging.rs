//! What the product is run from elsewhere: image, compose file, units, manifests, workflows.
//!
//! No container engine, cluster or systemd is needed: the files are read, held against each other and against the
//! binary, and what they start is started here.

mod compose;
mod image;
mod kubernetes;
mod running;
mod systemd;
mod workflows;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde_json::Value;
use serde_yaml_ng::{Deserializer, Mapping, Value as Yaml};

use crate::process::flashsale;

/// How long the background parts and the last spans may take at a stop, after the requests: `STOP_MAX` of the binary
/// and the tracer's.
const BACKGROUND_STOP_MS: u64 = 27_000;

/// Long enough for every secret.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef";

type Variables = BTreeMap<String, String>;

/// A path in the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// A file of the repository.
fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The files in a folder of the repository, by name.
fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(path(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let files = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The documents of a YAML file, merges applied.
fn yaml(name: &str) -> Vec<Value> {
    let text = read(name);
    let documents = Deserializer::from_str(&text).map(|document| Yaml::deserialize(document).unwrap());
    documents.map(|document| serde_json::to_value(merged(document)).unwrap()).collect()
}

/// A value with the mappings under `<<` put into those that they stand in.
fn merged(value: Yaml) -> Yaml {
    match value {
        Yaml::Mapping(mut mapping) => {
            let parents = match mapping.remove("<<") {
                None => Vec::new(),
                Some(Yaml::Sequence(parents)) => parents,
                Some(parent) => vec![parent],
            };
            let mut whole: Mapping = mapping.into_iter().map(|(key, value)| (key, merged(value))).collect();
            for parent in parents {
                let Yaml::Mapping(parent) = merged(parent) else { panic!("what is merged is no mapping") };
                for (key, value) in parent {
                    whole.entry(key).or_insert(value);
                }
            }
            Yaml::Mapping(whole)
        }
        Yaml::Sequence(items) => Yaml::Sequence(items.into_iter().map(merged).collect()),
        other => other,
    }
}

/// `NAME=value` lines.
fn variables(text: &str) -> Variables {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let pair = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("no NAME=value: {line}"));
        (name.to_owned(), value.to_owned())
    };
    lines.map(pair).collect()
}

/// The elements of a list; none when there is no list.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The elements of a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    items(value).map(|item| item.as_str().unwrap_or_else(|| panic!("{item} is no text"))).collect()
}

/// The entries of a mapping; none when there is no mapping.
fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// The binary with these settings and no others.
fn configured(settings: &Variables) -> Command {
    let mut command = flashsale();
    command.env_clear().envs(settings);
    command
}

/// The settings in force, with these in the environment: an unknown or wrong one is an error.
fn in_force(settings: &Variables) -> Value {
    let printed = configured(settings).args(["config", "print", "--json"]).output().unwrap();
    assert!(printed.status.success(), "{settings:?}: {}", String::from_utf8_lossy(&printed.stderr));
    serde_json::from_slice(&printed.stdout).unwrap()
}

/// Holds that `part` has all that it needs.
fn is_enough(part: &str, settings: &Variables) {
    let checked = configured(settings).args(["config", "check", "--json"]).output().unwrap();
    let found: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert!(found[part].is_null() && found.get(part).is_some(), "{part} lacks something: {found}");
}

/// How long a process with these settings may take to stop.
fn stop_ms(settings: &Variables) -> u64 {
    let settings = in_force(settings);
    let ms = |key: &str| settings[key].as_u64().unwrap();
    ms("drain_delay_ms") + ms("shutdown_grace_ms") + BACKGROUND_STOP_MS
}

/// Holds that the binary knows a command.
fn is_command(words: &[&str]) {
    let told = flashsale().args(words).arg("--help").output().unwrap();
    assert!(told.status.success(), "{words:?}: {}", String::from_utf8_lossy(&told.stderr));
}

/// The version of the workspace, and of Rust that it needs.
fn versions() -> (String, String) {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let package = &manifest["workspace"]["package"];
    let text = |key: &str| package[key].as_str().unwrap().to_owned();
    (text("version"), text("rust-version"))
}
