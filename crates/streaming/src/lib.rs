//! Everything that speaks to the log; the only crate that names rdkafka.
