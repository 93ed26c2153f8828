//! The Redis scripts and a typed call for each.
