//! The list of drills.

use std::{future::Future, pin::Pin, sync::Arc};

use anyhow::Result;

use crate::{Arena, Outcome, drills};

/// How a drill is played.
pub(crate) type Play = fn(Arc<Arena>, u64) -> Pin<Box<dyn Future<Output = Result<Outcome>>>>;

/// One drill.
#[derive(Clone, Copy)]
pub struct Drill {
    /// The id of the fault, such as `F5`.
    pub fault: &'static str,
    /// The name to run it by.
    pub name: &'static str,
    /// What is broken.
    pub broken: &'static str,
    /// What is checked besides the invariants that every drill ends with.
    pub checked: &'static str,
    /// Whether it is short enough for every run of the tests.
    pub quick: bool,
    pub(crate) play: Play,
}

impl std::fmt::Debug for Drill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drill").field("fault", &self.fault).field("name", &self.name).finish_non_exhaustive()
    }
}

/// All drills, in the order of their faults.
pub fn all() -> Vec<Drill> {
    let mut all = [
        drills::broker::DRILLS,
        drills::edge::DRILLS,
        drills::hot_state::DRILLS,
        drills::ingest::DRILLS,
        drills::lifecycle::DRILLS,
        drills::live::DRILLS,
        drills::poison::DRILLS,
        drills::recovery::DRILLS,
        drills::redis::DRILLS,
        drills::registry::DRILLS,
        drills::sink::DRILLS,
        drills::stores::DRILLS,
    ]
    .concat();
    // F9 before F10.
    all.sort_by_key(|drill| drill.fault[1..].parse::<u32>().unwrap_or(u32::MAX));
    all
}

/// The drill of that name, or of that fault's id.
pub fn find(name: &str) -> Option<Drill> {
    all().into_iter().find(|drill| drill.name == name || drill.fault.eq_ignore_ascii_case(name))
}
