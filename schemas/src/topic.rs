//! The topics and their papers.

use std::{fmt, sync::LazyLock};

use apache_avro::Schema;
use serde::Deserialize;

/// A topic of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What became of every attempt to buy.
    PurchaseDecisions,
    /// Every change of a sale.
    SaleEvents,
    /// Each SKU's newest sale as it stands.
    SaleStatus,
    /// Records of [`Topic::PurchaseDecisions`] that a consumer could not use.
    PurchaseDecisionsDlq,
    /// What each reconciliation found and did.
    Reconciliations,
    /// Operators' orders to consumers.
    ConsumerControl,
    /// What operators did.
    OperatorActs,
    /// How far consumers had come.
    ConsumerPositions,
}

impl Topic {
    /// Every topic, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::PurchaseDecisions,
        Self::SaleEvents,
        Self::SaleStatus,
        Self::PurchaseDecisionsDlq,
        Self::Reconciliations,
        Self::ConsumerControl,
        Self::OperatorActs,
        Self::ConsumerPositions,
    ];

    /// Its name on the broker, without the prefix that a test may put in front.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PurchaseDecisions => "flashsale.purchase-decisions.v1",
            Self::SaleEvents => "flashsale.sale-events.v1",
            Self::SaleStatus => "flashsale.sale-status.v1",
            Self::PurchaseDecisionsDlq => "flashsale.purchase-decisions.dlq.v1",
            Self::Reconciliations => "flashsale.reconciliations.v1",
            Self::ConsumerControl => "flashsale.consumer-control.v1",
            Self::OperatorActs => "flashsale.operator-acts.v1",
            Self::ConsumerPositions => "flashsale.consumer-positions.v1",
        }
    }

    /// The topic called `name`, which carries no prefix.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    /// The facts about it, `topics/<name>.yaml`.
    pub fn paper(self) -> &'static Paper {
        static PAPERS: LazyLock<[Paper; 8]> = LazyLock::new(|| {
            Topic::ALL.map(|topic| serde_yaml_ng::from_str(topic.paper_text()).expect("a compiled-in paper is valid"))
        });
        &PAPERS[self as usize]
    }

    const fn paper_text(self) -> &'static str {
        match self {
            Self::PurchaseDecisions => include_str!("../topics/flashsale.purchase-decisions.v1.yaml"),
            Self::SaleEvents => include_str!("../topics/flashsale.sale-events.v1.yaml"),
            Self::SaleStatus => include_str!("../topics/flashsale.sale-status.v1.yaml"),
            Self::PurchaseDecisionsDlq => include_str!("../topics/flashsale.purchase-decisions.dlq.v1.yaml"),
            Self::Reconciliations => include_str!("../topics/flashsale.reconciliations.v1.yaml"),
            Self::ConsumerControl => include_str!("../topics/flashsale.consumer-control.v1.yaml"),
            Self::OperatorActs => include_str!("../topics/flashsale.operator-acts.v1.yaml"),
            Self::ConsumerPositions => include_str!("../topics/flashsale.consumer-positions.v1.yaml"),
        }
    }

    /// The Avro schema of its values as it stands in `avro/`; none for raw bytes.
    pub const fn schema_text(self) -> Option<&'static str> {
        match self {
            Self::PurchaseDecisions => Some(include_str!("../avro/purchase-decision.v1.avsc")),
            Self::SaleEvents => Some(include_str!("../avro/sale-event.v1.avsc")),
            Self::SaleStatus => Some(include_str!("../avro/sale-status.v1.avsc")),
            Self::PurchaseDecisionsDlq => None,
            Self::Reconciliations => Some(include_str!("../avro/reconciliation.v1.avsc")),
            Self::ConsumerControl => Some(include_str!("../avro/consumer-control.v1.avsc")),
            Self::OperatorActs => Some(include_str!("../avro/operator-act.v1.avsc")),
            Self::ConsumerPositions => Some(include_str!("../avro/consumer-positions.v1.avsc")),
        }
    }

    /// [`Topic::schema_text`], parsed once for the life of the process.
    pub(crate) fn schema(self) -> Option<&'static Schema> {
        static SCHEMAS: LazyLock<[Option<Schema>; 8]> = LazyLock::new(|| {
            Topic::ALL.map(|topic| {
                topic.schema_text().map(|text| Schema::parse_str(text).expect("a compiled-in schema is valid"))
            })
        });
        SCHEMAS[self as usize].as_ref()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the broker makes room in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CleanupPolicy {
    /// What is too old goes.
    Delete,
    /// Of each key the last record stays.
    Compact,
}

impl CleanupPolicy {
    /// The value of the topic setting `cleanup.policy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
        }
    }
}

/// The facts about a topic. Paths are relative to `schemas/`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Its name.
    pub topic: String,
    /// What it is, in a sentence.
    pub summary: String,
    /// Who writes it, as `folder` or `folder/part`.
    pub producers: Vec<String>,
    /// Who reads it, likewise.
    pub consumers: Vec<String>,
    /// What its records are keyed by.
    pub key: String,
    /// How many partitions it gets on one machine, unless the configuration says otherwise.
    pub partitions: u32,
    /// How the broker makes room.
    pub cleanup_policy: CleanupPolicy,
    /// How long records stay, in milliseconds; for ever when absent.
    pub retention_ms: Option<u64>,
    /// Which schema changes are allowed, in the words of Confluent's registry.
    pub compatibility: String,
    /// The schema of its values.
    pub schema: Option<String>,
    /// Why there is none.
    pub without_schema: Option<String>,
    /// The folder of its examples.
    pub examples: String,
}
