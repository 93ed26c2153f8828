//! Configuration: embedded defaults, then a file, then `FLASHSALE_*`, then flags.

use std::path::Path;

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Serialized, Toml},
    value::{Dict, Map, Value},
};
use serde::de::DeserializeOwned;

/// Prefix of every environment variable; a section is set off by two underscores, as in
/// `FLASHSALE_INGEST__CONFIRM`.
pub const ENV_PREFIX: &str = "FLASHSALE_";

/// A configuration that cannot be used. The message names the key, where it came from, and the fix.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// A value given as a flag: a dotted key and its text.
pub type Flag = (String, String);

/// Reads `T` from all sources, later ones winning. Unknown keys are errors when `T` denies them.
/// Variables in `ignored` (without the prefix) belong to other tools.
pub fn load<T: DeserializeOwned>(
    defaults: &str,
    file: Option<&Path>,
    ignored: &[&str],
    flags: &[Flag],
) -> Result<T, Error> {
    let mut figment = Figment::from(Toml::string(defaults));
    if let Some(file) = file {
        if !file.is_file() {
            return Err(Error(format!(
                "configuration file {} does not exist; correct --config or FLASHSALE_CONFIG",
                file.display()
            )));
        }
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error(format!("configuration file {} cannot be read: {error}", file.display())))?;
        // Figment would show the whole line, with the secret that lacks its quotes.
        if let Err(error) = text.parse::<toml::Table>() {
            let line =
                1 + text.bytes().take(error.span().map_or(0, |span| span.start)).filter(|byte| *byte == b'\n').count();
            let (file, why) = (file.display(), error.message());
            return Err(Error(format!("configuration file {file} is not TOML: line {line}: {why}")));
        }
        figment = figment.merge(Named { provider: Toml::string(&text), source: format!("file {}", file.display()) });
    }
    let environment = std::env::vars().filter_map(|(name, value)| {
        let key = name.strip_prefix(ENV_PREFIX).filter(|key| !ignored.contains(key))?;
        Some((key.to_lowercase().replace("__", "."), value, format!("environment variable {name}")))
    });
    let flags = flags.iter().map(|(key, value)| (key.clone(), value.clone(), "--set".to_owned()));
    for (key, text, source) in environment.chain(flags) {
        let value = typed(&figment, &key, text);
        figment = figment.merge(Named { provider: Serialized::default(&key, value), source });
    }
    figment
        .extract()
        .map_err(|errors| Error(errors.into_iter().map(|error| explain(&error)).collect::<Vec<_>>().join("\n")))
}

/// The value that `text` means: text where the setting is text, so that a password of digits stays one;
/// else as in TOML, where 7 is a number and true a flag.
fn typed(figment: &Figment, key: &str, text: String) -> Value {
    match figment.find_value(key) {
        Ok(Value::String(..)) => Value::from(text),
        _ => match text.parse() {
            Ok(value) => value,
            Err(never) => match never {},
        },
    }
}

/// A provider under a name that a person knows.
struct Named<P> {
    provider: P,
    source: String,
}

impl<P: Provider> Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.provider.data()
    }
}

fn explain(error: &figment::Error) -> String {
    let path = error.path.join(".");
    let variable = format!("{ENV_PREFIX}{}", path.replace('.', "__").to_uppercase());
    let source = error.metadata.as_ref().map_or_else(String::new, |metadata| format!(" (from {})", metadata.name));
    match &error.kind {
        figment::error::Kind::UnknownField(name, known) => {
            let parent = error.path.iter().take(error.path.len().saturating_sub(1)).cloned().collect::<Vec<_>>();
            let section = if parent.is_empty() { "here".to_owned() } else { format!("in [{}]", parent.join(".")) };
            format!("`{name}` is not a setting{source}; known {section}: {}", known.join(", "))
        }
        figment::error::Kind::MissingField(name) => {
            let key = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
            let variable = format!("{ENV_PREFIX}{}", key.replace('.', "__").to_uppercase());
            format!("`{key}` is missing; set {variable} or write it to the configuration file")
        }
        // Without what was found: it may be a secret.
        figment::error::Kind::InvalidType(_, expected) | figment::error::Kind::InvalidValue(_, expected) => {
            format!("`{path}`{source}: is not {expected}; correct {variable} or the configuration file")
        }
        kind => format!("`{path}`{source}: {kind}; correct {variable} or the configuration file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        port: u16,
        inner: Inner,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        mode: String,
    }

    const DEFAULTS: &str = "port = 1\n[inner]\nmode = \"a\"";

    fn flag(key: &str, value: &str) -> Vec<Flag> {
        vec![(key.to_owned(), value.to_owned())]
    }

    #[test]
    fn later_sources_win() {
        assert_eq!(load::<Settings>(DEFAULTS, None, &[], &flag("port", "7")).unwrap().port, 7);
        let digits: Settings = load(DEFAULTS, None, &[], &flag("inner.mode", "007")).unwrap();
        assert_eq!(digits.inner.mode, "007", "text stays text");
        let settings: Settings = load(DEFAULTS, None, &[], &flag("inner.mode", "b")).unwrap();
        assert_eq!((settings.port, settings.inner.mode.as_str()), (1, "b"));
    }

    #[test]
    fn errors_name_the_key_and_the_fix() {
        let message = |flags: Vec<Flag>| load::<Settings>(DEFAULTS, None, &[], &flags).unwrap_err().to_string();
        let wrong = message(flag("port", "many"));
        assert!(wrong.contains("`port`") && wrong.contains("FLASHSALE_PORT"), "{wrong}");
        let unknown = message(flag("inner.colour", "red"));
        assert!(unknown.contains("colour") && unknown.contains("mode"), "{unknown}");
        let missing = load::<Settings>("port = 1\n[inner]", None, &[], &[]).unwrap_err().to_string();
        assert!(missing.contains("FLASHSALE_INNER__MODE"), "{missing}");
        let secret = load::<Settings>(DEFAULTS, None, &[], &flag("inner", "1234567890")).unwrap_err().to_string();
        assert!(secret.contains("`inner`") && !secret.contains("1234567890"), "{secret}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"port = 2\n[inner]\nmode = hunter2\n").unwrap();
        let unquoted = load::<Settings>(DEFAULTS, Some(file.path()), &[], &[]).unwrap_err().to_string();
        assert!(unquoted.contains("line 3") && !unquoted.contains("hunter2"), "{unquoted}");
        let no_file = load::<Settings>(DEFAULTS, Some(Path::new("nowhere.toml")), &[], &[]).unwrap_err().to_string();
        assert!(no_file.contains("nowhere.toml"), "{no_file}");
    }
}
