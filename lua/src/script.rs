//! The registry of scripts: text, digest, and the call that loads on demand.

use std::sync::LazyLock;

use redis::{FromRedisValue, Script as RedisScript, ToRedisArgs, aio::ConnectionManager};

use crate::{Error, Result};

/// A script and what all scripts share, as one text.
pub(crate) struct Script {
    name: &'static str,
    script: RedisScript,
}

macro_rules! scripts {
    ($($constant:ident = $name:literal),* $(,)?) => {
        $(pub(crate) static $constant: LazyLock<Script> = LazyLock::new(|| Script {
            name: $name,
            script: RedisScript::new(concat!(
                include_str!("../scripts/sale.lua"),
                "\n",
                include_str!(concat!("../scripts/", $name, ".lua")),
            )),
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
}

impl Script {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Puts the script into the server's cache.
    pub(crate) async fn load(&self, connection: &mut ConnectionManager) -> Result<()> {
        self.script.load_async(connection).await.map_err(Error::redis("load a script"))?;
        Ok(())
    }

    /// Runs the script; a server that does not know it is given it first. Nothing was executed then,
    /// so that is safe.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        connection: &mut ConnectionManager,
        keys: &[String],
        args: &[impl ToRedisArgs],
    ) -> Result<T> {
        let mut call = redis::cmd("EVALSHA");
        call.arg(self.script.get_hash()).arg(keys.len()).arg(keys).arg(args);
        match call.query_async(connection).await {
            Err(error) if error.kind() == redis::ErrorKind::Server(redis::ServerErrorKind::NoScript) => {
                self.load(connection).await?;
                call.query_async(connection).await.map_err(Error::redis(self.name))
            }
            reply => reply.map_err(Error::redis(self.name)),
        }
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
            assert!(text.contains("assert(#KEYS == 4"), "{file} does not check its arity");
        }
    }
}
