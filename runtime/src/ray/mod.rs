//! Sessions on a Ray cluster.

pub mod transport;
