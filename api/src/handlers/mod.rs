//! One file a resource.

pub(crate) mod ops;
pub(crate) mod products;
pub(crate) mod purchases;
pub(crate) mod sales;
