//! The registry of scripts: text, digest, and the call that loads on demand.

use std::sync::LazyLock;

use redis::{ErrorKind, FromRedisValue, Script as RedisScript, ServerErrorKind, ToRedisArgs};

use crate::{Error, Result, link::Link};

/// A script and what all scripts share, as one text.
pub(crate) struct Script {
    name: &'static str,
    text: &'static str,
    sha: String,
}

macro_rules! scripts {
    ($($constant:ident = $name:literal),* $(,)?) => {
        $(pub(crate) static $constant: LazyLock<Script> = LazyLock::new(|| {
            let text = concat!(
                include_str!("../scripts/sale.lua"),
                "\n",
                include_str!(concat!("../scripts/", $name, ".lua")),
            );
            Script { name: $name, text, sha: RedisScript::new(text).get_hash().to_owned() }
        });)*
        /// Every script, for loading ahead of the first call.
        pub(crate) fn all() -> Vec<&'static Script> {
            vec![$(&*$constant),*]
        }
    };
}

scripts! {
    DECIDE = "decide",
    SETTLE = "settle",
    TRANSITION = "transition",
    CREATE = "create",
    UPDATE = "update",
    PAUSE = "pause",
    DELETE = "delete",
    CLAIM = "claim",
    RENEW = "renew",
    OPEN = "open",
    RESTORE = "restore",
    FORGET = "forget",
    REPAIR = "repair",
}

impl Script {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn sha(&self) -> &str {
        &self.sha
    }

    pub(crate) fn text(&self) -> &'static str {
        self.text
    }

    /// Runs the script on a verified server. One that lost its scripts is looked at again first: nothing was
    /// executed then, so the same call once more is safe.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        link: &Link,
        keys: &[String],
        args: &[impl ToRedisArgs],
    ) -> Result<T> {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.sha).arg(keys.len()).arg(keys).arg(args);
        let mut connected = link.open().await?;
        let mut answer = call.query_async(&mut connected.connection).await;
        if matches!(&answer, Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            answer = answer.inspect_err(|error| link.note(&connected, error));
            drop(answer);
            connected = link.open().await?;
            answer = call.query_async(&mut connected.connection).await;
        }
        answer.inspect_err(|error| link.note(&connected, error)).map_err(Error::redis(self.name))
    }

    /// Runs the script on a server that need not be verified: for scripts that check a claim by themselves.
    pub(crate) async fn call_unverified<T: FromRedisValue>(
        &self,
        link: &Link,
        keys: &[String],
        args: &[impl ToRedisArgs],
    ) -> Result<T> {
        let mut call = redis::cmd("EVAL");
        call.arg(self.text).arg(keys.len()).arg(keys).arg(args);
        link.command(self.name, &call).await
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_script_file_is_registered_and_documents_its_reply() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "sale.lua")
            .collect();
        files.sort();
        let mut registered: Vec<_> = super::all().iter().map(|script| format!("{}.lua", script.name())).collect();
        registered.sort();
        assert_eq!(registered, files);
        for file in files {
            let text = std::fs::read_to_string(format!("{folder}/{file}")).unwrap();
            assert!(text.contains("-- Reply:"), "{file} does not say what it replies");
            assert!(text.contains("assert(#KEYS == "), "{file} does not check its arity");
        }
    }
}
