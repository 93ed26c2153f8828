//! Consumers that write views of the log.
