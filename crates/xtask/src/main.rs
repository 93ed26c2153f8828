//! Chores of this repository: `cargo xtask tidy`, `cargo xtask benchmarks`, `cargo xtask instructions`.

mod benchmarks;
mod dashboards;
mod deny;
mod instructions;
mod links;
mod metrics;
mod requirements;
mod tidy;

use std::{path::Path, process::ExitCode};

const USAGE: &str = "\
usage: cargo xtask tidy
       cargo xtask benchmarks [--write DOCUMENT]
       cargo xtask instructions [--part NAME] [--write]

  tidy          check the architecture: dependencies and their licences, sizes, lints, manifests, metrics, dashboards,
                links, requirements
  benchmarks    one table of what the benchmarks measured last; --write puts it between the marks of a document
  instructions  what an item of the hot path costs, beside its baseline; --write renews the baseline";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => tidy(),
        ["benchmarks"] => figures(None),
        ["benchmarks", "--write", document] => figures(Some(Path::new(document))),
        ["instructions", ..] => count(arguments.iter().skip(1).cloned()),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn tidy() -> ExitCode {
    match tidy::check() {
        Ok(problems) if problems.is_empty() => ExitCode::SUCCESS,
        Ok(problems) => {
            for problem in &problems {
                eprintln!("tidy: {problem}");
            }
            eprintln!("tidy: {} problems; ARCHITECTURE.md says why these rules are", problems.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn figures(document: Option<&Path>) -> ExitCode {
    match benchmarks::run(document) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmarks: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn count(arguments: impl Iterator<Item = String>) -> ExitCode {
    match instructions::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("instructions: {error:#}");
            ExitCode::FAILURE
        }
    }
}
