//! Reads, receipts and administration over HTTP.
