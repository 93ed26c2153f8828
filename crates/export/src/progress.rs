//! What is known of an export: while it is written, and when it is done.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Plan, Row, Value,
    folder::{Folder, load},
    table::outcome,
};

/// The journal, replaced whenever a part is done.
pub(crate) const PROGRESS: &str = "progress.json";
/// Written last, in place of the journal.
pub(crate) const MANIFEST: &str = "manifest.json";

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Its name.
    pub file: String,
    /// The partition that it is of.
    pub partition: i32,
    /// Offset of its first row.
    pub first_offset: i64,
    /// Offset of its last row.
    pub last_offset: i64,
    /// How many rows it has.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, as hex.
    pub sha256: String,
}

/// The file of records that nobody could read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Its name.
    pub file: String,
    /// How many records it has.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, as hex.
    pub sha256: String,
}

/// What an export contains. Nothing in it depends on when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version that wrote it.
    pub created_by: String,
    /// What was asked for.
    #[serde(flatten)]
    pub plan: Plan,
    /// Rows of all parts.
    pub rows: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// How many decisions had which outcome; empty for other topics.
    pub outcomes: BTreeMap<String, u64>,
    /// How many rows were written with which schema, by its id in the registry.
    pub schema_ids: BTreeMap<String, u64>,
    /// How many rows remove their key.
    pub tombstones: u64,
    /// The records that nobody could read, if there are any.
    pub unreadable: Option<Unreadable>,
    /// The files, by partition and offset.
    pub parts: Vec<Part>,
}

/// What is counted on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    pub(crate) outcomes: BTreeMap<String, u64>,
    pub(crate) schema_ids: BTreeMap<String, u64>,
    pub(crate) tombstones: u64,
    pub(crate) unreadable: u64,
    /// Size of the file of unreadable records.
    pub(crate) unreadable_bytes: u64,
    /// The schema of the last row, and its name among `schema_ids`: nearly always that of the next row too.
    #[serde(skip)]
    last_schema: Option<(u32, String)>,
}

/// How far an export is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    pub(crate) created_by: String,
    pub(crate) plan: Plan,
    /// Where each partition goes on.
    pub(crate) next: BTreeMap<i32, i64>,
    pub(crate) parts: Vec<Part>,
    /// As of the last part.
    pub(crate) counts: Counts,
}

impl Counts {
    pub(crate) fn add(&mut self, row: &Row<'_>) {
        match &row.value {
            Value::Decision(decision) => increment(&mut self.outcomes, outcome(decision.outcome)),
            Value::Tombstone => self.tombstones += 1,
            _ => {}
        }
        let Some(id) = row.schema_id else { return };
        let (last, name) = self.last_schema.get_or_insert_with(|| (id, id.to_string()));
        if *last != id {
            (*last, *name) = (id, id.to_string());
        }
        increment(&mut self.schema_ids, name);
    }
}

fn increment(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

/// This build.
fn version() -> String {
    format!("flashsale {}", env!("CARGO_PKG_VERSION"))
}

impl Progress {
    /// Nothing done yet.
    pub(crate) fn new(plan: Plan) -> Self {
        let next = plan.ranges.iter().map(|(partition, range)| (*partition, range.start)).collect();
        Self { created_by: version(), plan, next, parts: Vec::new(), counts: Counts::default() }
    }

    /// The journal that would stand beside `manifest`.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let next = manifest.plan.ranges.iter().map(|(partition, range)| (*partition, range.end)).collect();
        Self {
            created_by: manifest.created_by.clone(),
            plan: manifest.plan.clone(),
            next,
            parts: manifest.parts.clone(),
            counts: Counts::default(),
        }
    }

    /// Checks that `plan` and this build would go on with the same.
    pub(crate) fn check(&self, plan: &Plan, folder: &Folder) -> Result<(), Error> {
        let mut differences = plan.differences(&self.plan);
        if self.created_by != version() {
            differences.push(format!("the version is {} there and {} here", self.created_by, version()));
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::OtherPlan { folder: folder.path().to_owned(), differences })
    }

    /// A partition that is not done, and where it would go on.
    pub(crate) fn open_partition(&self) -> Option<(i32, i64)> {
        let ranges = &self.plan.ranges;
        let open =
            self.next.iter().find(|(partition, next)| ranges.get(*partition).is_some_and(|range| **next < range.end));
        open.map(|(partition, next)| (*partition, *next))
    }

    pub(crate) fn into_manifest(self, unreadable: Option<Unreadable>) -> Manifest {
        let Self { created_by, plan, parts, counts, .. } = self;
        Manifest {
            created_by,
            plan,
            rows: parts.iter().map(|part| part.rows).sum(),
            bytes: parts.iter().map(|part| part.bytes).sum(),
            outcomes: counts.outcomes,
            schema_ids: counts.schema_ids,
            tombstones: counts.tombstones,
            unreadable,
            parts,
        }
    }
}

/// What stands in a folder already.
pub(crate) enum Begun {
    Nothing,
    Unfinished(Progress),
    Finished(Manifest),
}

impl Begun {
    pub(crate) fn load(folder: &Path) -> Result<Self, Error> {
        if let Some(manifest) = load::<Manifest>(&folder.join(MANIFEST))? {
            return Ok(Self::Finished(manifest));
        }
        let progress = load::<Progress>(&folder.join(PROGRESS))?;
        Ok(progress.map_or(Self::Nothing, Self::Unfinished))
    }
}

/// What the export in `folder` was begun with, done or not; nothing when there is none.
///
/// # Errors
/// When its journal or manifest cannot be read.
pub fn begun(folder: &Path) -> Result<Option<Plan>, Error> {
    Ok(match Begun::load(folder)? {
        Begun::Nothing => None,
        Begun::Unfinished(progress) => Some(progress.plan),
        Begun::Finished(manifest) => Some(manifest.plan),
    })
}
