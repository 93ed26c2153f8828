//! What the topics carry, field for field as in `avro/`.
//!
//! Names are those of the schemas, times are [`Micros`] whatever their unit on the wire. `Unknown`
//! is what a symbol newer than this build reads as; nothing writes it.

use flashsale_core::{EndReason, Micros, SaleConfig, SaleId, SaleStatus, Sku, decision::Change, ids::InvalidId, sale};
use serde::{Deserialize, Serialize};

use crate::{Event, Topic, datum::ByHand};

pub(crate) mod decision;
mod operator;

pub use operator::{ConsumerControl, ConsumerPositions, ControlAction, OperatorAct, OperatorAction, PartitionPosition};

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// A unit was sold.
    Accepted,
    /// The shopper held a unit already.
    AlreadyPurchased,
    /// No unit was left.
    SoldOut,
    /// The sale took no purchases; the reason says why.
    SaleNotActive,
    /// Newer than this build.
    Unknown,
}

/// Who answered an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DecidedBy {
    /// The script in Redis.
    Redis,
    /// An ingest instance that could refuse without asking.
    Edge,
    /// Newer than this build.
    Unknown,
}

/// What became of one attempt to buy. `Text` is [`String`], or borrowed from a record or from whoever decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseDecision<Text = String> {
    /// Names the decision; of an accepted one see [`accepted_id`].
    pub decision_id: Text,
    /// The sale that the attempt named.
    pub sale_id: Text,
    /// What was to be bought.
    pub sku: Text,
    /// Who wanted it.
    pub user_id: Text,
    /// Which try of theirs.
    pub request_id: Text,
    /// The answer.
    pub outcome: Outcome,
    /// A [`flashsale_core::NotActive`], when the sale was not active.
    pub reason: Option<Text>,
    /// The unit sold now, or held already.
    pub sequence: Option<i64>,
    /// Units sold after this decision; none when decided at the edge.
    pub as_of_sequence: Option<i64>,
    /// Units left after this decision; none when decided at the edge.
    pub remaining_stock: Option<i64>,
    /// When it was decided, by the Redis clock.
    pub decided_at: Micros,
    /// When the attempt arrived, by the clock of the ingest instance.
    pub received_at: Option<Micros>,
    /// Who answered.
    pub decided_by: DecidedBy,
    /// The instance that published this.
    pub ingest_id: Text,
}

impl Event for PurchaseDecision {
    const TOPIC: Topic = Topic::PurchaseDecisions;
    const BY_HAND: Option<ByHand<Self>> = Some(decision::BY_HAND);
}

impl<Text> PurchaseDecision<Text> {
    /// The same with every text passed through `change`.
    pub fn map<Changed>(self, change: impl Fn(Text) -> Changed) -> PurchaseDecision<Changed> {
        PurchaseDecision {
            decision_id: change(self.decision_id),
            sale_id: change(self.sale_id),
            sku: change(self.sku),
            user_id: change(self.user_id),
            request_id: change(self.request_id),
            outcome: self.outcome,
            reason: self.reason.map(&change),
            sequence: self.sequence,
            as_of_sequence: self.as_of_sequence,
            remaining_stock: self.remaining_stock,
            decided_at: self.decided_at,
            received_at: self.received_at,
            decided_by: self.decided_by,
            ingest_id: change(self.ingest_id),
        }
    }
}

/// The decision id of the sale of unit `sequence`: the same however often it is published.
pub fn accepted_id(sale_id: &SaleId, sequence: u64) -> String {
    format!("{sale_id}-{sequence}")
}

/// The event id of change `event_number` of a sale.
pub fn event_id(sale_id: &SaleId, event_number: u64) -> String {
    format!("{sale_id}-e{event_number}")
}

/// What happened to a sale; [`Change`] on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChangeKind {
    /// It was set up.
    Created,
    /// Its configuration changed.
    Updated,
    /// It became active.
    Started,
    /// An operator stopped it for now.
    Paused,
    /// An operator let it go on.
    Resumed,
    /// It ended.
    Ended,
    /// It was removed.
    Deleted,
    /// Newer than this build.
    Unknown,
}

impl From<Change> for ChangeKind {
    fn from(change: Change) -> Self {
        match change {
            Change::Created => Self::Created,
            Change::Updated => Self::Updated,
            Change::Started => Self::Started,
            Change::Paused => Self::Paused,
            Change::Resumed => Self::Resumed,
            Change::Ended => Self::Ended,
            Change::Deleted => Self::Deleted,
        }
    }
}

/// Where a sale stands; [`sale::SaleState`] on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SaleState {
    /// Before the start.
    Upcoming,
    /// From the start until the end.
    Active,
    /// For ever.
    Ended,
    /// Newer than this build.
    Unknown,
}

impl From<sale::SaleState> for SaleState {
    fn from(state: sale::SaleState) -> Self {
        match state {
            sale::SaleState::Upcoming => Self::Upcoming,
            sale::SaleState::Active => Self::Active,
            sale::SaleState::Ended => Self::Ended,
        }
    }
}

impl TryFrom<SaleState> for sale::SaleState {
    type Error = InvalidEvent;

    fn try_from(state: SaleState) -> Result<Self, InvalidEvent> {
        match state {
            SaleState::Upcoming => Ok(Self::Upcoming),
            SaleState::Active => Ok(Self::Active),
            SaleState::Ended => Ok(Self::Ended),
            SaleState::Unknown => Err(InvalidEvent::new("state", "is not known to this build")),
        }
    }
}

/// What a try to buy must bring along; [`sale::Challenge`] on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Challenge {
    /// Nothing.
    None,
    /// The solution of a puzzle of ours.
    ProofOfWork,
    /// The word of a CAPTCHA provider.
    Captcha,
    /// Newer than this build, which cannot check it: it does not read the sale, and so sells nothing of it.
    Unknown,
}

impl From<sale::Challenge> for Challenge {
    fn from(challenge: sale::Challenge) -> Self {
        match challenge {
            sale::Challenge::None => Self::None,
            sale::Challenge::ProofOfWork => Self::ProofOfWork,
            sale::Challenge::Captcha => Self::Captcha,
        }
    }
}

impl TryFrom<Challenge> for sale::Challenge {
    type Error = InvalidEvent;

    fn try_from(challenge: Challenge) -> Result<Self, InvalidEvent> {
        match challenge {
            Challenge::None => Ok(Self::None),
            Challenge::ProofOfWork => Ok(Self::ProofOfWork),
            Challenge::Captcha => Ok(Self::Captcha),
            Challenge::Unknown => Err(InvalidEvent::new("challenge", "is not known to this build")),
        }
    }
}

/// A change of a sale, with the whole sale after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleEvent {
    /// See [`event_id`].
    pub event_id: String,
    /// The sale.
    pub sale_id: String,
    /// What it sells.
    pub sku: String,
    /// What happened.
    pub kind: ChangeKind,
    /// Number of the change within the sale, from 1 without holes.
    pub event_number: i64,
    /// When it happened, by the Redis clock.
    pub occurred_at: Micros,
    /// An [`EndReason`], once the sale has ended.
    pub reason: Option<String>,
    /// The state after the change.
    pub state: SaleState,
    /// Whether an operator has stopped the sale for now.
    pub paused: bool,
    /// Units sold when it happened.
    pub as_of_sequence: i64,
    /// What people call the SKU.
    pub product_name: String,
    /// Units for sale in all.
    pub initial_stock: i64,
    /// First instant of the sale; whole milliseconds.
    #[serde(with = "millis")]
    pub start_at: Micros,
    /// First instant after the sale; whole milliseconds.
    #[serde(with = "millis")]
    pub end_at: Micros,
    /// What a try must bring along.
    pub challenge: Challenge,
}

impl Event for SaleEvent {
    const TOPIC: Topic = Topic::SaleEvents;
}

/// A sale as of one position of its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "SaleStatus")]
pub struct SaleStatusRecord {
    /// What is sold.
    pub sku: String,
    /// The newest sale of the SKU.
    pub sale_id: String,
    /// What people call the SKU.
    pub product_name: String,
    /// The state as of `as_of_event`.
    pub state: SaleState,
    /// Whether an operator has stopped the sale for now.
    pub paused: bool,
    /// Units left.
    pub stock: i64,
    /// Units for sale in all.
    pub initial_stock: i64,
    /// Units sold.
    pub sold: i64,
    /// First instant of the sale; whole milliseconds.
    #[serde(with = "millis")]
    pub start_at: Micros,
    /// First instant after the sale; whole milliseconds.
    #[serde(with = "millis")]
    pub end_at: Micros,
    /// An [`EndReason`], once the sale has ended.
    pub end_reason: Option<String>,
    /// The highest sequence of a sold unit seen.
    pub as_of_sequence: i64,
    /// The number of the last change seen.
    pub as_of_event: i64,
    /// When the newest of what was seen happened.
    pub as_of: Micros,
    /// What a try must bring along.
    pub challenge: Challenge,
}

impl Event for SaleStatusRecord {
    const TOPIC: Topic = Topic::SaleStatus;
}

/// Whether a reconciliation was to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReconciliationMode {
    /// Only look.
    DryRun,
    /// Put right what can be.
    Repair,
    /// Newer than this build.
    Unknown,
}

/// What set a reconciliation off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReconciliationTrigger {
    /// Its time had come.
    Schedule,
    /// The processor started.
    Startup,
    /// A sale had ended.
    SaleEnded,
    /// An operator asked for it.
    Demand,
    /// Newer than this build.
    Unknown,
}

/// One thing that two stores tell differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discrepancy {
    /// Which sort, such as `MISSING_IN_POSTGRES`.
    pub class: String,
    /// What it is about, such as a decision id.
    pub subject: String,
    /// What each store says, for people.
    pub detail: String,
    /// Whether the run put it right.
    pub repaired: bool,
}

/// What one reconciliation found in one sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// The run; it writes one record a sale.
    pub run_id: String,
    /// What the sale sells.
    pub sku: String,
    /// The sale.
    pub sale_id: String,
    /// When the comparison was finished.
    pub at: Micros,
    /// Whether anything was to be changed.
    pub mode: ReconciliationMode,
    /// What set the run off.
    pub trigger: ReconciliationTrigger,
    /// What was found; empty when all agree.
    pub discrepancies: Vec<Discrepancy>,
    /// How many sold units were compared.
    pub compared: i64,
}

impl Event for Reconciliation {
    const TOPIC: Topic = Topic::Reconciliations;
}

/// A record that matches its schema and still says something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field {field}: {problem}")]
pub struct InvalidEvent {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl InvalidEvent {
    fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

/// A change is a snapshot as well: it carries the whole sale.
impl TryFrom<&SaleEvent> for SaleStatus {
    type Error = InvalidEvent;

    fn try_from(event: &SaleEvent) -> Result<Self, InvalidEvent> {
        let end_reason = parse_end_reason("reason", event.reason.as_deref())?;
        if event.kind == ChangeKind::Ended && end_reason.is_none() {
            return Err(InvalidEvent::new("reason", "must say why the sale ended"));
        }
        Ok(Self {
            config: SaleConfig {
                sale_id: parse_id("sale_id", SaleId::new(&event.sale_id))?,
                sku: parse_id("sku", Sku::new(&event.sku))?,
                product_name: event.product_name.clone(),
                initial_stock: parse_count("initial_stock", event.initial_stock)?,
                start: event.start_at,
                end: event.end_at,
                challenge: event.challenge.try_into()?,
            },
            state: event.state.try_into()?,
            end_reason,
            paused: event.paused,
            as_of_sequence: parse_count("as_of_sequence", event.as_of_sequence)?,
            as_of_event: parse_count("event_number", event.event_number)?,
            as_of: event.occurred_at,
        })
    }
}

impl From<&SaleStatus> for SaleStatusRecord {
    fn from(status: &SaleStatus) -> Self {
        let SaleConfig { sale_id, sku, product_name, initial_stock, start, end, challenge } = &status.config;
        Self {
            sku: sku.to_string(),
            sale_id: sale_id.to_string(),
            product_name: product_name.clone(),
            state: status.state.into(),
            paused: status.paused,
            stock: long(status.stock()),
            initial_stock: long(*initial_stock),
            sold: long(status.as_of_sequence),
            start_at: *start,
            end_at: *end,
            end_reason: status.end_reason.map(|reason| reason.as_str().to_owned()),
            as_of_sequence: long(status.as_of_sequence),
            as_of_event: long(status.as_of_event),
            as_of: status.as_of,
            challenge: (*challenge).into(),
        }
    }
}

impl TryFrom<&SaleStatusRecord> for SaleStatus {
    type Error = InvalidEvent;

    fn try_from(record: &SaleStatusRecord) -> Result<Self, InvalidEvent> {
        Ok(Self {
            config: SaleConfig {
                sale_id: parse_id("sale_id", SaleId::new(&record.sale_id))?,
                sku: parse_id("sku", Sku::new(&record.sku))?,
                product_name: record.product_name.clone(),
                initial_stock: parse_count("initial_stock", record.initial_stock)?,
                start: record.start_at,
                end: record.end_at,
                challenge: record.challenge.try_into()?,
            },
            state: record.state.try_into()?,
            end_reason: parse_end_reason("end_reason", record.end_reason.as_deref())?,
            paused: record.paused,
            as_of_sequence: parse_count("as_of_sequence", record.as_of_sequence)?,
            as_of_event: parse_count("as_of_event", record.as_of_event)?,
            as_of: record.as_of,
        })
    }
}

fn parse_id<T>(field: &'static str, id: Result<T, InvalidId>) -> Result<T, InvalidEvent> {
    id.map_err(|problem| InvalidEvent::new(field, problem.0))
}

fn parse_count(field: &'static str, count: i64) -> Result<u64, InvalidEvent> {
    u64::try_from(count).map_err(|_| InvalidEvent::new(field, format!("must not be negative, is {count}")))
}

fn parse_end_reason(field: &'static str, name: Option<&str>) -> Result<Option<EndReason>, InvalidEvent> {
    let parse = |name| EndReason::parse(name).ok_or_else(|| InvalidEvent::new(field, format!("{name:?} ends no sale")));
    name.map(parse).transpose()
}

/// Avro has no unsigned long; no count of ours comes near the limit.
fn long(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// [`Micros`] as `timestamp-millis`.
mod millis {
    use flashsale_core::Micros;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Micros, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.as_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Micros, D::Error> {
        let millis = i64::deserialize(deserializer)?;
        millis.checked_mul(1_000).map(Micros).ok_or_else(|| D::Error::custom(format!("{millis} ms is no date")))
    }
}
