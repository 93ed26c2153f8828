//! The Dockerfile.

use std::collections::BTreeSet;

use super::{is_command, read, versions};

/// The lines of the Dockerfile, continuations joined, comments left out.
fn instructions() -> Vec<String> {
    let text = read("Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// Those of one stage.
fn stage(name: &str) -> Vec<String> {
    let within = instructions().into_iter().skip_while(|line| !line.ends_with(&format!(" AS {name}"))).skip(1);
    within.take_while(|line| !line.starts_with("FROM ")).collect()
}

/// The words of `["a", "b"]`.
fn words(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_else(|error| panic!("{list}: {error}"))
}

fn only(lines: &[String], instruction: &str) -> String {
    let found: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(instruction)).collect();
    assert_eq!(found.len(), 1, "{instruction}in {lines:?}");
    found[0].trim().to_owned()
}

#[test]
fn the_image_is_built_with_the_versions_of_the_project() {
    let bases: Vec<String> =
        instructions().iter().filter_map(|line| line.strip_prefix("FROM ")).map(str::to_owned).collect();
    let node = read("deploy/local/setup.sh");
    let node = node.lines().find_map(|line| line.strip_prefix("readonly node_version=")).unwrap();
    let node = node.split_whitespace().next().unwrap().to_owned();
    let (_, rust) = versions();
    let wanted = [
        format!("node:{node}-bookworm-slim AS page"),
        format!("rust:{rust}-slim-bookworm AS build"),
        "scratch AS binary".to_owned(),
        "debian:12-slim AS image".to_owned(),
    ];
    assert_eq!(bases, wanted, "the same Debian builds and runs the binary, and the image is the last stage");
}

#[test]
fn the_image_gets_every_crate_and_nothing_that_was_built_here() {
    let ignored = read(".dockerignore");
    let lines: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "*", "only what is named gets in");
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let members = members.iter().map(|member| member.as_str().unwrap().split('/').next().unwrap());
    let wanted: BTreeSet<&str> = members.chain(["Cargo.toml", "Cargo.lock", "frontend"]).collect();
    let let_in: BTreeSet<&str> = lines.iter().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(let_in, wanted);
    for built in ["frontend/dist", "frontend/node_modules", "**/target"] {
        assert!(lines.contains(&built), "{built} must stay out");
    }
}

#[test]
fn the_image_runs_as_nobody_special_and_says_how_it_is() {
    let image = stage("image");
    let user = only(&image, "USER ");
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}: by number, and not root");
    let entrypoint = words(&only(&image, "ENTRYPOINT "));
    let copied = only(&image, "COPY ");
    assert!(copied.ends_with(&format!("/bin/{}", entrypoint[0])), "{copied}");
    let health = only(&image, "HEALTHCHECK ");
    let health = words(health.split("CMD ").nth(1).unwrap());
    assert_eq!(health[0], entrypoint[0]);
    is_command(&health[1..].iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!only(&image, "ENV ").contains("KEY"), "no secret is baked in");
}
