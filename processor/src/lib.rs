//! Outbox relay, sale clock and sale status.
