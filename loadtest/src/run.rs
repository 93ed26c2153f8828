//! One run, from the sale to the report.

use std::{
    fs::OpenOptions,
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use flashsale_core::Micros;
use flashsale_loadtest::{
    engine::{self, HandOver, Live, Options, Target, When},
    recorder::{ATTEMPT_BYTES, Recording},
    report::{Limit, ListenersReport, Report, Run},
    scenario::{Plan, Scenario},
    verdict::{self, Stores, Verdict},
};
use flashsale_platform::{open_files, shutdown};
use nix::sys::resource::{Resource, getrlimit};
use tokio_util::sync::CancellationToken;

use crate::{
    command::RunArgs,
    failure::{Failure, usage},
    listeners::Listeners,
    output::{has_colours, say, tell},
    place::Place,
    progress::Progress,
    record::Record,
    sale::{Sales, Shop},
};

/// Limits of a stampede that nobody gave others for: NF-2.
const STAMPEDE_LIMITS: [&str; 3] = ["p50<500ms", "p95<1s", "p99<2s"];
/// Files that are open besides the connections of the load: of the log's client, of Redis and Postgres.
const OTHER_FILES: usize = 100;

/// What was measured, before it is judged.
struct Measured {
    recording: Recording,
    /// Where attempts went, if that was wanted.
    record: Option<Record>,
    /// Why that file lacks some of them, or cannot be read.
    not_recorded: Option<anyhow::Error>,
}

impl Measured {
    /// Reads attempts that are in the file only back into memory, for the verdict. Not from a file that lacks some:
    /// they would be missing among what clients saw, too.
    fn recall(&mut self) {
        let is_needed = self.recording.attempts.is_empty() && self.not_recorded.is_none();
        let Some(record) = self.record.as_ref().filter(|_| is_needed) else { return };
        match record.read() {
            Ok((attempts, lookups)) => (self.recording.attempts, self.recording.lookups) = (attempts, lookups),
            Err(error) => self.not_recorded = Some(error),
        }
    }
}

/// Plays `scenario` and reports; exit code 0 when everything is proven and within its limits.
pub(crate) async fn run(scenario: Scenario, arguments: &RunArgs) -> Result<ExitCode> {
    let mut plan = Plan::of(scenario, &arguments.dials).map_err(usage)?;
    let place = Place::of(&arguments.urls)?;
    if plan.listeners > 0 && !place.is_here() {
        tell("Listeners come from addresses of this machine, so there are none at another.");
        plan.listeners = 0;
    }
    if arguments.sku.is_some() {
        plan.skus = 1;
    }
    let names = names(arguments, &plan);
    if arguments.dry_run {
        say(intention(&place, &plan, &names));
        return Ok(ExitCode::SUCCESS);
    }
    if !place.is_here() && !arguments.yes {
        let hosts = place.urls.join(", ");
        return Err(Failure::Usage(format!("this sends load to {hosts}; --yes says that you may")).into());
    }
    check_files(arguments).map_err(usage)?;
    open_files::raise_limit();
    tell_of_open_files(&plan);
    let stop = shutdown::on_signal()?;
    // Before the load: who wants a proof should not learn afterwards that there can be none.
    let stores = if arguments.no_verdict { None } else { Some(Stores::find().await?) };
    tell_of_memory(arguments, &plan);
    let seed = arguments.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let prefix = format!("load-{:08x}", rand::random::<u32>());
    let (shop, sales) = prepare(arguments, &place, &plan, names, &prefix, &stop).await?;
    let listeners = match plan.listeners {
        0 => None,
        count => Some(Listeners::gather(&place, &sales.skus[0], count).await),
    };
    tell(format_args!("{}, sale {}, seed {seed}", plan.describe(), sales.skus.join(" ")));
    let target = Target {
        servers: place.servers.clone(),
        host: place.host.clone(),
        skus: sales.skus.clone(),
        prefix: prefix.clone(),
        headers: Vec::new(),
    };
    let started_at = now();
    let mut measured = measure(&target, &plan, seed, arguments.record.as_deref(), &stop)?;
    let verdict = match &stores {
        Some(stores) => {
            let converge_max = Duration::from_secs(arguments.converge);
            Some(judge(stores, &sales, &mut measured, &prefix, converge_max).await)
        }
        None => None,
    };
    // What was measured is told also when the rest failed.
    let (verdict, no_verdict) = parted(verdict);
    let (heard, not_heard) = parted(heard(listeners, &shop, stores.as_ref()).await);
    let (description, url) = (plan.describe(), place.urls.join(", "));
    let about = Run { scenario: name(scenario), description, url, seed, started_at };
    let report = Report::of(&measured.recording, about, heard, verdict, &limits(scenario, arguments)?);
    let not_published = publish(&report, arguments).err();
    let mut failures = [measured.not_recorded, no_verdict, not_heard, not_published].into_iter().flatten();
    let first = failures.next();
    for other in failures {
        tell(format_args!("error: {other:#}"));
    }
    match first {
        Some(error) => Err(error),
        None => Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    }
}

/// The verdict over all that was measured.
async fn judge(
    stores: &Stores,
    sales: &Sales,
    measured: &mut Measured,
    prefix: &str,
    converge_max: Duration,
) -> Result<Verdict> {
    measured.recall();
    tell("Reading Redis, the log and Postgres ...");
    verdict::reach(stores, &sales.skus, sales.units, &measured.recording, prefix, converge_max).await
}

/// What listeners saw, if there are any. After the stores agree: what a listener was told of is looked for in them.
async fn heard(listeners: Option<Listeners>, shop: &Shop, stores: Option<&Stores>) -> Option<Result<ListenersReport>> {
    Some(listeners?.leave(shop, stores).await)
}

/// What came of something that may have been asked for, and why not.
fn parted<T>(result: Option<Result<T>>) -> (Option<T>, Option<anyhow::Error>) {
    match result {
        Some(Ok(value)) => (Some(value), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    }
}

/// Fails for a file that cannot be written: after the load is too late to learn of it.
fn check_files(arguments: &RunArgs) -> Result<()> {
    let files = [&arguments.json, &arguments.html, &arguments.record];
    for file in files.into_iter().flatten().filter(|file| !is_stdout(file)) {
        let opened = OpenOptions::new().append(true).create(true).open(file);
        opened.with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// `-` stands for it.
fn is_stdout(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Says so when there may not be as many connections as the plan wants: those beyond would all be broken.
fn tell_of_open_files(plan: &Plan) {
    let wanted = plan.options.connections + plan.listeners + OTHER_FILES;
    if let Ok((most, _)) = getrlimit(Resource::RLIMIT_NOFILE)
        && most < wanted as u64
    {
        tell(format_args!("This system lets a process open {most} files, and {wanted} are wanted; see `ulimit -n`."));
    }
}

/// Says so when the proof will want the memory that the load goes without.
fn tell_of_memory(arguments: &RunArgs, plan: &Plan) {
    let is_read_back = !plan.options.keep_attempts && !arguments.no_verdict;
    if let Some(file) = arguments.record.as_ref().filter(|_| is_read_back) {
        let file = file.display();
        tell(format_args!("The proof reads {file} back into memory, about {ATTEMPT_BYTES} bytes for each line."));
    }
}

/// The sales that the run is about, by name.
fn names(arguments: &RunArgs, plan: &Plan) -> Vec<String> {
    let base = format!("LOAD-{:08X}", rand::random::<u32>());
    match (&arguments.sku, plan.skus) {
        (Some(sku), _) => vec![sku.to_string()],
        (None, 1) => vec![base],
        (None, skus) => (1..=skus).map(|number| format!("{base}-{number}")).collect(),
    }
}

/// What would be done.
fn intention(place: &Place, plan: &Plan, names: &[String]) -> String {
    let (urls, names) = (place.urls.join(", "), names.join(" "));
    format!("To {urls}, sale {names}:\n{}.\nNothing was sent.", plan.describe())
}

/// Finds the sale that was named, or sets one up.
async fn prepare(
    arguments: &RunArgs,
    place: &Place,
    plan: &Plan,
    names: Vec<String>,
    prefix: &str,
    stop: &CancellationToken,
) -> Result<(Shop, Sales)> {
    let key = place.admin_key(arguments.admin_key.as_deref());
    let edge = Shop::new(&place.urls[0], key.clone());
    let shop = arguments.admin_url.as_deref().map_or_else(|| edge.clone(), |url| Shop::new(url, key));
    let sales = match &arguments.sku {
        Some(sku) => Sales::existing(&shop, sku.as_str(), plan).await?,
        None => Sales::set_up(&shop, &edge, names, plan, prefix, stop).await.context("set the sale up")?,
    };
    Ok((shop, sales))
}

/// Sends everything; an interruption ends it early. Blocks this thread.
fn measure(
    target: &Target,
    plan: &Plan,
    seed: u64,
    record: Option<&Path>,
    stop: &CancellationToken,
) -> Result<Measured> {
    let mut record = record.map(Record::create).transpose()?;
    let live = Arc::new(Live::default());
    let (interrupted, told) = (stop.clone(), live.clone());
    let interruption = tokio::spawn(async move {
        interrupted.cancelled().await;
        told.stop.store(true, Ordering::Relaxed);
    });
    let progress = Progress::begin(live.clone());
    let sent = tokio::task::block_in_place(|| send(target, plan, seed, &live, record.as_mut()));
    drop(progress);
    interruption.abort();
    let (recording, written) = sent?;
    if stop.is_cancelled() {
        tell("Interrupted: what follows is about what was sent until then.");
    } else if live.stop.load(Ordering::Relaxed) {
        tell("The record cannot be written: what follows is about what was sent until then.");
    }
    Ok(Measured { recording, record, not_recorded: written.err() })
}

/// The load itself. What is wanted in a file and would be too much for the memory is written as it comes, the rest when
/// nothing is measured any more. Returns what was measured, and whether all was written.
fn send(
    target: &Target,
    plan: &Plan,
    seed: u64,
    live: &Live,
    record: Option<&mut Record>,
) -> Result<(Recording, Result<()>)> {
    let when = When { arrivals: plan.arrivals, lasts: plan.lasts, seed };
    let request = |n: u64| plan.request(n);
    match record {
        Some(record) if !plan.options.keep_attempts => {
            let options = Options { keep_attempts: true, ..plan.options.clone() };
            let run =
                |hand_over: HandOver<'_>| engine::run_into(target, &options, when, &request, live, Some(hand_over));
            let (recording, written) = record.fill(live, run);
            Ok((recording?, written))
        }
        record => {
            let recording = engine::run_into(target, &plan.options, when, &request, live, None)?;
            let written = record.map_or(Ok(()), |record| record.append(&recording.attempts, &recording.lookups));
            Ok((recording, written))
        }
    }
}

fn limits(scenario: Scenario, arguments: &RunArgs) -> Result<Vec<Limit>> {
    if scenario == Scenario::Stampede && arguments.thresholds.is_empty() {
        return STAMPEDE_LIMITS.iter().map(|limit| limit.parse()).collect();
    }
    Ok(arguments.thresholds.clone())
}

fn name(scenario: Scenario) -> String {
    let value = clap::ValueEnum::to_possible_value(&scenario);
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The report on stdout, and where else it was asked for. On stdout first: it is told also when a file fails.
fn publish(report: &Report, arguments: &RunArgs) -> Result<()> {
    let write =
        |file: &Path, text: String| std::fs::write(file, text).with_context(|| format!("write {}", file.display()));
    match &arguments.json {
        Some(file) if is_stdout(file) => say(report.json()?),
        json => {
            say(report.text(has_colours()).trim_end());
            if let Some(file) = json {
                write(file, report.json()? + "\n")?;
            }
        }
    }
    if let Some(file) = &arguments.html {
        write(file, report.html())?;
    }
    Ok(())
}

/// Now, as people write it.
fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)).to_string()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use flashsale_loadtest::recorder::Outcome;

    use super::*;
    use crate::record::tests::attempt;

    #[test]
    fn only_a_record_that_lacks_nothing_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("attempts.jsonl");
        let mut record = Record::create(&file).unwrap();
        record.append(&[attempt(1, Outcome::SoldOut)], &[]).unwrap();
        let not_recorded = Some(anyhow!("a full disk"));
        let mut measured = Measured { recording: Recording::default(), record: Some(record), not_recorded };
        measured.recall();
        assert_eq!(measured.recording.attempts.len(), 0);
        measured.not_recorded = None;
        measured.recall();
        assert_eq!((measured.recording.attempts.len(), measured.not_recorded.is_none()), (1, true));
        std::fs::remove_file(file).unwrap();
        measured.recall();
        assert!(measured.not_recorded.is_none(), "it is in memory");
        measured.recording.attempts.clear();
        measured.recall();
        assert!(measured.not_recorded.is_some_and(|why| why.to_string().contains("read ")));
    }
}
