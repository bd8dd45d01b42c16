//! The messages between the head and its clients.
//!
//! ```text
//!   client ──ToHead──▶ head        one unix stream socket each; frames of (u32 length, postcard bytes)
//!          ◀─ToClient─             descriptors beside a frame: the shared memory
//! ```
//!
//! Only what is rare is said here: who somebody is, what a function is called, how a task failed, that there is no room. Objects and
//! plain tasks go through shared memory (`store/`).
//!
//! # Invariants
//! - Both ends are the same executable, so there is one version and no negotiation, only a check.
//! - A frame is complete or it does not count. A malformed one makes its sender a dead client; it is never a panic.
//! - Messages of one client are handled in the order in which they were written.

mod frame;
#[cfg(all(test, not(loom)))]
mod fuzz_tests;
mod id;
mod message;

pub use crate::store::ObjectId;
pub use frame::{Decoder, FRAME_BYTES_MAX, FrameError, encode};
pub use id::{ClientId, Request, WorkerId};
pub use message::{ArenaInfo, Function, Held, Role, ToClient, ToHead};

/// The version of every message here. A client that says another one in its `Hello` is refused.
pub const PROTOCOL_VERSION: u32 = 2;
