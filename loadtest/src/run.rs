//! One run, from the sale to the report.

use std::{
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use flashsale_core::Micros;
use flashsale_loadtest::{
    engine::{self, Live, Target},
    recorder::Recording,
    report::{Limit, ListenersReport, Report, Run},
    scenario::{Plan, Scenario},
    verdict::{self, Stores},
};
use flashsale_platform::{open_files, shutdown};
use tokio_util::sync::CancellationToken;

use crate::{
    command::RunArgs,
    failure::{Failure, usage},
    listeners::Listeners,
    output::{has_colours, say, tell},
    piecewise::{self, Moments},
    place::Place,
    progress::Progress,
    record::Record,
    sale::{Sales, Shop},
};

/// Limits of a stampede that nobody gave others for: NF-2.
const STAMPEDE_LIMITS: [&str; 3] = ["p50<500ms", "p95<1s", "p99<2s"];

/// What was measured, before it is judged.
struct Measured {
    recording: Recording,
    /// The seconds of a run in pieces.
    moments: Option<Moments>,
    /// Where attempts went that are not kept in memory.
    record: Option<Record>,
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
    // Asked for in a file, all are kept, for as long as it takes to write them.
    plan.options.keep_attempts |= arguments.record.is_some();
    let names = names(arguments, &plan);
    if arguments.dry_run {
        say(intention(&place, &plan, &names));
        return Ok(ExitCode::SUCCESS);
    }
    if !place.is_here() && !arguments.yes {
        let hosts = place.urls.join(", ");
        return Err(Failure::Usage(format!("this sends load to {hosts}; --yes says that you may")).into());
    }
    open_files::raise_limit();
    let stop = shutdown::on_signal()?;
    // Before the load: who wants a proof should not learn afterwards that there can be none.
    let stores = if arguments.no_verdict { None } else { Some(Stores::find().await?) };
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
    let measured = measure(&target, &plan, seed, arguments.record.as_deref(), &stop)?;
    let Measured { mut recording, moments, record } = measured;
    let verdict = match &stores {
        Some(stores) => {
            if let (Some(record), true) = (&record, recording.attempts.is_empty()) {
                recording.attempts = record.read()?;
            }
            tell("Reading Redis, the log and Postgres ...");
            let converge_max = Duration::from_secs(arguments.converge);
            Some(verdict::reach(stores, &sales.skus, sales.units, &recording, &prefix, converge_max).await)
        }
        None => None,
    };
    // What was measured is told also when the rest failed.
    let (verdict, no_verdict) = parted(verdict);
    let (heard, not_heard) = parted(heard(listeners, &shop, stores.as_ref()).await);
    let (description, url) = (plan.describe(), place.urls.join(", "));
    let about = Run { scenario: name(scenario), description, url, seed, started_at };
    let mut report = Report::of(&recording, about, heard, verdict, &limits(scenario, arguments)?);
    if let Some(moments) = moments {
        moments.fill(&mut report);
    }
    publish(&report, arguments)?;
    if let Some(error) = no_verdict.or(not_heard) {
        return Err(error);
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    let measured = tokio::task::block_in_place(|| {
        if plan.is_long() {
            let (recording, moments) = piecewise::run(target, plan, seed, &live, record.as_mut())?;
            return anyhow::Ok((recording, Some(moments)));
        }
        let request = |n: u64| plan.request(n);
        let recording = engine::run(target, &plan.options, plan.arrivals, plan.lasts, seed, &request, &live)?;
        if let Some(record) = record.as_mut() {
            record.append(&recording.attempts)?;
        }
        Ok((recording, None))
    });
    drop(progress);
    interruption.abort();
    let (recording, moments) = measured?;
    if stop.is_cancelled() {
        tell("Interrupted: what follows is about what was sent until then.");
    }
    Ok(Measured { recording, moments, record })
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

/// The report where it was asked for, and on stdout.
fn publish(report: &Report, arguments: &RunArgs) -> Result<()> {
    if let Some(file) = &arguments.html {
        std::fs::write(file, report.html()).with_context(|| format!("write {}", file.display()))?;
    }
    match &arguments.json {
        Some(file) if file.as_os_str() == "-" => {
            say(report.json()?);
            return Ok(());
        }
        Some(file) => {
            std::fs::write(file, report.json()? + "\n").with_context(|| format!("write {}", file.display()))?;
        }
        None => {}
    }
    say(report.text(has_colours()).trim_end());
    Ok(())
}

/// Now, as people write it.
fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)).to_string()
}
