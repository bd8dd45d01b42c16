//! Cells on an existing Ray cluster.
//!
//! ```text
//!   cell host                front process                              the cluster
//!   client.rs (Table) ─────▶ cluster.rs ─▶ transport/ ── Ray Client ──▶ a driver on the head ─▶ workers
//!        ▲  wire.rs  ◀─────── ids ▸ Ray's ids      └──── bridge.py ───▶        boot.py, worker.py
//!        └ cells                                                                └─▶ the crate's `ray_worker`: the table there
//! ```
//!
//! The front process has the session with the cluster, so that a crash of the cell host loses nothing of it.

pub(crate) mod client;
#[cfg(feature = "ray")]
mod cluster;
#[cfg(feature = "ray")]
pub mod transport;
mod wire;

pub use client::{join_driver, register};
#[cfg(feature = "ray")]
pub use cluster::{Cluster, ClusterError, ClusterTally};
#[cfg(feature = "ray")]
pub use transport::GiveUp;

/// Whether an address is that of a Ray cluster, and not of a runtime of this machine.
///
/// ```
/// use mobula_runtime::ray::is_address;
/// assert!(is_address("ray://10.0.0.5:10001") && is_address("ray+bridge:"));
/// assert!(!is_address("auto"));
/// ```
pub fn is_address(address: &str) -> bool {
    address.starts_with("ray://") || address.starts_with("ray+bridge:")
}
