//! What the head and its clients say to each other.
//!
//! ```text
//!   client ──ToHead──▶ head        one unix stream socket each; frames of (u32 length, postcard bytes)
//!          ◀─ToClient─             one descriptor beside a frame: the store's memory
//! ```
//!
//! # Invariants
//! - Both ends are the same executable, so there is one version and no negotiation, only a check.
//! - A frame is complete or it does not count. A malformed one makes its sender a dead client; it is never a panic.
//! - Messages of one client are handled in the order in which they were written. Everything that takes a reference
//!   before giving another one back relies on it.

mod frame;
mod id;
mod message;
mod payload;

pub use frame::{Decoder, FRAME_BYTES_MAX, FrameError, encode};
pub use id::{ClientId, ObjectId, Request, TaskId, WorkerId};
pub use message::{
    Argument, Body, Extent, Known, RegionInfo, ResultFrame, Role, TaskFrame, TaskInput, TaskSpec, ToClient, ToHead,
};
pub use payload::Payload;

/// The version of every message here. A client that says another one in its `Hello` is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Objects up to this many bytes travel inside messages; larger ones lie in the store's memory.
pub const INLINE_BYTES_MAX: u64 = 4096;
