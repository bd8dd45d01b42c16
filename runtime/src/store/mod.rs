//! The store: objects, tasks and memory, shared by all processes of a runtime, without a server process in between.
//!
//! ```text
//!   control segment                                     arena
//!   ┌ layout.rs, segment.rs ─────────────────────┐      ┌ region.rs, arena.rs ─────────────┐
//!   │ slots   word.rs     the state of each       │      │ units.rs   leases of huge pages   │
//!   │         objects.rs  references and freeing  │─────▶│ the bytes of objects              │
//!   │         task_spec   the task that makes it  │      └──────────────────────────────────┘
//!   │ rings   tasks.rs    tasks to run            │
//!   │ mailboxes  mailbox.rs  calls of actors      │      ┌ spill.rs ────────────────────────┐
//!   │ desks   bells.rs    waits and wake-ups      │─────▶│ bytes that there is no room for   │
//!   └─────────────────────────────────────────────┘      └──────────────────────────────────┘
//!     offers.rs    tasks handed to a worker that has just ended one like them
//!     strands.rs   tasks on their way to the head's queues
//!     leases.rs    slots and arena space leased by one process
//!     recovery.rs  recovery by the head after a death
//!     eviction.rs  the order in which objects go to disk
//! ```
//!
//! # Invariants
//! - One word holds the state of a slot, another the state of a unit; everything else follows from those. So a process
//!   may die between any two instructions, and the head finds what it owned by searching for its seat.
//! - No lock, no allocator's state and no list is shared, so nothing can be left locked or broken.
//! - A value read from shared memory may be invalid, so it is checked before it is used as an index, an address or a
//!   length.

mod arena;
mod bells;
mod call_log;
mod clock;
mod events;
mod eviction_order;
#[cfg(all(test, not(loom)))]
mod fuzz_tests;
mod id;
mod layout;
mod leases;
mod lineage;
mod mailbox;
mod mapped;
#[cfg(all(test, loom))]
mod models;
mod objects;
mod offers;
mod recovery;
mod region;
mod seat;
mod segment;
mod spill;
mod strands;
mod task_spec;
mod tasks;
#[cfg(all(test, not(loom)))]
mod tests;
mod units;
mod word;

use id::ObjectId as Id;

pub use arena::{Arena, Run};
pub use bells::{now_us, rung_for};
pub use call_log::Log;
pub use clock::{Clock, ticks};
pub use events::{Bookmark, Events, TaskEvent};
pub use eviction_order::{Candidate, Eviction};
pub use id::ObjectId;
pub use layout::{CALLS_MAX, CONTAINED_INLINE, Desk, HINTS, Header, INLINE_BYTES, Limits, MAILBOXES, Mailbox, Slot};
pub use leases::{Leases, NoRoom, Space};
pub use mailbox::Reader;
pub use objects::{Body, Kind, Leftovers};
pub use recovery::{Estate, Keep};
pub use region::{Region, RegionError, default_bytes, memory_of_machine};
pub use seat::{SEATS, Seat, Seats};
pub use segment::Segment;
pub use spill::Spill;
pub use task_spec::{ARGS_MAX, Access, Arg, Label, SHAPED, Spec, TaskKind};
pub use tasks::Readiness;
pub use units::UnitState;
pub use word::{Flags, State, Step, Word};
