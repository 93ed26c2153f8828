//! Chores of this repository: `cargo xtask tidy`.

mod dashboards;
mod deny;
mod links;
mod metrics;
mod requirements;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let chore = std::env::args().nth(1).unwrap_or_default();
    let result = match chore.as_str() {
        "tidy" => tidy::check(),
        _ => {
            eprintln!(
                "usage: cargo xtask tidy\n\n  tidy   check the architecture: dependencies and their licences, sizes, lints, manifests, metrics, dashboards, links, requirements"
            );
            return ExitCode::from(64);
        }
    };
    match result {
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
