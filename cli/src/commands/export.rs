//! `flashsale export`: a stretch of a topic, in files that other tools read.

mod chunk;
mod decoding;
mod passage;

use std::{collections::BTreeMap, ops::Range, path::PathBuf, process::ExitCode, time::Instant};

use clap::Args;
use flashsale_core::Sku;
use flashsale_export::{Error, Existing, Filter, Format, Manifest, Plan, Units, Writer, begun};
use flashsale_ledger::Ledger;
use flashsale_platform::{config, shutdown, telemetry};
use flashsale_schemas::Topic;
use flashsale_streaming::{ScanFrom, ScanRanges, ScanUntil, resolve};
use indicatif::DecimalBytes;
use serde_json::json;

use self::{decoding::Decoding, passage::Passage};
use super::{
    stores::Bar,
    stretch::{self, Bound},
    topic_name::{self, short},
};
use crate::{
    parts,
    settings::{Settings, Sources},
    terminal::{TOOL_LOGS, bold, count, dim, green, red, say},
};

/// Exit code after Ctrl-C.
const STOPPED: u8 = 130;

const EXAMPLES: &str = "\
Examples:
  flashsale export                                     all decisions, as Parquet, into export-purchase-decisions/
  flashsale export --sku DEMO --format csv --output demo
  flashsale export --sku DEMO --sequence 1..100        who bought units 1 to 100, and who came again holding one
  flashsale export --from -10m --dry-run               what the last ten minutes would be
  flashsale export --from 2026-11-27T09:00:00Z --until 2026-11-27T09:00:01Z
  flashsale export sale-events --format jsonl
  flashsale export --resume                            go on after Ctrl-C, with what was asked for then

Ask DuckDB:
  duckdb -c \"SELECT outcome, count(*) FROM 'export-purchase-decisions/*.parquet' GROUP BY outcome\"

Reading has no effect on anybody: no group is joined and no offset is committed. Columns, formats and more questions
are in docs/analysts.md.";

/// Writes a stretch of a topic as Parquet, CSV or JSON Lines; what was interrupted can be resumed.
///
/// The folder gets files of at most 250,000 rows, and last of all manifest.json with counts and checksums. The same
/// stretch gives the same bytes each time. Records that cannot be decoded are kept in unreadable.jsonl.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// Which topic, such as sale-events or sale-status [default: purchase-decisions].
    #[arg(value_parser = topic_name::parse)]
    topic: Option<Topic>,
    /// Only records about this SKU.
    #[arg(long)]
    sku: Option<Sku>,
    /// First record: `beginning`, `offset=N` in each partition, a time (RFC 3339), or -10s, -10m, -2h, -1d ago
    /// [default: beginning].
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true, value_parser = stretch::from)]
    from: Option<Bound>,
    /// First record that is left out: likewise, or `end` as it is now [default: end].
    #[arg(long, value_name = "WHERE", allow_hyphen_values = true, value_parser = stretch::until)]
    until: Option<Bound>,
    /// Only decisions with these units of the sale, both ends included: 1..100, 90.. or 42.
    #[arg(long, value_name = "A..B", value_parser = units)]
    sequence: Option<Units>,
    /// How to write: parquet, csv or jsonl [default: parquet].
    #[arg(long)]
    format: Option<Format>,
    /// Where to [default: export-<TOPIC>, with the SKU behind it].
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Go on with the export in the folder, if there is one; what is not given is as it was then.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the export in the folder.
    #[arg(long)]
    overwrite: bool,
    /// Only say what would be written.
    #[arg(long)]
    dry_run: bool,
    /// Brokers to read from; by default those of the configuration, or of the local stack.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Print the manifest as JSON instead of a summary.
    #[arg(long)]
    json: bool,
}

/// Reads units of a sale; both ends are meant.
fn units(text: &str) -> Result<Units, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str, open: i64| if text.is_empty() { Ok(open) } else { text.parse() };
    match (number(first, 1), number(last, i64::MAX)) {
        (Ok(first), Ok(last)) if first <= last && !text.is_empty() => Ok(Units { first, last }),
        _ => Err("expected units such as 1..100, 90.. or 42; both ends are meant".into()),
    }
}

impl Export {
    /// Exports, or says what would be exported.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let mut settings = Settings::load(sources, false)?;
        if let Some(brokers) = &self.brokers {
            settings.brokers.clone_from(brokers);
        }
        settings.fill_from_local_stack();
        settings.require(&["brokers"])?;
        let folder = self.folder();
        let begun = if self.resume { begun(&folder)? } else { None };
        telemetry::init_logs(TOOL_LOGS, settings.log_json);
        let ledger = parts::open_ledger(&settings).await?;
        let topic = self.topic_of(begun.as_ref(), &ledger);
        self.check(topic)?;
        let plan = match begun {
            Some(begun) => self.with_what_is_given(begun, topic, &ledger),
            None => self.new_plan(topic, &ledger).await?,
        };
        if self.dry_run {
            self.preview(&plan)?;
            return Ok(ExitCode::SUCCESS);
        }
        let stop = shutdown::on_signal()?;
        let (began, bar) = (Instant::now(), Bar::new("exporting"));
        let writer = Writer::open(&folder, plan.clone(), self.existing()).map_err(as_usage)?;
        let stretches = left(&plan, &writer.resume_at());
        still_there(&plan, &stretches, &ledger).await?;
        let rows_before = writer.rows();
        let decoding = Decoding::open(&ledger, topic).await?;
        let (config, bar_of_reader) = (ledger.streaming().clone(), bar.clone());
        let passage = Passage { config, topic: plan.topic.clone(), stop, bar: bar_of_reader };
        let done = passage.run(decoding, stretches, writer).await;
        bar.finish();
        match done? {
            Some(manifest) => {
                let rows = manifest.rows - rows_before;
                self.report(&manifest, rows, began)?;
                Ok(ExitCode::SUCCESS)
            }
            None => {
                self.tell_how_to_go_on();
                Ok(ExitCode::from(STOPPED))
            }
        }
    }

    fn folder(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let topic = short(self.topic.unwrap_or(Topic::PurchaseDecisions));
            let sku = self.sku.as_ref().map(|sku| format!("-{sku}")).unwrap_or_default();
            format!("export-{topic}{sku}").into()
        })
    }

    fn existing(&self) -> Existing {
        match (self.resume, self.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Replace,
            _ => Existing::Refuse,
        }
    }

    /// The topic that is asked for, else the one that was begun with.
    fn topic_of(&self, begun: Option<&Plan>, ledger: &Ledger) -> Topic {
        let of_begun =
            || Topic::ALL.into_iter().find(|topic| Some(ledger.topic(*topic)) == begun.map(|plan| &*plan.topic));
        self.topic.or_else(of_begun).unwrap_or(Topic::PurchaseDecisions)
    }

    /// Refuses filters that the topic has no columns for.
    fn check(&self, topic: Topic) -> Result<(), config::Error> {
        let names_a_sku =
            matches!(topic, Topic::PurchaseDecisions | Topic::SaleEvents | Topic::SaleStatus | Topic::Reconciliations);
        if self.sku.is_some() && !names_a_sku {
            return Err(config::Error(format!("records of {} name no SKU; leave --sku out", short(topic))));
        }
        if self.sequence.is_some() && topic != Topic::PurchaseDecisions {
            return Err(config::Error(format!("records of {} are no units; leave --sequence out", short(topic))));
        }
        Ok(())
    }

    async fn new_plan(&self, topic: Topic, ledger: &Ledger) -> anyhow::Result<Plan> {
        let (from, until) = (self.from.unwrap_or(Bound::Beginning), self.until.unwrap_or(Bound::End));
        let name = ledger.topic(topic);
        let ranges = stretch::offsets(ledger, name, from, until).await?;
        let plan = Plan::new(topic, name, ranges, Format::Parquet);
        let plan = Plan { from: from.to_string(), until: until.to_string(), ..plan };
        Ok(self.with_what_is_given(plan, topic, ledger))
    }

    /// `plan` with everything that the command line says. Its offsets stay: an end that moves is not asked for again.
    fn with_what_is_given(&self, plan: Plan, topic: Topic, ledger: &Ledger) -> Plan {
        let name = ledger.topic(topic);
        let given = |bound: Option<Bound>, else_as: String| match bound {
            Some(bound) if bound.is_fixed() => bound.to_string(),
            _ => else_as,
        };
        Plan {
            topic: name.to_owned(),
            shape: topic.into(),
            schema: topic.schema_text().map(|_| format!("{name}-value")),
            format: self.format.unwrap_or(plan.format),
            from: given(self.from, plan.from),
            until: given(self.until, plan.until),
            filter: Filter {
                sku: self.sku.as_ref().map(ToString::to_string).or(plan.filter.sku),
                sequence: self.sequence.or(plan.filter.sequence),
            },
            ..plan
        }
    }

    fn preview(&self, plan: &Plan) -> anyhow::Result<()> {
        let (folder, records) = (self.folder().display().to_string(), plan.records_max());
        if self.json {
            let preview = json!({ "dryRun": true, "folder": folder, "recordsMax": records, "plan": plan });
            say(serde_json::to_string_pretty(&preview)?);
            return Ok(());
        }
        say(format!("{} from {} until {}, as {}, into {folder}:", plan.topic, plan.from, plan.until, plan.format));
        for (partition, range) in &plan.ranges {
            say(match range.is_empty() {
                true => format!("  partition {partition}: nothing"),
                false => format!("  partition {partition}: offsets {} to {}", range.start, range.end - 1),
            });
        }
        let filtered = plan.filter != Filter::default();
        let which = if filtered { ", fewer for what they must be about" } else { "" };
        say(format!("At most {}{which}. Nothing was written.", count(records, "record")));
        Ok(())
    }

    fn report(&self, manifest: &Manifest, rows: u64, began: Instant) -> anyhow::Result<()> {
        let (folder, seconds) = (self.folder().display().to_string(), began.elapsed().as_secs_f64());
        if self.json {
            let mut report = serde_json::to_value(manifest)?;
            report["folder"] = json!(folder);
            report["seconds"] = json!(seconds);
            say(serde_json::to_string_pretty(&report)?);
            return Ok(());
        }
        let speed = rows as f64 / seconds.max(0.001);
        say(format!(
            "{} {} in {}, {}, into {folder} {}",
            green("✓"),
            bold(&count(manifest.rows, "row")),
            count(manifest.parts.len() as u64, "file"),
            DecimalBytes(manifest.bytes),
            dim(&format!("({seconds:.1} s, {speed:.0} rows/s)"))
        ));
        let outcomes: Vec<String> = manifest.outcomes.iter().map(|(name, count)| format!("{name} {count}")).collect();
        if !outcomes.is_empty() {
            say(format!("  {}", outcomes.join(", ")));
        }
        if let Some(unreadable) = &manifest.unreadable {
            let records = count(unreadable.rows, "record");
            say(format!("  {} {records} could not be read; {} has them as hex", red("✗"), unreadable.file));
        }
        Ok(())
    }

    fn tell_how_to_go_on(&self) {
        let brokers = self.brokers.as_ref().map(|brokers| format!(" --brokers {brokers}")).unwrap_or_default();
        let command = format!("flashsale export --resume --output {}{brokers}", self.folder().display());
        if self.json {
            say(json!({ "stopped": true, "resume": command }));
        } else {
            say(format!("Stopped. Finished files stay; go on with\n  {command}"));
        }
    }
}

/// What is there already is for the person to decide on.
fn as_usage(error: Error) -> anyhow::Error {
    match error {
        Error::Exists(_) | Error::NotEmpty(_) | Error::OtherPlan { .. } | Error::Busy(_) => {
            config::Error(error.to_string()).into()
        }
        _ => error.into(),
    }
}

/// What is not exported yet.
fn left(plan: &Plan, next: &BTreeMap<i32, i64>) -> BTreeMap<i32, Range<i64>> {
    let stretches = plan.ranges.iter().map(|(partition, range)| {
        let start = next.get(partition).copied().unwrap_or(range.start);
        (*partition, start..range.end)
    });
    stretches.filter(|(_, range)| !range.is_empty()).collect()
}

/// Refuses to go on where the log has lost records since the export was begun: nobody would see the hole.
async fn still_there(plan: &Plan, stretches: &BTreeMap<i32, Range<i64>>, ledger: &Ledger) -> anyhow::Result<()> {
    let there: ScanRanges = resolve(ledger.streaming(), &plan.topic, &ScanFrom::Beginning, &ScanUntil::End).await?;
    for (partition, range) in stretches {
        let kept = there.get(partition).cloned().unwrap_or(0..0);
        anyhow::ensure!(
            kept.start <= range.start && range.end <= kept.end,
            "the export lacks offsets {range:?} of partition {partition}, and the log has {kept:?} now: records expired, \
             or the topic was made anew; begin again with --overwrite"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_meant_with_both_ends() {
        assert_eq!(units("1..100"), Ok(Units { first: 1, last: 100 }));
        assert_eq!(units("90.."), Ok(Units { first: 90, last: i64::MAX }));
        assert_eq!(units("..5"), Ok(Units { first: 1, last: 5 }));
        assert_eq!(units("42"), Ok(Units { first: 42, last: 42 }));
        for bad in ["", "a..b", "5..1", "1..2..3", "1-5"] {
            assert!(units(bad).is_err(), "{bad}");
        }
    }
}
