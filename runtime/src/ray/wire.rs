//! Messages between a cell host and the front process of a session on a cluster.
//!
//! ```text
//!   cell host (client.rs) ──ToCluster──▶ front process (cluster.rs) ──▶ Ray
//!                         ◀─FromCluster─
//! ```
//!
//! Frames of `protocol::frame` on a unix socket. The bytes of a large value travel as a memory file beside the frame that has its length, so
//! that nobody copies them twice.

use crate::abi::desk::Aligned;
use crate::abi::{Answer, Failure, Fault, Question};
use crate::protocol::{Decoder, Function, encode};
use memmap2::Mmap;
use mobula_fds as fds;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The version of everything in this file. Both ends are of one program, which may have been replaced on disk in between.
pub(super) const VERSION: u32 = 1;

/// Values of at most so many bytes travel in a frame, and with the head of an object: `worker.py` has the same bound.
pub(super) const INLINE_BYTES_MAX: usize = 64 << 10;

/// The bytes of a value: in the frame, or in a memory file beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Body {
    Inline(Vec<u8>),
    Beside { len: u64 },
}

/// An argument of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Argument {
    Object(u64),
    Value { refs: Vec<u64>, body: Body },
}

/// From a cell host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum ToCluster {
    /// The first message. `held` are the objects to which this process has references: those of a twin that takes over.
    Hello { version: u32, held: Vec<u64> },
    /// A value that is put.
    Put { id: u64, refs: Vec<u64>, body: Body },
    /// A task, an actor or a call.
    Submit(Submitted),
    /// The value of an object is wanted.
    Fetch { id: u64 },
    /// This process has a reference to an object that came inside another one.
    Retain { id: u64 },
    /// It has none any more.
    Release { ids: Vec<u64> },
    /// The failure of an object was met.
    Met { id: u64 },
    /// A question off the fast path.
    Ask { req: u64, question: Question },
    /// A call of this turn has returned the interrupt.
    Heeded { turn: u64 },
}

/// See [`ToCluster::Submit`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Submitted {
    pub id: u64,
    pub kind: u32,
    pub function: Function,
    pub arguments: Vec<Argument>,
    /// As `Submission::options` has them.
    pub options: Vec<u8>,
    pub cell: u64,
}

/// To a cell host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum FromCluster {
    /// An object is ready. A small value comes with it.
    Ready { id: u64, refs: Vec<u64>, body: Option<Body> },
    /// The task of an object failed.
    Failed { id: u64, failure: Box<Failure> },
    /// A large value that was wanted.
    Fetched { id: u64, body: Body },
    /// The answer to a question.
    Answered { req: u64, answer: Result<Answer, Fault> },
    /// The turn is interrupted.
    Interrupt { turn: u64 },
    /// The session with the cluster has ended.
    Closed { reason: String },
}

/// A value's bytes, wherever they are. They begin at a multiple of 64.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Own(Arc<Aligned>),
    Mapped(Arc<Mmap>),
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        match self {
            Content::Own(memory) => memory.bytes(),
            Content::Mapped(map) => map,
        }
    }
}

/// A memory file with these parts in a row, which nobody changes any more.
///
/// # Errors
/// The system has no room for it.
pub(super) fn memory_file(parts: &[&[u8]]) -> io::Result<OwnedFd> {
    let file = memfd_create("mobula-value", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, parts.iter().map(|part| part.len() as u64).sum())?;
    for (part, mut offset) in parts.iter().zip(starts(parts)) {
        let mut rest = *part;
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(&file, rest, offset))?;
            (rest, offset) = (&rest[written..], offset + written as u64);
        }
    }
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
    Ok(file)
}

/// Where each part begins.
fn starts<'a>(parts: &'a [&[u8]]) -> impl Iterator<Item = u64> + 'a {
    parts.iter().scan(0, |next, part| {
        let start = *next;
        *next += part.len() as u64;
        Some(start)
    })
}

/// A message and the memory file beside it, if there is one.
pub(super) struct Parcel<T> {
    pub message: T,
    pub file: Option<OwnedFd>,
}

impl<T> From<T> for Parcel<T> {
    fn from(message: T) -> Parcel<T> {
        Parcel { message, file: None }
    }
}

/// Sends a parcel. Waits while the other end does not read.
///
/// # Errors
/// The other end is gone, or the message is too long.
pub(super) fn send<T: Serialize>(socket: impl AsFd, parcel: &Parcel<T>) -> io::Result<()> {
    let mut bytes = Vec::new();
    encode(&parcel.message, &mut bytes).map_err(io::Error::other)?;
    let file: Vec<_> = parcel.file.iter().map(AsFd::as_fd).collect();
    let mut sent = fds::send(&socket, &bytes, &file, true)?;
    while sent < bytes.len() {
        sent += fds::send(&socket, &bytes[sent..], &[], true)?;
    }
    Ok(())
}

/// Parcels that come over a socket.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    decoder: Decoder,
    files: VecDeque<OwnedFd>,
}

/// How many bytes are read at once.
const READ_BYTES: usize = 64 << 10;

impl Incoming {
    /// Blocks until there is a message; `None` when the other end is gone.
    ///
    /// # Errors
    /// What came is no message.
    pub fn next<T: DeserializeOwned>(&mut self, socket: impl AsFd) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.decoder.take().map_err(io::Error::other)? {
                return Ok(Some(message));
            }
            let mut files = Vec::new();
            let room = self.decoder.room(READ_BYTES.max(self.decoder.missing()));
            let received = match fds::receive(&socket, room, &mut files, true) {
                Ok(0) | Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                received => received?,
            };
            self.decoder.arrived(received);
            self.files.extend(files);
        }
    }

    /// The bytes that a message names.
    ///
    /// # Errors
    /// The file that belongs to it did not come, or is shorter.
    #[allow(unsafe_code)] // Maps the file.
    pub fn content(&mut self, body: Body) -> io::Result<Content> {
        let len = match body {
            Body::Inline(bytes) => return Ok(Content::Own(Arc::new(Aligned::from(&*bytes)))),
            Body::Beside { len } => len,
        };
        let file = self.files.pop_front().ok_or(io::ErrorKind::UnexpectedEof)?;
        // SAFETY: the file is in memory and of no name, and both ends seal it before they send it: nobody can change or shorten it.
        let map = unsafe { Mmap::map(&file)? };
        if map.len() as u64 != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Content::Mapped(Arc::new(map)))
    }
}

/// These bytes as the body of a message, and the file beside it.
///
/// # Errors
/// The system has no room for the file.
pub(super) fn body_of(parts: &[&[u8]]) -> io::Result<(Body, Option<OwnedFd>)> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    if len <= INLINE_BYTES_MAX {
        return Ok((Body::Inline(parts.concat()), None));
    }
    Ok((Body::Beside { len: len as u64 }, Some(memory_file(parts)?)))
}
