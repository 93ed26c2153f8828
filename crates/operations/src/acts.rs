//! What operators did: who, what, when. Kept in the log.

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use flashsale_core::Micros;
use flashsale_ledger::Ledger;
use flashsale_schemas::events::{OperatorAct, OperatorAction};
use flashsale_streaming::ScanFrom;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Error, Operations, metrics};

/// Longest name of an actor, in characters.
const ACTOR_CHARS_MAX: usize = 64;

/// Who acts, as they name themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(String);

/// Why a name is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {ACTOR_CHARS_MAX} printable characters")]
pub struct InvalidActor;

impl FromStr for Actor {
    type Err = InvalidActor;

    fn from_str(name: &str) -> Result<Self, InvalidActor> {
        let name = name.trim();
        let is_name = (1..=ACTOR_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if is_name { Ok(Self(name.to_owned())) } else { Err(InvalidActor) }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that an operator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OperatorAct)]
pub struct Act {
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who.
    pub by: String,
    /// What, such as `PAUSE` or `REDRIVE`.
    #[schema(example = "PAUSE")]
    pub action: String,
    /// To what: a consumer, a SKU, a topic, or a dead letter.
    pub target: String,
    /// Why.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// What exactly.
    #[schema(required = true, value_type = Option<Object>)]
    pub detail: Option<Value>,
}

impl From<OperatorAct> for Act {
    fn from(act: OperatorAct) -> Self {
        Self {
            at: act.at.to_string(),
            by: act.actor,
            action: name_of(act.action),
            target: act.target,
            reason: act.reason,
            detail: act.detail.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))),
        }
    }
}

/// The symbol of an action.
pub(crate) fn name_of(action: OperatorAction) -> String {
    match serde_json::to_value(action) {
        Ok(Value::String(name)) => name,
        _ => "UNKNOWN".to_owned(),
    }
}

/// The record of an act that happens now.
pub(crate) fn act(
    action: OperatorAction,
    target: &str,
    actor: &Actor,
    reason: Option<&str>,
    detail: Option<&Value>,
) -> OperatorAct {
    OperatorAct {
        act_id: Uuid::now_v7().to_string(),
        action,
        target: target.to_owned(),
        actor: actor.to_string(),
        at: Micros::from_utc(SystemTime::now().into()),
        reason: reason.map(str::to_owned),
        detail: detail.map(Value::to_string),
    }
}

/// Writes to the log what an operator did.
///
/// # Errors
/// When the log does not take it.
pub async fn record(
    ledger: &Ledger,
    action: OperatorAction,
    target: &str,
    actor: &Actor,
    detail: Option<Value>,
) -> Result<(), Error> {
    record_all(ledger, &[act(action, target, actor, None, detail.as_ref())]).await
}

async fn record_all(ledger: &Ledger, acts: &[OperatorAct]) -> Result<(), Error> {
    ledger.publish_acts(acts).await?;
    for act in acts {
        let (action, OperatorAct { target, actor, .. }) = (name_of(act.action), act);
        tracing::info!(action, target, actor, "an operator acted");
        metrics::acted(&action);
    }
    Ok(())
}

impl Operations {
    /// Writes to the log what an operator did.
    ///
    /// # Errors
    /// When the log does not take it.
    pub async fn record(
        &self,
        action: OperatorAction,
        target: &str,
        actor: &Actor,
        detail: Option<Value>,
    ) -> Result<(), Error> {
        record(&self.ledger, action, target, actor, detail).await
    }

    pub(crate) async fn record_all(&self, acts: &[OperatorAct]) -> Result<(), Error> {
        record_all(&self.ledger, acts).await
    }

    /// The newest acts, the newest first.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn acts(&self, limit: usize) -> Result<Vec<Act>, Error> {
        let newest = Arc::new(Mutex::new(VecDeque::with_capacity(limit)));
        let into = newest.clone();
        self.each_act(move |act| {
            let mut newest = into.lock().unwrap_or_else(PoisonError::into_inner);
            if newest.len() >= limit {
                newest.pop_front();
            }
            newest.push_back(act);
        })
        .await?;
        let newest = std::mem::take(&mut *newest.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(newest.into_iter().rev().map(Act::from).collect())
    }

    /// Calls `each` with every act of the log, in order.
    pub(crate) async fn each_act(&self, mut each: impl FnMut(OperatorAct) + Send + 'static) -> Result<(), Error> {
        let decoder = self.ledger.decoder::<OperatorAct>().await?;
        let take = move |_, act: Result<OperatorAct, _>| match act {
            Ok(act) => each(act),
            Err(error) => tracing::warn!(%error, "an act that cannot be read"),
        };
        // Who asked may go away.
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        self.ledger.pass(decoder, ScanFrom::Beginning, |_| true, &stop, |_| (), take).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        assert_eq!(" kim ".parse::<Actor>().map(|actor| actor.to_string()), Ok("kim".to_owned()));
        for bad in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Actor>(), Err(InvalidActor), "{bad:?}");
        }
    }
}
