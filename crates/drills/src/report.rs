//! What drills found, as a table.

use std::time::Duration;

use crate::Drill;

/// A drill that was passed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed it ran with.
    pub seed: u64,
    /// From the healing until the stores agreed.
    pub converged: Duration,
    /// All of it, with the start of the services.
    pub took: Duration,
    /// Answers that shoppers got, or did not get.
    pub answers: usize,
    /// Units sold.
    pub sold: u64,
    /// What else was measured: name and value.
    pub figures: Vec<(String, String)>,
}

/// One line of the table: a drill and how it went.
pub type Line<'a> = (&'a Drill, Result<Outcome, String>);

/// The table of `docs/reliability.md`.
pub fn table(lines: &[Line<'_>]) -> String {
    let mut table = String::from(
        "| fault | what was broken | what was checked besides the invariants | result | converged in | figures |\n\
         |---|---|---|---|---|---|\n",
    );
    for (drill, result) in lines {
        let (verdict, converged, figures) = match result {
            Ok(outcome) => {
                let mut figures = vec![format!("{} sold, {} answers", outcome.sold, outcome.answers)];
                figures.extend(outcome.figures.iter().map(|(name, value)| format!("{name} {value}")));
                ("passed", format!("{:.1} s", outcome.converged.as_secs_f64()), figures.join("; "))
            }
            Err(_) => ("**failed**", "—".to_owned(), String::new()),
        };
        table.push_str(&format!(
            "| {} `{}` | {} | {} | {verdict} | {converged} | {figures} |\n",
            drill.fault, drill.name, drill.broken, drill.checked
        ));
    }
    table
}
