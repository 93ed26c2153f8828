//! The edge on a real Redis and a real broker.

mod answers;
mod fixture;
mod overload;
mod stampede;
