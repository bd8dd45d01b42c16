//! The store: objects, tasks and memory, shared by all processes of a runtime, without a process in between.
//!
//! ```text
//!   control segment                                     arena
//!   ┌ layout.rs, segment.rs ─────────────────────┐      ┌ region.rs, arena.rs ─────────────┐
//!   │ slots   word.rs     what each object is     │      │ units.rs   leases of huge pages   │
//!   │         objects.rs  who has it, how it goes │─────▶│ the bytes of objects              │
//!   │         spec.rs     the task that makes it  │      └──────────────────────────────────┘
//!   │ rings   tasks.rs    tasks to run            │      ┌ spill.rs ────────────────────────┐
//!   │ desks   bells.rs    who waits for what      │─────▶│ bytes that there is no room for   │
//!   └─────────────────────────────────────────────┘      └──────────────────────────────────┘
//!     party.rs    a process's private account: leased slots, an open lease
//!     recover.rs  what the head does after a death
//!     eviction.rs which objects go to disk first
//! ```
//!
//! # Invariants
//! - One word says what a slot is, another what a unit is; everything else follows from those. So a process may die between any two
//!   instructions: the head finds what it had by looking for its seat.
//! - No lock, no allocator's state and no list is shared, so nothing can be left locked or broken.
//! - What a process reads from shared memory may be nonsense: it is checked before it is used as an index, an address or a length.

mod arena;
mod bells;
mod eviction;
#[cfg(all(test, not(loom)))]
mod fuzz_tests;
mod layout;
mod lists;
#[cfg(all(test, loom))]
mod models;
mod objects;
mod party;
mod recover;
mod region;
mod seat;
mod segment;
mod spec;
mod spill;
mod tasks;
#[cfg(all(test, not(loom)))]
mod tests;
mod units;
mod word;

use crate::protocol::ObjectId as Id;

pub use arena::Arena;
pub use bells::{now_us, rung_for};
pub use eviction::{Candidate, Eviction};
pub use layout::{CONTAINED_INLINE, Desk, Header, INLINE_BYTES, Limits, Slot};
pub use objects::{Body, Kind, Leftovers};
pub use party::{NoRoom, Party, Space};
pub use recover::{Estate, Keep};
pub use region::{Region, RegionError};
pub use seat::{SEATS, Seat, Seats};
pub use segment::Segment;
pub use spec::{ARGS_MAX, Arg, Spec};
pub use spill::Spill;
pub use tasks::Readiness;
pub use units::{Run, UnitState};
pub use word::{Flags, State, Step, Word};
