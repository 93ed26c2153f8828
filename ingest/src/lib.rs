//! The write edge.
