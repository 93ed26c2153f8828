//! `cargo xtask instructions`: what an item of the hot path costs, in instructions, beside what it cost.
//!
//! Valgrind counts, so that neither the speed of the machine matters nor what else it does. Each part is run with so
//! many items and with twice as many: the difference is what the items cost, without the start of the process and what
//! it sets up.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, bail, ensure};
use cargo_metadata::MetadataCommand;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const BENCH: &str = "hot_path";
const BASELINE: &str = "crates/fuzz-targets/benches/hot_path.baseline.json";
/// Eight passes over the trace of the bench target.
const ITEMS: u64 = 8_192;
/// How far a part may leave its baseline, in percent of it.
const BAND_PERCENT: u64 = 5;

// EX_USAGE and EX_UNAVAILABLE of sysexits.h.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;

/// What the parts cost when somebody last said that it is right so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    /// The compiler, as `rustc --version` names it.
    rustc: String,
    /// Instructions an item, by part.
    parts: BTreeMap<String, u64>,
}

/// Counts, and compares with the baseline or renews it.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> anyhow::Result<ExitCode> {
    let options = match Options::of(arguments) {
        Ok(options) => options,
        Err(problem) => return Ok(give_up(USAGE, &problem)),
    };
    if !has_valgrind() {
        let advice = "valgrind is missing; install it, on Debian and Ubuntu by `apt-get install valgrind`";
        return Ok(give_up(UNAVAILABLE, advice));
    }
    let metadata = MetadataCommand::new().no_deps().exec().context("read the workspace")?;
    let root = metadata.workspace_root.as_std_path();
    let file = root.join(BASELINE);
    let (before, rustc) = (read(&file)?, rustc_version(root)?);
    let program = build(root)?;
    let mut parts = parts(&program)?;
    if let Some(part) = &options.part {
        if !parts.contains(part) {
            return Ok(give_up(USAGE, &format!("there is no part `{part}`; there are {}", parts.join(", "))));
        }
        parts.retain(|known| known == part);
    }
    let mut now = BTreeMap::new();
    for part in parts {
        let cost = cost(&program, &part)?;
        now.insert(part, cost);
    }
    say(&table(before.as_ref(), &now))?;
    if options.write {
        write(&file, &renewed(before, rustc, now, options.part.is_none())?)?;
        say(&format!("\n{BASELINE} is written."))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (held, notes) = conclude(before.as_ref(), &rustc, &now);
    for note in notes {
        say(&format!("\n{note}"))?;
    }
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say(text: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{text}").context("write to the terminal")
}

fn give_up(code: u8, why: &str) -> ExitCode {
    eprintln!("instructions: {why}");
    ExitCode::from(code)
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    write: bool,
    part: Option<String>,
}

impl Options {
    fn of(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--write" => options.write = true,
                "--part" => options.part = Some(arguments.next().ok_or("--part wants a NAME")?),
                _ => return Err(format!("`{argument}` is not known; there are --write and --part NAME")),
            }
        }
        Ok(options)
    }
}

fn has_valgrind() -> bool {
    let asked = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn rustc_version(root: &Path) -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output =
        Command::new(rustc).arg("--version").current_dir(root).output().context("ask rustc for its version")?;
    ensure!(output.status.success(), "rustc does not tell its version");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Builds the bench target as a release is built.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["bench", "--no-run", "--message-format=json-render-diagnostics"])
        // As all benchmarks: for its package alone the libraries would be built anew.
        .args(["--workspace", "--bench", BENCH])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo bench")?;
    ensure!(output.status.success(), "cargo bench did not build {BENCH}");
    executable(&String::from_utf8_lossy(&output.stdout)).with_context(|| format!("cargo bench built no {BENCH}"))
}

/// The bench target in what cargo says, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut ours = messages.filter(|message| {
        message["reason"].as_str() == Some("compiler-artifact") && message["target"]["name"].as_str() == Some(BENCH)
    });
    ours.find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// The names of the parts, in the order of the program.
fn parts(program: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new(program).output().with_context(|| format!("run {}", program.display()))?;
    ensure!(output.status.success(), "{BENCH} does not name its parts");
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// Instructions of one item.
fn cost(program: &Path, part: &str) -> anyhow::Result<u64> {
    let (once, twice) = (count(program, part, ITEMS)?, count(program, part, 2 * ITEMS)?);
    per_item(once, twice).with_context(|| format!("{part}: {once} instructions, and {twice} for twice as many items"))
}

fn per_item(once: u64, twice: u64) -> Option<u64> {
    let items = twice.checked_sub(once)?;
    Some((items + ITEMS / 2) / ITEMS)
}

/// Instructions of a whole run.
fn count(program: &Path, part: &str, items: u64) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([part, &items.to_string()])
        .output()
        .context("run valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{part} failed under valgrind:\n{said}");
    collected(&said).with_context(|| format!("valgrind counted nothing of {part}:\n{said}"))
}

/// The number of `==4711== Collected : 7247606`.
fn collected(said: &str) -> Option<u64> {
    let (_, counts) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    counts.split_whitespace().next()?.parse().ok()
}

fn read(file: &Path) -> anyhow::Result<Option<Baseline>> {
    match fs::read_to_string(file) {
        Ok(text) => serde_json::from_str(&text).map(Some).with_context(|| format!("{BASELINE} is not a baseline")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {BASELINE}")),
    }
}

fn write(file: &Path, baseline: &Baseline) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(baseline).context("a baseline as JSON")?;
    fs::write(file, text + "\n").with_context(|| format!("write {BASELINE}"))
}

/// The baseline with what was counted `now`. One part alone takes the place of its own figure, if the others are of the
/// same compiler.
fn renewed(
    before: Option<Baseline>,
    rustc: String,
    now: BTreeMap<String, u64>,
    whole: bool,
) -> anyhow::Result<Baseline> {
    let mut parts = match before {
        Some(before) if !whole && before.rustc != rustc => {
            bail!("the baseline is of {}, and this is {rustc}: renew all parts, without --part", before.rustc)
        }
        Some(before) if !whole => before.parts,
        _ => BTreeMap::new(),
    };
    parts.extend(now);
    Ok(Baseline { rustc, parts })
}

/// How a part stands to its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Within,
    Above,
    Below,
    /// It has none.
    Unknown,
}

fn standing(before: Option<u64>, now: u64) -> Standing {
    let Some(before) = before else { return Standing::Unknown };
    let percents = now.saturating_mul(100);
    if percents > before.saturating_mul(100 + BAND_PERCENT) {
        Standing::Above
    } else if percents < before.saturating_mul(100 - BAND_PERCENT) {
        Standing::Below
    } else {
        Standing::Within
    }
}

fn of(before: Option<&Baseline>, part: &str) -> Option<u64> {
    before?.parts.get(part).copied()
}

fn table(before: Option<&Baseline>, now: &BTreeMap<String, u64>) -> String {
    let row = |cells: [&str; 4]| format!("{:<10} {:>12} {:>12} {:>10}", cells[0], cells[1], cells[2], cells[3]);
    let mut rows = vec![row(["part", "baseline", "now", "change"])];
    for (part, now) in now {
        let before = of(before, part);
        let change = before.map(|before| 100.0 * (*now as f64 - before as f64) / before as f64);
        let change = change.map_or_else(|| "-".to_owned(), |change| format!("{change:+.1} %"));
        let before = before.map_or_else(|| "-".to_owned(), |before| before.to_string());
        rows.push(row([part, &before, &now.to_string(), &change]));
    }
    rows.join("\n")
}

/// Whether the gate is passed, and what is to be said.
fn conclude(before: Option<&Baseline>, rustc: &str, now: &BTreeMap<String, u64>) -> (bool, Vec<String>) {
    let Some(baseline) = before else {
        return (false, vec!["no baseline: run with --write".to_owned()]);
    };
    let named = |wanted: Standing| {
        let parts = now.iter().filter(|(part, now)| standing(of(before, part), **now) == wanted);
        parts.map(|(part, _)| part.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (above, below, unknown) = (named(Standing::Above), named(Standing::Below), named(Standing::Unknown));
    let mut notes = Vec::new();
    if !above.is_empty() {
        notes.push(format!("more than {BAND_PERCENT} % above the baseline: {above}. If it has to be so: --write"));
    }
    if !below.is_empty() {
        notes.push(format!("more than {BAND_PERCENT} % below the baseline: {below}. Renew it, to keep that: --write"));
    }
    if !unknown.is_empty() {
        notes.push(format!("not in the baseline: {unknown}. Run with --write"));
    }
    if baseline.rustc != rustc {
        notes.push(format!("the baseline is of {}, this is {rustc}: some of the change may be its", baseline.rustc));
    }
    (above.is_empty() && unknown.is_empty(), notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUSTC: &str = "rustc 1.95.0";

    fn counts(parts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        parts.iter().map(|(part, count)| ((*part).to_owned(), *count)).collect()
    }

    fn baseline(parts: &[(&str, u64)]) -> Baseline {
        Baseline { rustc: RUSTC.to_owned(), parts: counts(parts) }
    }

    fn options(arguments: &[&str]) -> Result<Options, String> {
        Options::of(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn options_are_read() {
        assert_eq!(options(&[]), Ok(Options::default()));
        let both = Options { write: true, part: Some("parse".to_owned()) };
        assert_eq!(options(&["--part", "parse", "--write"]), Ok(both));
        for wrong in [&["--part"][..], &["parse"], &["--write", "--wirte"]] {
            assert!(options(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_bench_target_is_found_in_what_cargo_says() {
        let said = r#"
{"reason":"compiler-artifact","target":{"name":"serde","kind":["lib"]},"executable":null}
{"reason":"build-script-executed","package_id":"x"}
not JSON
{"reason":"compiler-artifact","target":{"name":"hot_path","kind":["bench"]},"executable":"/t/deps/hot_path-1f"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(said), Some(PathBuf::from("/t/deps/hot_path-1f")));
        assert_eq!(executable(&said.replace("hot_path", "other")), None);
    }

    #[test]
    fn the_count_is_found_in_what_valgrind_says() {
        let said = "\
==4711== Callgrind, a call-graph generating cache profiler
==4711== Command: target/release/deps/hot_path-1f parse 8192
==4711==
==4711== Events    : Ir
==4711== Collected : 7247606
==4711==
==4711== I   refs:      7,247,606
";
        assert_eq!(collected(said), Some(7_247_606));
        assert_eq!(collected("==4711== Events    : Ir\n"), None);
        assert_eq!(collected("==4711== Collected :\n"), None);
    }

    #[test]
    fn what_is_set_up_does_not_count() {
        let (setup, item) = (5_000_001, 321);
        assert_eq!(per_item(setup + item * ITEMS, setup + item * 2 * ITEMS), Some(item));
        assert_eq!(per_item(2, 1), None, "twice as much cannot cost less");
    }

    #[test]
    fn the_band_is_five_percent_on_both_sides() {
        for (now, wanted) in [
            (950, Standing::Within),
            (1_000, Standing::Within),
            (1_050, Standing::Within),
            (1_051, Standing::Above),
            (949, Standing::Below),
        ] {
            assert_eq!(standing(Some(1_000), now), wanted, "{now}");
        }
        assert_eq!(standing(None, 1), Standing::Unknown);
    }

    #[test]
    fn what_costs_more_fails_and_what_costs_less_is_hinted_at() {
        let before = baseline(&[("parse", 1_000), ("encode", 2_000)]);
        let conclude = |parts: &[(&str, u64)], rustc: &str| conclude(Some(&before), rustc, &counts(parts));
        assert_eq!(conclude(&[("parse", 1_010), ("encode", 2_000)], RUSTC), (true, Vec::new()));
        let (held, notes) = conclude(&[("parse", 1_100), ("encode", 1_000)], "rustc 1.96.0");
        assert!(!held && notes.len() == 3, "{notes:?}");
        assert!(notes[0].contains("above") && notes[0].contains("parse") && !notes[0].contains("encode"), "{notes:?}");
        assert!(notes[1].contains("below") && notes[1].contains("encode"), "{notes:?}");
        assert!(notes[2].contains("1.96.0") && notes[2].contains("1.95.0"), "{notes:?}");
        let (held, notes) = conclude(&[("parse", 500)], RUSTC);
        assert!(held && notes.len() == 1, "{notes:?}");
        let (held, notes) = conclude(&[("other", 500)], RUSTC);
        assert!(!held && notes[0].contains("not in the baseline: other"), "{notes:?}");
    }

    #[test]
    fn without_a_baseline_nothing_is_proven() {
        let now = counts(&[("parse", 1_000)]);
        assert_eq!(conclude(None, RUSTC, &now), (false, vec!["no baseline: run with --write".to_owned()]));
        let shown = table(None, &now);
        assert!(shown.lines().count() == 2 && shown.contains("1000"), "{shown}");
    }

    #[test]
    fn the_table_shows_the_change_in_percent() {
        let shown = table(Some(&baseline(&[("parse", 1_000), ("gone", 1)])), &counts(&[("parse", 1_025)]));
        let cells: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["parse", "1000", "1025", "+2.5", "%"]);
        assert!(!shown.contains("gone"), "{shown}");
    }

    #[test]
    fn one_part_is_renewed_by_itself_only_with_the_same_compiler() {
        let before = || Some(baseline(&[("parse", 1), ("gone", 2)]));
        let now = || counts(&[("parse", 3)]);
        let all = renewed(before(), "rustc 1.96.0".to_owned(), now(), true).unwrap();
        assert_eq!(all, Baseline { rustc: "rustc 1.96.0".to_owned(), parts: now() });
        let one = renewed(before(), RUSTC.to_owned(), now(), false).unwrap();
        assert_eq!(one, baseline(&[("parse", 3), ("gone", 2)]));
        let refused = renewed(before(), "rustc 1.96.0".to_owned(), now(), false).unwrap_err().to_string();
        assert!(refused.contains("renew all parts"), "{refused}");
        assert_eq!(renewed(None, RUSTC.to_owned(), now(), false).unwrap(), baseline(&[("parse", 3)]));
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        let text = serde_json::to_string_pretty(&baseline(&[("parse", 1_000)])).unwrap();
        assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), baseline(&[("parse", 1_000)]));
        assert!(serde_json::from_str::<Baseline>(r#"{"rustc":"x","parts":{},"more":1}"#).is_err());
    }
}
