//! `flashsale key`: keys for people and programs that administer.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use flashsale_api::{AdminKey, AdminKeys, Role};
use flashsale_operations::Actor;
use flashsale_platform::config;
use rand::{TryRngCore, rngs::OsRng};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::sale_times;
use crate::terminal::{count, red, say, say_json, table};

/// In front of every key, so that one which leaks is known for what it is.
const PREFIX: &str = "fsk_";

/// Makes keys for X-Admin-Key, and checks the file of those that are good.
///
/// The file is what FLASHSALE_ADMIN_KEYS_FILE names. It has names, roles and digests: no key can be read out of it.
#[derive(Debug, Args)]
#[command(after_help = "Roles: a viewer sees everything; an operator also steers consumers, settles dead letters, \
compares and repairs, pauses and resumes sales; an admin also creates, changes and deletes sales.

To replace a key without a moment in which nobody gets in:
  1. flashsale key new --name kim --role operator >> keys.toml   the old block stays; a name may have two keys
  2. flashsale key check keys.toml
  3. Deploy the file. Every api reads it within seconds, without a restart.
  4. Give kim the new key, and wait until it is in use.
  5. Take the old block out of the file, and deploy it again: the old key is refused from then on.

To take access away, begin with 5. Replace the file in one step (write another, then mv); a file that cannot be used
changes nothing, and the api says so in its log and in flashsale_file_refused.")]
pub(crate) struct Key {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key: it goes to stderr, once, and its block for the file to stdout.
    New(New),
    /// Say what is in a file of keys.
    ///
    /// Exit code 0: it can be used; 1: it can, and some key in it has run out; 64: it cannot.
    Check {
        /// The file.
        file: PathBuf,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct New {
    /// Whose key it is: who acts, in the list of acts.
    #[arg(long)]
    name: Actor,
    /// What it is good for.
    #[arg(long, value_parser = roles())]
    role: Role,
    /// When it runs out: a span such as +90d, or a time such as 2027-01-31T00:00:00Z. Without it, never.
    #[arg(long, value_name = "TIME", value_parser = sale_times::parse)]
    expires: Option<String>,
    /// Print JSON, with the key in it, instead of text.
    #[arg(long)]
    json: bool,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(["viewer", "operator", "admin"]).try_map(|role| role.parse::<Role>())
}

impl Key {
    /// Makes or checks.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::New(new) => new.run(),
            Action::Check { file, json } => check(&file, json),
        }
    }
}

impl New {
    fn run(self) -> anyhow::Result<ExitCode> {
        let Self { name, role, expires, json: as_json } = self;
        let expires = expires.map(|text| OffsetDateTime::parse(&text, &Rfc3339)).transpose()?;
        if expires.is_some_and(|expires| expires <= OffsetDateTime::now_utc()) {
            return Err(config::Error("--expires is not in the future; give a later time".to_owned()).into());
        }
        let key = random()?;
        let entry = AdminKey::new(name, role, expires, &key);
        if as_json {
            let (name, role, expires) = (entry.name.to_string(), role.as_str(), entry.expires_text());
            let (key, sha256, block) = (key.expose_secret(), entry.sha256(), entry.block());
            say_json(&json!({
                "name": name, "role": role, "expires": expires, "key": key, "sha256": sha256, "block": block,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "The key of {}, who is {role}. It is shown this once:\n", entry.name)?;
        writeln!(stderr, "{}\n", key.expose_secret())?;
        writeln!(stderr, "This block goes to the end of the file that FLASHSALE_ADMIN_KEYS_FILE names:")?;
        say(format!("\n{}", entry.block().trim_end()));
        Ok(ExitCode::SUCCESS)
    }
}

/// A key of 256 bits of chance.
fn random() -> anyhow::Result<SecretString> {
    let mut bytes = [0_u8; 32];
    OsRng.try_fill_bytes(&mut bytes)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{PREFIX}{digits}").into())
}

fn check(file: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let keys = AdminKeys::read(file).map_err(|unusable| config::Error(unusable.to_string()))?;
    let now = OffsetDateTime::now_utc();
    let expired = keys.iter().filter(|key| key.is_expired(now)).count() as u64;
    if as_json {
        let shown = keys.iter().map(|key| {
            let (name, role, expires) = (key.name.to_string(), key.role.as_str(), key.expires_text());
            json!({ "name": name, "role": role, "expires": expires, "expired": key.is_expired(now) })
        });
        say_json(&json!({ "keys": shown.collect::<Vec<Value>>() }))?;
    } else {
        let mut shown = table(["NAME", "ROLE", "EXPIRES"]);
        for key in keys.iter() {
            let expires = key.expires_text().unwrap_or_else(|| "never".to_owned());
            let expires = if key.is_expired(now) { red(&format!("{expires}, expired")) } else { expires };
            shown.add_row([key.name.to_string(), key.role.to_string(), expires]);
        }
        say(shown);
        if expired > 0 {
            say(format!("{} of no use any more; take the block out of the file", count(expired, "key")));
        }
    }
    Ok(if expired > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keys_are_the_same_and_each_is_256_bits() {
        let keys: std::collections::BTreeSet<String> =
            (0..100).map(|_| random().unwrap().expose_secret().to_owned()).collect();
        assert_eq!(keys.len(), 100);
        assert!(keys.iter().all(|key| key.len() == PREFIX.len() + 64 && key.starts_with(PREFIX)), "{keys:?}");
    }
}
