//! The messages between the head and its clients.
//!
//! ```text
//!   client ──ToHead──▶ head        one unix stream socket each; frames of (u32 length, postcard bytes)
//!          ◀─ToClient─             descriptors beside a frame: the shared memory
//! ```
//!
//! Only rare things travel here: the identity of a client, the name of a function, the failure of a task, a lack of
//! room. Objects and plain tasks go through shared memory (`store/`).
//!
//! # Invariants
//! - Both ends are the same executable, so there is one version and no negotiation, only a check.
//! - An incomplete frame is ignored. The sender of a malformed frame is treated as dead; there is no panic.
//! - Messages of one client are handled in the order in which they were written.

mod event;
mod frame;
#[cfg(all(test, not(loom)))]
mod fuzz_tests;
mod id;
mod message;

pub use crate::store::ObjectId;
pub use event::{RuntimeEvent, Stream};
pub use frame::{Decoder, FRAME_BYTES_MAX, FrameError, encode};
pub use id::{ClientId, Request, SessionId, WorkerId};
pub use message::{ArenaInfo, FromFront, Function, Held, OTHER_PROGRAM, Role, Takeover, ToClient, ToFront, ToHead};

/// The version of every message here. A client that names another version in its `Hello` is refused.
pub const PROTOCOL_VERSION: u32 = 13;
