//! Names of keys. All keys of a sale share its hash tag, so a Redis Cluster keeps them in one slot.

use flashsale_core::Sku;

/// Key names under a prefix, which is empty in production and tells tests apart.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Names that begin with `prefix`.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The hash of a sale.
    pub fn sale(&self, sku: &Sku) -> String {
        format!("{}sale:{{{sku}}}", self.prefix)
    }

    /// The hash of its buyers.
    pub fn buyers(&self, sku: &Sku) -> String {
        format!("{}sale:{{{sku}}}:buyers", self.prefix)
    }

    /// The stream of what the log may not have yet.
    pub fn outbox(&self, sku: &Sku) -> String {
        format!("{}sale:{{{sku}}}:outbox", self.prefix)
    }

    /// The set of SKUs that the clock and the relay look after.
    pub fn open_sales(&self) -> String {
        format!("{}sales:open", self.prefix)
    }

    /// The `run_id` of the server that was verified against the log.
    pub fn fence(&self) -> String {
        format!("{}fence:verified_run_id", self.prefix)
    }

    /// Who recovers now.
    pub fn claim(&self) -> String {
        format!("{}fence:claim", self.prefix)
    }

    pub(crate) fn of_sale(&self, sku: &Sku) -> [String; 4] {
        let requests = format!("{}sale:{{{sku}}}:requests", self.prefix);
        [self.sale(sku), self.buyers(sku), self.outbox(sku), requests]
    }
}
