//! Avro schemas, topic papers, codec and registry.
