//! Which id stands for which schema: a Confluent-compatible registry, or the compiled-in one.
//!
//! The two number schemas differently. A log is read with the registry it was written with.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use apache_avro::Schema;
use tokio::runtime::Handle;

use crate::Topic;

pub mod builtin;
mod client;

use client::Client;

/// How long a registry's "no such schema" is believed: a producer may register it at any time.
const REFUSAL_TTL: Duration = Duration::from_secs(60);
/// Refused ids remembered at once; garbage must not fill the memory.
const REFUSED_IDS_MAX: usize = 1_024;
/// Questions on their way at once, for the same reason.
const LOOKUPS_MAX: usize = 16;

/// Why a registry gave no answer, or not the hoped-for one.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Not an address of a registry.
    #[error("the schema registry's address {url:?} is not usable: {problem}")]
    Address {
        /// What was configured.
        url: String,
        /// Why it will not do.
        problem: String,
    },
    /// The topic holds raw bytes.
    #[error("{0} has no schema")]
    NoSchema(Topic),
    /// The registry's rules forbid our schema beside the ones it has.
    #[error("the registry refuses our schema as incompatible with those under {subject}: {message}")]
    Incompatible {
        /// Where it was to be registered.
        subject: String,
        /// The registry's reason.
        message: String,
    },
    /// There is no schema of this id that we could use.
    #[error("the registry has no usable schema {0}")]
    UnknownSchema(u32),
    /// The registry could not be asked.
    #[error("asking the schema registry for {path}")]
    Unreachable {
        /// What was asked for.
        path: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry answered something else.
    #[error("the schema registry answered {path} with {status}: {message}")]
    Answer {
        /// What was asked for.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own number for it; 0 when it named none.
        code: u32,
        /// The registry's words.
        message: String,
    },
}

/// A handle on a schema registry; clones share what they have learnt.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None: the compiled-in schemas.
    client: Option<Client>,
    learnt: Mutex<Learnt>,
}

#[derive(Debug, Default)]
struct Learnt {
    /// Schemas never change under their id, so these stay.
    schemas: HashMap<u32, Arc<Schema>>,
    refused: HashMap<u32, Instant>,
    asked: HashSet<u32>,
}

/// What is known about an id without asking.
pub(crate) enum Known {
    Schema(Arc<Schema>),
    Unusable,
    NotYet,
}

impl Registry {
    /// The schemas compiled in, under ids fixed for ever; no IO.
    pub fn builtin() -> Self {
        let schemas = builtin::schemas().collect();
        Self(Arc::new(Inner { client: None, learnt: Mutex::new(Learnt { schemas, ..Learnt::default() }) }))
    }

    /// A Confluent-compatible registry at `url`, plain HTTP; nothing is sent yet.
    pub fn connect(url: &str) -> Result<Self, RegistryError> {
        Ok(Self(Arc::new(Inner { client: Some(Client::new(url)?), learnt: Mutex::default() })))
    }

    /// The id of our schema for `topic`, which is called `topic_name` on the broker. A remote
    /// registry has the schema registered by that.
    pub async fn id_of(&self, topic: Topic, topic_name: &str) -> Result<u32, RegistryError> {
        let schema = topic.schema_text().ok_or(RegistryError::NoSchema(topic))?;
        match &self.0.client {
            None => builtin::id_of(topic).ok_or(RegistryError::NoSchema(topic)),
            Some(client) => client.register(&subject(topic_name), schema).await,
        }
    }

    /// The text of schema `id`, in canonical form; remembered for ever, a refusal for a minute, an
    /// outage not at all.
    pub async fn lookup(&self, id: u32) -> Result<String, RegistryError> {
        self.schema_by_id(id).await.map(|schema| schema.canonical_form())
    }

    async fn schema_by_id(&self, id: u32) -> Result<Arc<Schema>, RegistryError> {
        match (self.known(id), &self.0.client) {
            (Known::Schema(schema), _) => return Ok(schema),
            (Known::NotYet, Some(client)) => {
                let found = client.schema_by_id(id).await;
                let mut learnt = self.learnt();
                match found {
                    Ok(schema) => return Ok(learnt.schemas.entry(id).or_insert(Arc::new(schema)).clone()),
                    Err(RegistryError::UnknownSchema(_)) => learnt.refuse(id),
                    Err(outage) => return Err(outage),
                }
            }
            _ => {}
        }
        Err(RegistryError::UnknownSchema(id))
    }

    pub(crate) fn known(&self, id: u32) -> Known {
        let learnt = self.learnt();
        if let Some(schema) = learnt.schemas.get(&id) {
            return Known::Schema(schema.clone());
        }
        let refused = learnt.refused.get(&id).is_some_and(|at| at.elapsed() < REFUSAL_TTL);
        if refused || self.0.client.is_none() { Known::Unusable } else { Known::NotYet }
    }

    /// Starts to ask for `id`, unless that or too much else is being asked, or no runtime is there
    /// to carry the question; then the next try asks again.
    pub(crate) fn look_up_in_background(&self, id: u32) {
        let Ok(runtime) = Handle::try_current() else { return };
        {
            let mut learnt = self.learnt();
            if learnt.asked.len() == LOOKUPS_MAX || !learnt.asked.insert(id) {
                return;
            }
        }
        let registry = self.clone();
        runtime.spawn(async move {
            if let Err(error) = registry.schema_by_id(id).await {
                tracing::warn!(schema_id = id, error = &error as &dyn std::error::Error, "schema {id} not found");
            }
            registry.learnt().asked.remove(&id);
        });
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.0.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learnt {
    fn refuse(&mut self, id: u32) {
        if self.refused.len() >= REFUSED_IDS_MAX {
            self.refused.clear();
        }
        self.refused.insert(id, Instant::now());
    }
}

/// Confluent's TopicNameStrategy.
fn subject(topic_name: &str) -> String {
    format!("{topic_name}-value")
}

#[cfg(test)]
mod tests;
