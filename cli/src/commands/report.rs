//! `flashsale report`: what happened in a sale, from its log.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use comfy_table::Table;
use flashsale_core::{SaleId, Sku};
use flashsale_platform::{config, shutdown, telemetry};
use flashsale_report::{Builder, Tone, html, text};

use super::sale_log;
use crate::{
    parts,
    settings::{Settings, Sources},
    terminal::{TOOL_LOGS, bold, dim, green, red, say},
};

/// Width of the report where there is no terminal to ask.
const WIDTH: usize = 100;

/// Tells what happened in a sale: demand, outcomes, latency, retries, fairness, and where the units went.
///
/// Reads the log alone, so that Redis and Postgres may be gone. Exit code 1: the log knows no such sale.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  flashsale report --sku DEMO\n  flashsale report --sku DEMO --html report.html\n  flashsale report --sku DEMO --json | jq .fairness"
)]
pub(crate) struct ReportArgs {
    /// What was sold.
    #[arg(long)]
    sku: Sku,
    /// Which sale of it; by default the newest.
    #[arg(long, value_name = "ID")]
    sale: Option<SaleId>,
    /// Print JSON instead of a report.
    #[arg(long)]
    json: bool,
    /// Write a page to this file instead: one file, with charts, that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Brokers to read from; by default those of the configuration, or of the local stack.
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
}

impl ReportArgs {
    /// Reads the log and tells.
    pub(crate) async fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let mut settings = Settings::load(sources, false)?;
        if let Some(brokers) = &self.brokers {
            settings.brokers.clone_from(brokers);
        }
        settings.fill_from_local_stack();
        settings.require(&["brokers"])?;
        if let Some(file) = &self.html {
            check(file)?;
        }
        telemetry::init_logs(TOOL_LOGS, settings.log_json);
        let ledger = parts::open_ledger(&settings).await?;
        let stop = shutdown::on_signal()?;
        let fold = Builder::new(self.sku.clone());
        let fold = sale_log::read(&ledger, &self.sku, self.sale.as_ref(), fold, &stop).await?;
        let Some(report) = fold.build(self.sale.as_ref()) else {
            let sale = self.sale.as_ref().map(|sale| format!(" {sale}")).unwrap_or_default();
            tell(&format!(
                "The log knows no sale{sale} of {}. `flashsale replay sale-events` prints what it knows.",
                self.sku
            ));
            return Ok(ExitCode::FAILURE);
        };
        if let Some(file) = &self.html {
            write(file, &html(&report))?;
            let shown = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            tell(&format!("The report is in {}", shown.display()));
        }
        if self.json {
            say(serde_json::to_string_pretty(&report)?);
        } else if self.html.is_none() {
            let width = Table::new().width().map_or(WIDTH, usize::from);
            say(text(&report, width, &painted).trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn painted(tone: Tone, text: &str) -> String {
    match tone {
        Tone::Strong => bold(text),
        Tone::Good => green(text),
        Tone::Bad => red(text),
        Tone::Faint => dim(text),
    }
}

/// Says something that is not the report itself, which may go into a pipe.
fn tell(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// The folder that `file` is in.
fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Refuses a file that cannot be written before the log is read for it.
fn check(file: &Path) -> Result<(), config::Error> {
    let refuse = |why: &str| Err(config::Error(format!("--html {}: {why}", file.display())));
    if file.file_name().is_none() || file.is_dir() {
        return refuse("is a folder; name a file in it");
    }
    if !folder(file).is_dir() {
        return refuse("there is no such folder; make it, or name another file");
    }
    Ok(())
}

/// Writes `page` beside `file` and puts it into its place whole.
fn write(file: &Path, page: &str) -> anyhow::Result<()> {
    let mut name = file.file_name().context("the report has no file name")?.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = file.with_file_name(name);
    let written = File::create_new(&part).and_then(|mut open| {
        open.write_all(page.as_bytes())?;
        open.sync_all()?;
        std::fs::rename(&part, file)
    });
    if written.is_err() {
        drop(std::fs::remove_file(&part));
    }
    written.with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_written_whole_over_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.html");
        assert!(check(&file).is_ok());
        for page in ["the first, which is longer", "the second"] {
            write(&file, page).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), page);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for bad in [folder.path().to_owned(), folder.path().join("none").join("report.html")] {
            let error = check(&bad).unwrap_err().to_string();
            assert!(error.contains(&bad.display().to_string()), "{error}");
        }
        assert!(check(Path::new("report.html")).is_ok());
    }
}
