//! The figures of a benchmark, each beside the limit that was measured in the same run.
//!
//! Machines differ, and one machine differs from minute to minute: the ratio to a limit that had the same minute says
//! more than the figure. A benchmark [adds](Figures::add) its figures as they come and [writes](Figures::write) them
//! into `benchmarks/` of the target folder; `cargo xtask benchmarks` makes one table of all that is there.

use std::{
    fmt, fs,
    io::{self, Write},
    num::NonZero,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Serialize;

/// What a figure should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// At least so many times the limit beside it.
    RatioAtLeast(f64),
    /// At most so many times the limit beside it.
    RatioAtMost(f64),
    /// Each value at most the one in its place, in the unit of the figure.
    AtMost(Vec<f64>),
}

/// What nothing on this machine does better, or what a figure is compared with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limit {
    /// What did it.
    pub name: String,
    /// How well, in the unit of the figure.
    pub value: f64,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The same in every run, for whoever compares runs.
    pub id: String,
    /// What was measured, in words; of several values also what each is, in their order.
    pub name: String,
    /// The values, such as three percentiles. The first is compared with the limit.
    pub values: Vec<f64>,
    /// The unit of all values and of the limit.
    pub unit: &'static str,
    /// What stands beside it.
    pub limit: Option<Limit>,
    /// What it should be; without one it is only reported.
    pub goal: Option<Goal>,
}

impl Figure {
    /// A figure that is only reported.
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        unit: &'static str,
        values: impl Into<Vec<f64>>,
    ) -> Self {
        Self { id: id.into(), name: name.into(), values: values.into(), unit, limit: None, goal: None }
    }

    /// With a limit beside it.
    #[must_use]
    pub fn beside(mut self, name: impl Into<String>, value: f64) -> Self {
        self.limit = Some(Limit { name: name.into(), value });
        self
    }

    /// With the goal of so many times the limit at least.
    #[must_use]
    pub fn at_least(mut self, ratio: f64) -> Self {
        self.goal = Some(Goal::RatioAtLeast(ratio));
        self
    }

    /// With the goal of so many times the limit at most.
    #[must_use]
    pub fn at_most_times(mut self, ratio: f64) -> Self {
        self.goal = Some(Goal::RatioAtMost(ratio));
        self
    }

    /// With the goal that no value is more than the one in its place here.
    #[must_use]
    pub fn at_most(mut self, values: impl Into<Vec<f64>>) -> Self {
        self.goal = Some(Goal::AtMost(values.into()));
        self
    }

    /// The first value as a multiple of the limit.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.values.first()? / self.limit.as_ref()?.value)
    }

    /// Whether the goal is met, if there is one.
    pub fn is_met(&self) -> Option<bool> {
        match self.goal.as_ref()? {
            Goal::RatioAtLeast(goal) => Some(self.ratio()? >= *goal),
            Goal::RatioAtMost(goal) => Some(self.ratio()? <= *goal),
            // Nothing measured is nothing met.
            Goal::AtMost(goals) => {
                let pairs = self.values.iter().zip(goals);
                Some(self.values.len() == goals.len() && pairs.clone().all(|(value, goal)| value <= goal))
            }
        }
    }

    /// What the table shows: name, values, limit, ratio, goal, verdict.
    fn cells(&self) -> [String; 6] {
        let limit = |limit: &Limit| format!("{}: {}", limit.name, with_unit(&[limit.value], self.unit, number));
        let goal = match &self.goal {
            Some(Goal::RatioAtLeast(ratio)) => format!("≥ {ratio}"),
            Some(Goal::RatioAtMost(ratio)) => format!("≤ {ratio}"),
            Some(Goal::AtMost(values)) => format!("≤ {}", with_unit(values, self.unit, |value| value.to_string())),
            None => String::new(),
        };
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        [
            self.name.clone(),
            with_unit(&self.values, self.unit, number),
            self.limit.as_ref().map(limit).unwrap_or_default(),
            self.ratio().map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            goal,
            verdict.to_owned(),
        ]
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [name, values, limit, ratio, goal, verdict] = self.cells();
        write!(f, "{name}: {values}")?;
        if !limit.is_empty() {
            write!(f, "; beside {limit}; ratio {ratio}")?;
        }
        if !goal.is_empty() {
            write!(f, "; goal {goal}: {verdict}")?;
        }
        Ok(())
    }
}

fn with_unit(values: &[f64], unit: &str, text: impl Fn(f64) -> String) -> String {
    let values: Vec<String> = values.iter().map(|value| text(*value)).collect();
    format!("{} {unit}", values.join(" / "))
}

/// Three digits or more, with commas between thousands.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if digits > 0 {
        return text;
    }
    let mut grouped = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The middle one; of an even count the upper of the two. 0 when there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// All figures of one benchmark.
#[derive(Debug)]
pub struct Figures {
    bench: String,
    settings: String,
    file: PathBuf,
    figures: Vec<Figure>,
}

/// The file.
#[derive(Debug, Serialize)]
struct Run<'a> {
    bench: &'a str,
    date: String,
    commit: String,
    machine: String,
    settings: &'a str,
    figures: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    figure: &'a Figure,
    ratio: Option<f64>,
    met: Option<bool>,
    cells: [String; 6],
}

impl Figures {
    /// None yet. `tmpdir` is `env!("CARGO_TARGET_TMPDIR")` of the benchmark, which lies in the target folder; `settings`
    /// says how it was measured, and what is synced to disk when.
    pub fn new(bench: &str, tmpdir: &str, settings: &str) -> Self {
        let target = Path::new(tmpdir).parent().unwrap_or(Path::new(tmpdir));
        let file = target.join("benchmarks").join(format!("{bench}.json"));
        Self { bench: bench.to_owned(), settings: settings.to_owned(), file, figures: Vec::new() }
    }

    /// Adds one, and prints it.
    pub fn add(&mut self, figure: Figure) {
        // Nobody reads: the file will have it.
        drop(writeln!(io::stdout().lock(), "{figure}"));
        self.figures.push(figure);
    }

    /// Writes the file, with commit, machine and date.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn write(&self) -> io::Result<()> {
        let line = |figure| Line {
            figure,
            ratio: Figure::ratio(figure),
            met: Figure::is_met(figure),
            cells: Figure::cells(figure),
        };
        let run = Run {
            bench: &self.bench,
            date: time::OffsetDateTime::now_utc().date().to_string(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            machine: machine(),
            settings: &self.settings,
            figures: self.figures.iter().map(line).collect(),
        };
        fs::create_dir_all(self.file.parent().unwrap_or(Path::new(".")))?;
        fs::write(&self.file, serde_json::to_vec_pretty(&run)?)
    }
}

/// What is measured here, with a mark when files were changed since.
fn commit() -> Option<String> {
    let described = Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]).output().ok()?;
    described.status.success().then(|| String::from_utf8_lossy(&described.stdout).trim().to_owned())
}

/// Processor, cores and memory.
fn machine() -> String {
    let line = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let model = line("/proc/cpuinfo", "model name");
    let model = if model.is_empty() { std::env::consts::ARCH.to_owned() } else { model };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let memory = line("/proc/meminfo", "MemTotal");
    let kib: f64 = memory.trim_end_matches("kB").trim().parse().unwrap_or_default();
    format!("{model}, {cores} cores, {:.1} GiB", kib / 1024.0 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_how_it_stands_to_its_limit_and_its_goal() {
        let figure = Figure::new("set", "script", "/s", [514_275.4]).beside("SET", 1_193_317.0).at_least(0.45);
        assert_eq!(figure.to_string(), "script: 514,275 /s; beside SET: 1,193,317 /s; ratio 0.43; goal ≥ 0.45: missed");
        let figure = Figure::new("row", "row, p50 / p99", "ms", [17.04, 120.0]).at_most([30.0, 150.0]);
        assert_eq!(figure.to_string(), "row, p50 / p99: 17.0 / 120 ms; goal ≤ 30 / 150 ms: met");
        assert_eq!(figure.clone().at_most([30.0, 119.0]).is_met(), Some(false));
        let figure = Figure::new("call", "call", "µs", [3.3]).beside("the first", 2.0).at_most_times(1.5);
        assert_eq!(figure.to_string(), "call: 3.30 µs; beside the first: 2.00 µs; ratio 1.65; goal ≤ 1.5: missed");
        assert_eq!(Figure::new("cpu", "cpu", "µs", [1.234]).to_string(), "cpu: 1.23 µs");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn the_file_has_figures_and_where_they_come_from() {
        let folder = tempfile::tempdir().unwrap();
        let mut figures = Figures::new("try", folder.path().join("tmp").to_str().unwrap(), "AOF everysec");
        figures.add(Figure::new("a", "it", "/s", [2.0]).beside("limit", 4.0).at_least(0.5));
        figures.write().unwrap();
        let text = fs::read_to_string(folder.path().join("benchmarks/try.json")).unwrap();
        let run: serde_json::Value = serde_json::from_str(&text).unwrap();
        for known in ["date", "commit", "machine"] {
            assert!(run[known].as_str().is_some_and(|value| !value.is_empty()), "{known}: {text}");
        }
        let line = &run["figures"][0];
        assert_eq!(run["settings"], "AOF everysec");
        assert_eq!(line["ratio"], 0.5);
        assert_eq!(line["met"], true);
        assert_eq!(line["goal"]["ratioAtLeast"], 0.5);
        let cells = ["it", "2.00 /s", "limit: 4.00 /s", "0.50", "≥ 0.5", "met"];
        assert_eq!(line["cells"], serde_json::json!(cells));
    }
}
