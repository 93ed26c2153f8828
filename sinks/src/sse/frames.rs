//! What a listener is sent: events in the wire format, and which of them lead from one state to the next.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html>

use std::{fmt, str::FromStr, sync::Arc};

use axum::body::Bytes;
use flashsale_core::{EndReason, Listing, Micros, SaleId, SaleState, SaleStatus, Sku};
use serde::Serialize;

/// A place in the history of a sale: after so many state changes and so many sold units. As text it is an event's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    sale_id: SaleId,
    event: u64,
    sequence: u64,
}

impl Place {
    fn of(status: &SaleStatus) -> Self {
        let (event, sequence) = (status.as_of_event, status.as_of_sequence);
        Self { sale_id: status.config.sale_id.clone(), event, sequence }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.sale_id, self.event, self.sequence)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(());
        let sale_id = SaleId::new(next()?).map_err(drop)?;
        let mut number = || next()?.parse().map_err(drop);
        let place = Self { sale_id, event: number()?, sequence: number()? };
        if parts.next().is_some() { Err(()) } else { Ok(place) }
    }
}

/// What a listener knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing yet.
    Nothing,
    /// Everything up to a place.
    UpTo(Place),
    /// It says something that we do not understand.
    Unreadable,
}

/// A sale as it stands, with the frames that tell of it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) status: Arc<SaleStatus>,
    stock: Bytes,
    /// The last change of state, when the state before it was seen here and nothing else changed with it.
    change: Option<Change>,
}

#[derive(Debug)]
struct Change {
    alone: Bytes,
    with_stock: Bytes,
}

impl Change {
    fn to(status: &SaleStatus) -> Self {
        let place = Place::of(status);
        let alone = state_change(status, &place);
        // Who loses the stream between the two has seen the stock and not the change.
        let between = Place { event: place.event.saturating_sub(1), ..place };
        let with_stock = [stock_update(status, &between), alone.clone()].concat().into();
        Self { alone, with_stock }
    }
}

#[derive(Serialize)]
struct StockUpdate<'a> {
    sku: &'a Sku,
    stock: u64,
}

#[derive(Serialize)]
struct StateChange<'a> {
    sku: &'a Sku,
    state: SaleState,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<EndReason>,
}

#[derive(Serialize)]
struct Reset<'a> {
    sku: &'a Sku,
}

impl Snapshot {
    /// The first state that is known of a sale here.
    pub(crate) fn first(status: Arc<SaleStatus>) -> Self {
        Self { stock: stock_update(&status, &Place::of(&status)), change: None, status }
    }

    /// The state after this one.
    pub(crate) fn next(&self, status: Arc<SaleStatus>) -> Self {
        let before = &self.status;
        let same_event = before.config.sale_id == status.config.sale_id && before.as_of_event == status.as_of_event;
        // Also when only units were sold since: who comes late is still led over the change.
        let changed = is_change_of_state(before, &status) || (same_event && self.change.is_some());
        let change = changed.then(|| Change::to(&status));
        Self { stock: stock_update(&status, &Place::of(&status)), change, status }
    }

    /// What leads from what a listener knows to this state, and what it knows then; nothing when it knows as much, or
    /// more than this instance does. `now` is what the server's clock says.
    pub(crate) fn lead(&self, known: &Known, now: Micros) -> Option<(Frames, Place)> {
        let here = Place::of(&self.status);
        let place = match known {
            Known::Nothing => return Some((Frames::Initial(self.initial(now, &here)), here)),
            Known::Unreadable => return Some((Frames::Reset(self.reset(now, &here)), here)),
            Known::UpTo(place) => place,
        };
        if place.sale_id < here.sale_id {
            return Some((Frames::Reset(self.reset(now, &here)), here));
        }
        // Elsewhere more was known: here it will come. Till then nothing is told twice, and no stock rises.
        if place.sale_id > here.sale_id || place.event > here.event || place.sequence > here.sequence {
            return None;
        }
        let has_sold = here.sequence > place.sequence;
        let frames = match (here.event - place.event, &self.change) {
            (0, _) if has_sold => Frames::Step(self.stock.clone()),
            (0, _) => return None,
            (1, Some(change)) if has_sold => Frames::Step(change.with_stock.clone()),
            (1, Some(change)) => Frames::Step(change.alone.clone()),
            (1, None) => Frames::Initial(self.initial(now, &here)),
            _ => Frames::Reset(self.reset(now, &here)),
        };
        Some((frames, here))
    }

    fn initial(&self, now: Micros, place: &Place) -> Bytes {
        event("initial", place, &Listing::of(&self.status, now))
    }

    fn reset(&self, now: Micros, place: &Place) -> Bytes {
        // Who loses the stream before the whole of it has come is led from the beginning.
        let nowhere = Place { event: 0, sequence: 0, ..place.clone() };
        let reset = event("reset", &nowhere, &Reset { sku: &self.status.config.sku });
        [reset, self.initial(now, place)].concat().into()
    }
}

/// Frames for one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frames {
    /// The whole state.
    Initial(Bytes),
    /// The whole state, and the word that something before it is missing.
    Reset(Bytes),
    /// What changed.
    Step(Bytes),
}

/// Whether one event lies between two states, and it changed the state and nothing else but the stock.
fn is_change_of_state(before: &SaleStatus, after: &SaleStatus) -> bool {
    let same = before.config == after.config && before.paused == after.paused;
    same && before.as_of_event + 1 == after.as_of_event && before.state != after.state
}

fn stock_update(status: &SaleStatus, place: &Place) -> Bytes {
    event("stock-update", place, &StockUpdate { sku: &status.config.sku, stock: status.stock() })
}

fn state_change(status: &SaleStatus, place: &Place) -> Bytes {
    let data = StateChange { sku: &status.config.sku, state: status.state, reason: status.end_reason };
    event("state-change", place, &data)
}

fn event(name: &str, place: &Place, data: &impl Serialize) -> Bytes {
    // Plain data without maps: it cannot fail. JSON holds no line break, which would end the field.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("id: {place}\nevent: {name}\ndata: {data}\n\n").into()
}

/// The first bytes of a stream: when to come back after it breaks, and something at once, so that proxies pass on the
/// answer's head.
pub(crate) fn opening(retry_ms: u64) -> Bytes {
    format!("retry: {retry_ms}\n: welcome\n\n").into()
}

/// A comment that says that the stream lives.
pub(crate) const HEARTBEAT: Bytes = Bytes::from_static(b": heartbeat\n\n");
