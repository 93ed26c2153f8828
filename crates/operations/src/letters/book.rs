//! Which letters were settled, kept from the acts in the log.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use flashsale_ledger::{Ledger, decode};
use flashsale_schemas::{
    Topic,
    events::{OperatorAct, OperatorAction},
};
use flashsale_streaming::{ScanRanges, View, ViewConfig};
use tokio::{runtime::Handle, sync::watch};

use super::{Id, LetterAct, LetterState, parse_id};
use crate::{Error, acts::name_of};

/// How long the acts may take to be read, and new ones to be seen.
const KNOWN_MAX: Duration = Duration::from_secs(10);

type Settled = Arc<Mutex<HashMap<Id, (LetterState, LetterAct)>>>;

/// The letters that were sent again or given up. A clone shares the table.
#[derive(Debug, Clone)]
pub(crate) struct LetterBook {
    settled: Settled,
    changes: watch::Receiver<u64>,
    view: Arc<View>,
}

fn lock(settled: &Settled) -> MutexGuard<'_, HashMap<Id, (LetterState, LetterAct)>> {
    // One insertion at a time: a panic elsewhere does not spoil it.
    settled.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LetterBook {
    pub(crate) async fn open(ledger: &Ledger) -> Result<Self, Error> {
        let decoder = ledger.decoder::<OperatorAct>().await?;
        let (settled, runtime) = (Settled::default(), Handle::current());
        let (told, changes) = watch::channel(0);
        let topics = vec![ledger.topic(Topic::OperatorActs).to_owned()];
        let config = ViewConfig { name: "letter-book".into(), topics };
        let into = settled.clone();
        let view = View::start(ledger.streaming(), config, move |record| {
            let _guard = runtime.enter();
            let act = record.payload.as_deref().map(|payload| decode(&decoder, payload));
            match act {
                Some(Ok(act)) => note(&into, act),
                Some(Err(error)) => tracing::warn!(%error, position = %record.position, "an act that cannot be read"),
                None => {}
            }
            told.send_modify(|changes| *changes += 1);
        })?;
        Ok(Self { settled, changes, view: Arc::new(view) })
    }

    pub(crate) async fn known(&self) -> Result<(), Error> {
        let known = tokio::time::timeout(KNOWN_MAX, self.view.caught_up()).await;
        known.map_err(|_| {
            Error::Refused("operator-acts cannot be read; does the topic exist (`flashsale migrate`)?".into())
        })
    }

    /// What was done about a letter.
    pub(crate) fn act(&self, letter: Id) -> Option<(LetterState, LetterAct)> {
        lock(&self.settled).get(&letter).cloned()
    }

    /// How many of the letters in `ranges` are settled.
    pub(crate) fn settled_in(&self, ranges: &ScanRanges) -> u64 {
        let settled = lock(&self.settled);
        let is_there = |(partition, offset): &&Id| ranges.get(partition).is_some_and(|range| range.contains(offset));
        settled.keys().filter(is_there).count() as u64
    }

    /// Waits until all of `letters` are settled here too; returns whether they are.
    pub(crate) async fn seen(&self, letters: &[Id]) -> bool {
        let mut changes = self.changes.clone();
        let seen = changes.wait_for(|_| {
            let settled = lock(&self.settled);
            letters.iter().all(|letter| settled.contains_key(letter))
        });
        matches!(tokio::time::timeout(KNOWN_MAX, seen).await, Ok(Ok(_)))
    }
}

fn note(settled: &Settled, act: OperatorAct) {
    let state = match act.action {
        OperatorAction::Redrive => LetterState::Redriven,
        OperatorAction::Discard => LetterState::Discarded,
        _ => return,
    };
    let Some(letter) = parse_id(&act.target) else { return };
    let action = name_of(act.action);
    let act = LetterAct { action, by: act.actor, at: act.at.to_string(), reason: act.reason };
    lock(settled).insert(letter, (state, act));
}
