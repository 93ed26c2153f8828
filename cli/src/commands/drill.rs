//! `flashsale drill`: faults on purpose.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use flashsale_drills::{Arena, Drill, Outcome, all, find, run, table};
use flashsale_platform::{shutdown, telemetry};
use serde_json::json;

use crate::terminal::{TOOL_LOGS, dim, green, red, say};

/// Fault drills. They start servers and services of their own in a temporary directory and never touch an installation.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flashsale drill list\n  flashsale drill run F5\n  flashsale drill run redis-comes-back-empty --seed 7\n  flashsale drill run --all --times 3 --write docs/reliability.md"
)]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the drills.
    List {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Run drills; exit code 1 when a promise was broken.
    Run {
        /// Which, by name or by the id of the fault.
        names: Vec<String>,
        /// All of them.
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// Those that are short enough for every run of the tests.
        #[arg(long, conflicts_with_all = ["names", "all"])]
        quick: bool,
        /// So many times in a row.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
        times: u32,
        /// For everything that chance decides; printed by each run.
        #[arg(long)]
        seed: Option<u64>,
        /// Put the table of results into this file, between its two marks.
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        /// Print JSON lines instead of a report.
        #[arg(long)]
        json: bool,
    },
}

/// What stands around the table in a file.
const MARKS: [&str; 2] = ["<!-- drills: begin -->", "<!-- drills: end -->"];

impl DrillArgs {
    /// Lists or runs.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::List { json } => list(json),
            Action::Run { names, all: every, quick, times, seed, write, json } => {
                let drills = chosen(&names, every, quick)?;
                telemetry::init_logs(TOOL_LOGS, false);
                let interrupted = shutdown::on_signal()?;
                let results = tokio::select! {
                    results = run_all(&drills, times, seed, json) => results?,
                    // What the drill had started ends with it.
                    () = interrupted.cancelled() => anyhow::bail!("interrupted; the drill's servers and services are stopped"),
                };
                if let Some(file) = write {
                    write_table(&file, &results, times)?;
                }
                let failed = results.iter().filter(|(_, result)| result.is_err()).count();
                Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
        }
    }
}

fn list(json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let drills: Vec<_> = all()
            .iter()
            .map(|drill| json!({"fault": drill.fault, "name": drill.name, "broken": drill.broken, "checked": drill.checked, "quick": drill.quick}))
            .collect();
        say(serde_json::to_string_pretty(&drills)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["FAULT", "NAME", "QUICK", "WHAT IS BROKEN"]);
    for drill in all() {
        table.add_row([drill.fault, drill.name, if drill.quick { "yes" } else { "" }, drill.broken]);
    }
    say(table);
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String], every: bool, quick: bool) -> anyhow::Result<Vec<Drill>> {
    if every {
        return Ok(all());
    }
    if quick {
        return Ok(all().into_iter().filter(|drill| drill.quick).collect());
    }
    anyhow::ensure!(!names.is_empty(), "name a drill, or give --all or --quick; `flashsale drill list` shows them");
    let find =
        |name: &String| find(name).with_context(|| format!("no drill {name}; `flashsale drill list` shows them"));
    names.iter().map(find).collect()
}

type Results = Vec<(Drill, Result<Outcome, String>)>;

/// Runs the drills one after the other; of a drill that ran several times the worst result stays.
async fn run_all(drills: &[Drill], times: u32, seed: Option<u64>, as_json: bool) -> anyhow::Result<Results> {
    let binary = std::env::current_exe()?;
    if !as_json {
        say(dim("Starting Kafka, Redis and Postgres for the drills ..."));
    }
    let arena = Arc::new(tokio::task::spawn_blocking(move || Arena::start(&binary)).await??);
    let mut results = Results::new();
    for round in 1..=times {
        for (number, drill) in drills.iter().enumerate() {
            let seed = seed.unwrap_or_else(|| rand::random::<u32>().into());
            let began = Instant::now();
            let result = run(drill, &arena, seed).await.map_err(|error| format!("{error:#}"));
            tell(drill, &result, seed, (round, times), (number + 1, drills.len()), began, as_json);
            match results.iter_mut().find(|(known, _)| known.name == drill.name) {
                Some((_, known @ Ok(_))) => *known = worse(known, result),
                Some(_) => {}
                None => results.push((*drill, result)),
            }
        }
    }
    let failed = results.iter().filter(|(_, result)| result.is_err()).count();
    if !as_json {
        let runs = results.len() as u32 * times;
        match failed {
            0 => say(format!("{} {} drills passed, {runs} runs.", green("✓"), results.len())),
            _ => say(format!("{} {failed} of {} drills failed.", red("✗"), results.len())),
        }
    }
    // Servers end on a thread where that may block.
    tokio::task::spawn_blocking(move || drop(arena)).await?;
    Ok(results)
}

fn worse(known: &Result<Outcome, String>, new: Result<Outcome, String>) -> Result<Outcome, String> {
    match (known, &new) {
        (Ok(known), Ok(new)) if known.converged >= new.converged => Ok(known.clone()),
        _ => new,
    }
}

fn tell(
    drill: &Drill,
    result: &Result<Outcome, String>,
    seed: u64,
    (round, times): (u32, u32),
    (number, of): (usize, usize),
    began: Instant,
    as_json: bool,
) {
    if as_json {
        say(match result {
            Ok(outcome) => json!({
                "fault": drill.fault, "drill": drill.name, "passed": true, "seed": seed, "round": round,
                "convergedSeconds": outcome.converged.as_secs_f64(), "seconds": outcome.took.as_secs_f64(),
                "sold": outcome.sold, "answers": outcome.answers,
                "figures": outcome.figures.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            }),
            Err(error) => {
                json!({"fault": drill.fault, "drill": drill.name, "passed": false, "seed": seed, "round": round, "error": error})
            }
        });
        return;
    }
    let place = if times > 1 { format!("{round}/{times} {number}/{of}") } else { format!("{number}/{of}") };
    match result {
        Ok(outcome) => {
            let figures: Vec<String> = outcome.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
            say(format!(
                "{} {place} {} {} {}",
                green("✓"),
                drill.fault,
                drill.name,
                dim(&format!(
                    "seed {seed}, {:.0} s, converged in {:.1} s, {} sold, {} answers{}{}",
                    began.elapsed().as_secs_f64(),
                    outcome.converged.as_secs_f64(),
                    outcome.sold,
                    outcome.answers,
                    if figures.is_empty() { "" } else { ", " },
                    figures.join(", ")
                ))
            ));
        }
        Err(error) => {
            say(format!("{} {place} {} {} seed {seed}\n{error}", red("✗"), drill.fault, drill.name));
            say(dim(&format!("again: flashsale drill run {} --seed {seed}", drill.name)));
        }
    }
}

fn write_table(file: &PathBuf, results: &Results, times: u32) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let [begin, end] = MARKS;
    let (Some(from), Some(to)) = (text.find(begin), text.find(end)) else {
        anyhow::bail!("{} lacks the marks {begin} and {end}", file.display());
    };
    let lines: Vec<_> = results.iter().map(|(drill, result)| (drill, result.clone())).collect();
    let runs = if times == 1 { "once".to_owned() } else { format!("{times} times in a row; the slowest run is shown") };
    let table = format!("\n\nEach drill ran {runs}.\n\n{}\n", table(&lines));
    let text = format!("{}{table}{}", &text[..from + begin.len()], &text[to..]);
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}
