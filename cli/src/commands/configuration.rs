//! `flashsale config`.

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    parts::Parts,
    settings::{Settings, Sources},
    terminal::{USAGE, say},
};

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Configuration {
    /// Say whether it is valid, and what is missing for which service.
    Check,
    /// Print every value in force, secrets blacked out.
    Print,
}

impl Configuration {
    /// Checks or prints.
    pub(crate) fn run(self, sources: &Sources) -> anyhow::Result<ExitCode> {
        let settings = Settings::load(sources, false)?;
        match self {
            Self::Print => {
                say(settings.redacted().trim_end());
                Ok(ExitCode::SUCCESS)
            }
            Self::Check => Ok(check(&settings)),
        }
    }
}

fn check(settings: &Settings) -> ExitCode {
    let services = [
        ("ingest", Parts { ingest: true, ..Parts::default() }),
        ("processor", Parts { processor: true, ..Parts::default() }),
        ("sink postgres", Parts { sink_postgres: true, ..Parts::default() }),
        ("sink sse", Parts { sink_sse: true, ..Parts::default() }),
        ("api", Parts { api: true, ..Parts::default() }),
    ];
    let mut code = ExitCode::SUCCESS;
    for (name, parts) in services {
        match settings.require(&parts.required()) {
            Ok(()) => say(format!("{name}: ok")),
            Err(error) => {
                say(format!("{name}: {error}"));
                code = ExitCode::from(USAGE);
            }
        }
    }
    code
}
