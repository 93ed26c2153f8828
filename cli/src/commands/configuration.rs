//! `flashsale config`.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Subcommand;

use crate::{
    parts::Parts,
    settings::{Settings, Sources},
    terminal::{USAGE, say, say_json},
};

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Configuration {
    /// Say whether it is valid, and what is missing for which service.
    Check {
        /// Print JSON instead of lines.
        #[arg(long)]
        json: bool,
    },
    /// Print every value in force, secrets blacked out.
    Print {
        /// Print JSON instead of TOML.
        #[arg(long)]
        json: bool,
    },
}

impl Configuration {
    /// Checks or prints.
    pub(crate) fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let settings = Settings::load(sources, false)?;
        match self {
            Self::Print { json: true } => {
                say_json(&toml::from_str::<toml::Table>(&settings.redacted())?)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Print { json: false } => {
                say(settings.redacted().trim_end());
                Ok(ExitCode::SUCCESS)
            }
            Self::Check { json } => check(&settings, json),
        }
    }
}

fn check(settings: &Settings, as_json: bool) -> anyhow::Result<ExitCode> {
    let services = [
        ("ingest", Parts { ingest: true, ..Parts::default() }),
        ("processor", Parts { processor: true, ..Parts::default() }),
        ("sink postgres", Parts { sink_postgres: true, ..Parts::default() }),
        ("sink sse", Parts { sink_sse: true, ..Parts::default() }),
        ("api", Parts { api: true, ..Parts::default() }),
    ];
    let found =
        services.map(|(name, parts)| (name, settings.require(&parts.required()).map_err(|error| error.to_string())));
    if as_json {
        let problem = |(name, result): &(&str, Result<(), String>)| ((*name).to_owned(), result.clone().err());
        say_json(&found.iter().map(problem).collect::<BTreeMap<String, Option<String>>>())?;
    } else {
        for (name, result) in &found {
            say(format!("{name}: {}", result.as_ref().err().map_or("ok", String::as_str)));
        }
    }
    let is_valid = found.iter().all(|(_, result)| result.is_ok());
    Ok(if is_valid { ExitCode::SUCCESS } else { ExitCode::from(USAGE) })
}
