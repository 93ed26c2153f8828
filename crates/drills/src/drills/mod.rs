//! The drills, by what they break.

pub(crate) mod ingest;
pub(crate) mod redis;
