//! Starts Kafka, Redis and Postgres as child processes on loopback.
