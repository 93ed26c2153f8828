//! Names of the server's metrics.

use metrics::{counter, describe_counter, describe_gauge, gauge};

const CONNECTIONS: &str = "flashsale_http_connections";
const REFUSED: &str = "flashsale_http_refused_total";

/// What is turned away before any service hears of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refused {
    /// A connection too many.
    Connection,
    /// A request too many of one address.
    Address,
    /// A head that did not come in time.
    Head,
    /// A body that did not come in time.
    Body,
}

impl Refused {
    const ALL: [Self; 4] = [Self::Connection, Self::Address, Self::Head, Self::Body];

    fn reason(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Address => "address",
            Self::Head => "late_head",
            Self::Body => "late_body",
        }
    }

    pub(super) fn count(self) {
        counter!(REFUSED, "reason" => self.reason()).increment(1);
    }
}

/// Describes them; each is there from now on, for an alert looks for what has not happened yet.
pub(super) fn begin() {
    describe_gauge!(CONNECTIONS, "Open connections, live streams included");
    describe_counter!(REFUSED, "Connections and requests turned away before any service heard of them, by reason");
    gauge!(CONNECTIONS).increment(0.0);
    Refused::ALL.iter().for_each(|refused| counter!(REFUSED, "reason" => refused.reason()).increment(0));
}

pub(super) fn opened() {
    gauge!(CONNECTIONS).increment(1.0);
}

pub(super) fn closed() {
    gauge!(CONNECTIONS).decrement(1.0);
}
