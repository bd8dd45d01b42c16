//! Objects: who has one, what is in it, and where its bytes lie.
//!
//! ```text
//!   objects   the table: state and holders of every object          (the head's private memory)
//!   allocator which bytes of the region are whose                   (the head's private memory)
//!   backing   which of them have pages                              (the head's private memory)
//!   region    the memory: one file without a name, mapped by all    (shared)
//! ```
//!
//! Everything that a dying process could leave half-done is in the head's private memory; in shared memory there is
//! nothing but objects' bytes. So a client's death is repaired by forgetting what the head knows about the client.

mod allocator;
mod backing;
mod objects;
mod region;

pub use allocator::{ALIGNMENT, Allocator};
pub use backing::Backing;
pub use objects::{Freed, Holder, Objects, State};
pub use region::{Mapping, Region, RegionError};

#[cfg(test)]
pub(crate) use objects::tests::Dice;
