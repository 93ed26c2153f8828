//! The drills, by what they break.

pub(crate) mod broker;
pub(crate) mod edge;
pub(crate) mod hot_state;
pub(crate) mod ingest;
pub(crate) mod lifecycle;
pub(crate) mod live;
pub(crate) mod poison;
pub(crate) mod recovery;
pub(crate) mod redis;
pub(crate) mod registry;
pub(crate) mod sink;
pub(crate) mod stores;
