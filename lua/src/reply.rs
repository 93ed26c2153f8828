//! Reading the parts of script replies and stream entries.

use std::{collections::HashMap, str::FromStr};

use crate::{Error, Result};

pub(crate) fn odd(script: &'static str, detail: impl std::fmt::Display) -> Error {
    Error::Reply { script, detail: detail.to_string() }
}

pub(crate) fn number<T: FromStr>(script: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|_| odd(script, format!("`{text}` is not a number in range")))
}

/// Fields of an entry by name.
pub(crate) struct Fields<'a> {
    script: &'static str,
    by_name: HashMap<&'a str, &'a str>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(script: &'static str, flat: &'a [String]) -> Self {
        let by_name = flat.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
        Self { script, by_name }
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str> {
        self.optional(name).ok_or_else(|| odd(self.script, format!("no field `{name}`")))
    }

    pub(crate) fn optional(&self, name: &str) -> Option<&'a str> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<T> {
        number(self.script, self.text(name)?)
    }

    pub(crate) fn parse<T>(&self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let text = self.text(name)?;
        parse(text).ok_or_else(|| odd(self.script, format!("`{name}` is `{text}`")))
    }
}
