//! Settling dead letters: sent again, or given up. Planned first, done once.
//!
//! select → try each as the consumer would, without writing → send → note the act. What is sent twice, because the
//! note was lost, counts once: units are rows, and a refusal carries where it stood first.

use std::{ops::ControlFlow, sync::Arc};

use flashsale_ledger::SINK_POSTGRES;
use flashsale_schemas::{Topic, events::OperatorAction};
use flashsale_sql::{Applied, Apply, Decided, Entry, Fault, Read, Store};
use flashsale_streaming::{Outcome, Record, RedriveError, origin_of, redrive};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Id, Letter, LetterState, id_text, parse_id};
use crate::{Actor, Error, Operations, acts::act};

/// Letters that one call settles.
const SETTLED_MAX: usize = 5_000;
/// Letters whose effect is tried in one transaction.
const PROBED_MAX: usize = 500;
/// The name under which effects are tried; the transaction is taken back.
const PROBE: &str = "flashsale-redrive-plan";

/// What the consumer makes of a record.
pub type Trial = Arc<dyn Fn(&Record) -> Outcome<Decided> + Send + Sync>;

/// Which letters are meant; only open ones are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Ids(Vec<String>),
    /// All of a cause.
    Class(String),
    /// All.
    All,
}

/// What would become of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LetterVerdict {
    /// It would change something.
    WouldApply,
    /// Its effect is there already.
    WouldBeDuplicate,
    /// It would come back.
    StillFailing,
    /// It would be given up.
    WouldDiscard,
    /// It was settled before.
    NotOpen,
    /// There is no such letter, or it does not say where it came from.
    UnknownLetter,
}

/// A letter and what would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlannedLetter {
    /// Its id.
    pub id: String,
    /// What would become of it.
    pub verdict: LetterVerdict,
    /// Why.
    #[schema(required = true)]
    pub detail: Option<String>,
    /// Whether it was sent.
    pub sent: bool,
}

/// Letters to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedrivePlan {
    /// Whether nothing was sent.
    pub dry_run: bool,
    /// The letters; at most 5,000.
    pub letters: Vec<PlannedLetter>,
    /// How many would change something.
    pub would_apply: usize,
    /// How many would change nothing.
    pub would_be_duplicate: usize,
    /// How many would come back.
    pub still_failing: usize,
    /// How many were settled before, or are unknown.
    pub not_open: usize,
    /// How many were sent.
    pub sent: usize,
    /// Whether more letters were meant than one call takes.
    pub more: bool,
}

/// Letters to be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscardPlan {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The letters; at most 5,000.
    pub letters: Vec<PlannedLetter>,
    /// How many were given up.
    pub discarded: usize,
    /// Whether more letters were meant than one call takes.
    pub more: bool,
}

/// The letters that a selection means.
#[derive(Default)]
struct Selected {
    open: Vec<(Id, Letter, Record)>,
    others: Vec<PlannedLetter>,
    more: bool,
}

fn planned(id: String, verdict: LetterVerdict, detail: Option<String>) -> PlannedLetter {
    PlannedLetter { id, verdict, detail, sent: false }
}

impl Operations {
    /// Says what would become of letters that are sent again and, unless `dry_run`, sends those that would not come
    /// back; with `failing` also those that would.
    ///
    /// # Errors
    /// When the log or Postgres do not answer. What was sent stays sent, and sending it again has no effect.
    pub async fn redrive(
        &self,
        selection: &Selection,
        trial: Trial,
        actor: &Actor,
        (dry_run, failing): (bool, bool),
    ) -> Result<RedrivePlan, Error> {
        let Selected { open, others, more } = self.select(selection).await?;
        let mut letters = self.try_out(&open, trial).await?;
        let mut sent = Vec::new();
        if !dry_run {
            for ((id, _, record), planned) in open.iter().zip(&mut letters) {
                use LetterVerdict::{StillFailing, WouldApply, WouldBeDuplicate};
                let is_sent = match planned.verdict {
                    WouldApply | WouldBeDuplicate => true,
                    StillFailing => failing && self.is_ours(record),
                    _ => false,
                };
                if is_sent {
                    match redrive(self.ledger.producer(), record).await {
                        Ok(()) => {
                            planned.sent = true;
                            sent.push(*id);
                        }
                        Err(RedriveError::NotDelivered(error)) => {
                            self.note(&sent, &open, OperatorAction::Redrive, actor, None).await?;
                            return Err(error.into());
                        }
                        Err(error) => planned.detail = Some(error.to_string()),
                    }
                }
            }
            self.note(&sent, &open, OperatorAction::Redrive, actor, None).await?;
        }
        letters.extend(others);
        let count = |verdict: LetterVerdict| letters.iter().filter(|one| one.verdict == verdict).count();
        Ok(RedrivePlan {
            dry_run,
            would_apply: count(LetterVerdict::WouldApply),
            would_be_duplicate: count(LetterVerdict::WouldBeDuplicate),
            still_failing: count(LetterVerdict::StillFailing),
            not_open: count(LetterVerdict::NotOpen) + count(LetterVerdict::UnknownLetter),
            sent: sent.len(),
            letters,
            more,
        })
    }

    /// Gives letters up, for a reason; with `dry_run` only says which.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn discard(
        &self,
        selection: &Selection,
        reason: &str,
        actor: &Actor,
        dry_run: bool,
    ) -> Result<DiscardPlan, Error> {
        let Selected { open, others, more } = self.select(selection).await?;
        let ids: Vec<Id> = open.iter().map(|(id, ..)| *id).collect();
        if !dry_run {
            self.note(&ids, &open, OperatorAction::Discard, actor, Some(reason)).await?;
        }
        let mut letters: Vec<PlannedLetter> =
            ids.iter().map(|id| planned(id_text(*id), LetterVerdict::WouldDiscard, None)).collect();
        letters.extend(others);
        Ok(DiscardPlan { dry_run, discarded: if dry_run { 0 } else { ids.len() }, letters, more })
    }

    async fn select(&self, selection: &Selection) -> Result<Selected, Error> {
        let mut ranges = self.letter_ranges().await?;
        let mut selected = Selected::default();
        let ids: Option<Vec<Id>> = match selection {
            Selection::Ids(texts) => {
                let unknown = |text: &&String| {
                    parse_id(text).is_none_or(|(partition, offset)| {
                        ranges.get(&partition).is_none_or(|range| !range.contains(&offset))
                    })
                };
                let (unknown, known): (Vec<&String>, Vec<&String>) = texts.iter().partition(unknown);
                let detail = || Some("there is no such letter any more".to_owned());
                selected
                    .others
                    .extend(unknown.into_iter().map(|id| planned(id.clone(), LetterVerdict::UnknownLetter, detail())));
                Some(known.into_iter().filter_map(|text| parse_id(text)).collect())
            }
            _ => None,
        };
        if let Some(ids) = &ids {
            // Only what is asked for is read.
            ranges.retain(|partition, range| {
                let offsets = || ids.iter().filter(|(number, _)| number == partition).map(|(_, offset)| *offset);
                let Some((first, last)) = offsets().min().zip(offsets().max()) else { return false };
                *range = first..last + 1;
                true
            });
        }
        let class = match selection {
            Selection::Class(class) => Some(class.clone()),
            _ => None,
        };
        let topic: Arc<str> = self.ledger.topic(Topic::PurchaseDecisionsDlq).into();
        let ids: Option<std::collections::HashSet<Id>> = ids.map(|ids| ids.into_iter().collect());
        self.each_letter(ranges, selected, move |selected, record, letter| {
            let id = (record.partition, record.offset);
            let is_meant = ids.as_ref().is_none_or(|ids| ids.contains(&id))
                && class.as_ref().is_none_or(|class| *class == letter.class);
            match letter.state {
                _ if !is_meant => {}
                LetterState::Open if selected.open.len() >= SETTLED_MAX => {
                    selected.more = true;
                    return ControlFlow::Break(());
                }
                LetterState::Open => selected.open.push((id, letter, record.to_record(&topic))),
                _ if ids.is_some() => {
                    let detail = letter.act.as_ref().map(|act| format!("{} by {} at {}", act.action, act.by, act.at));
                    selected.others.push(planned(letter.id, LetterVerdict::NotOpen, detail));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .await
    }

    /// Whether a letter came from a topic of ours that a letter may go back to.
    fn is_ours(&self, record: &Record) -> bool {
        let source = record.headers.iter().find(|(name, _)| name == "dlq.topic");
        source.is_some_and(|(_, topic)| topic == self.ledger.topic(Topic::PurchaseDecisions).as_bytes())
    }

    /// What would become of each letter if it were sent again.
    async fn try_out(&self, open: &[(Id, Letter, Record)], trial: Trial) -> Result<Vec<PlannedLetter>, Error> {
        let mut planned_letters = Vec::new();
        let mut usable: Vec<(usize, Decided, Option<String>)> = Vec::new();
        for (index, (id, letter, record)) in open.iter().enumerate() {
            let (verdict, detail) = if !self.is_ours(record) {
                (LetterVerdict::UnknownLetter, Some("it does not say that it came from purchase-decisions".to_owned()))
            } else {
                match trial(record) {
                    Outcome::Emit(decided) => {
                        usable.push((index, decided, origin_of(record)));
                        // Until Postgres was asked.
                        (LetterVerdict::WouldApply, None)
                    }
                    Outcome::Skip => (LetterVerdict::WouldBeDuplicate, Some("the consumer would pass over it".into())),
                    Outcome::Reject(rejection) => {
                        (LetterVerdict::StillFailing, Some(format!("{}: {}", rejection.class, rejection.message)))
                    }
                    Outcome::Fail(reason) => {
                        return Err(Error::Refused(format!("{} cannot be tried now: {reason}", letter.id)));
                    }
                }
            };
            planned_letters.push(planned(id_text(*id), verdict, detail));
        }
        let Some(store) = &self.store else {
            return Err(Error::Refused(
                "what letters would do can only be seen with Postgres; set FLASHSALE_DATABASE_URL".into(),
            ));
        };
        for chunk in usable.chunks(PROBED_MAX) {
            for (index, (verdict, detail)) in probe(store, chunk).await? {
                planned_letters[index].verdict = verdict;
                planned_letters[index].detail = detail;
            }
        }
        Ok(planned_letters)
    }

    async fn note(
        &self,
        ids: &[Id],
        open: &[(Id, Letter, Record)],
        action: OperatorAction,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let acts: Vec<_> = open
            .iter()
            .filter(|(id, ..)| ids.contains(id))
            .map(|(id, letter, _)| {
                let detail = json!({ "class": letter.class, "consumer": letter.consumer, "source": letter.source });
                act(action, &id_text(*id), actor, reason, Some(&detail))
            })
            .collect();
        self.record_all(&acts).await?;
        if !self.letters.seen(ids).await {
            tracing::warn!(letters = ids.len(), "the acts are in the log, but were not seen there");
        }
        Ok(())
    }
}

type Found = (LetterVerdict, Option<String>);

/// Asks Postgres what it would do with each, without doing it. Each stands for a partition of its own, so that the
/// answer tells them apart.
async fn probe(store: &Store, chunk: &[(usize, Decided, Option<String>)]) -> Result<Vec<(usize, Found)>, Error> {
    let mut found: Vec<(usize, Found)> = Vec::new();
    let mut left: Vec<usize> = (0..chunk.len()).collect();
    while !left.is_empty() {
        match attempt(store, chunk, &left).await {
            Ok(Applied::Written(results)) => {
                for (place, (applied, _)) in left.iter().zip(results) {
                    let verdict = if applied > 0 { LetterVerdict::WouldApply } else { LetterVerdict::WouldBeDuplicate };
                    found.push((chunk[*place].0, (verdict, None)));
                }
                return Ok(found);
            }
            Ok(Applied::Conflicts(conflicts)) => {
                for conflict in &conflicts {
                    let detail = format!("conflict: postgres holds {}", conflict.stored);
                    found.push((chunk[left[conflict.entry]].0, (LetterVerdict::StillFailing, Some(detail))));
                }
                let gone: Vec<usize> = conflicts.iter().map(|conflict| left[conflict.entry]).collect();
                left.retain(|place| !gone.contains(place));
            }
            Err(error) if error.fault() == Fault::Data && left.len() > 1 => {
                for place in std::mem::take(&mut left) {
                    found.extend(Box::pin(probe(store, &chunk[place..=place])).await?);
                }
            }
            Err(error) if error.fault() == Fault::Data => {
                let detail = format!("constraint: {}", crate::chain(&error));
                found.push((chunk[left[0]].0, (LetterVerdict::StillFailing, Some(detail))));
                return Ok(found);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

async fn attempt(
    store: &Store,
    chunk: &[(usize, Decided, Option<String>)],
    places: &[usize],
) -> Result<Applied, flashsale_sql::Error> {
    let mut apply = Apply::default();
    for (number, place) in (0..).zip(places) {
        let (_, decided, origin) = &chunk[*place];
        apply.reads.push(Read { topic: PROBE, partition: number, next: 1, consumed: 1, rejected: 0, skipped: 0 });
        apply.entries.push(Entry { read: apply.reads.len() - 1, offset: 0, decided, origin: origin.clone() });
    }
    store.probe(&format!("{PROBE}-{SINK_POSTGRES}"), &apply).await
}
