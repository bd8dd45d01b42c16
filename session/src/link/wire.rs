//! The packets between the front process and the cell host: one JSON message each (`SOCK_SEQPACKET`), with descriptors. A packet arrives
//! whole or not at all, so a process may die while it sends one.

use crate::reports::record::Kept;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The environment variable that names the front process's socket to the cell host.
pub const SOCKET_ENV: &str = "MOBULA_CELL_SOCKET";

/// The longest packet; both sides refuse longer ones.
const PACKET_BYTES_MAX: usize = 16 * 1024;

/// From the cell host, or one of its twins, to the front process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromHost {
    /// A new cell host. Carries one descriptor: the write end of evcxr's result pipe.
    Hello {
        /// Its process.
        pid: i32,
    },
    /// The evaluator asked for this library to be run, or for callbacks. The answer names its cell.
    Load {
        /// The library's path; empty for callbacks.
        library: String,
    },
    /// The library could not be run at all.
    LoadFailed {
        /// Why.
        message: String,
    },
    /// The cell's function has not run to its end.
    Ended {
        /// 1: it unwound; 2: a `?` met an `Err`; 8: a `return` ended it, which is no failure.
        how: u32,
        /// The cell has lost variables of earlier cells, or was only tried, so this process exits in favour of the twin from before it.
        undone: bool,
    },
    /// A signal is ending this process.
    Crashed {
        /// The stack: libraries of cells and offsets in them, innermost frame first.
        frames: Vec<(String, u64)>,
    },
    /// The cell's code has returned.
    Done {
        /// The number of the checkpoint that a twin holds: the state after the cell, or an earlier one.
        checkpoint: u64,
        /// Why no twin holds the state after the cell, if none does.
        unguarded: Option<String>,
        /// Which earlier checkpoints twins are kept of.
        kept: Kept,
        /// How long opening the cell's library took, in microseconds.
        load_us: u64,
        /// How long making the twin took, in microseconds.
        fork_us: u64,
    },
    /// This process is to exit in favour of the twin with this earlier checkpoint. The answer is `Exit` when that twin is there, or `Skip`.
    GoBack {
        /// The checkpoint.
        checkpoint: u64,
    },
    /// The cell host died, and this twin of it could take its place.
    Candidate {
        /// The twin's process.
        pid: i32,
        /// The checkpoint it holds.
        checkpoint: u64,
    },
    /// The promoted twin is connected to the runtime.
    Promoted,
}

/// From the front process to the cell host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToHost {
    /// The answer to `Hello`. Carries two descriptors: the new standard output and standard error.
    Welcome {
        /// The number of its first checkpoint: twins of earlier hosts may still be about, with lower ones.
        checkpoint: u64,
    },
    /// Run the library. Carries one descriptor: the cell's standard input.
    Begin {
        /// The number of its cell.
        cell: u64,
        /// The number of this execution, which interrupts name.
        turn: u64,
        /// How many bytes more than now it may take.
        memory: Option<u64>,
    },
    /// Do not run the library, because the person interrupted while it was being compiled; or do not go back.
    Skip,
    /// The cell counts as done: end the twin from before it, unless cells can be undone by it.
    Commit,
    /// Take the dead host's place.
    Promote {
        /// The highest number that any checkpoint may have.
        newest: u64,
        /// The oldest checkpoint that a twin has; the one of this twin if none is older.
        oldest: u64,
    },
    /// Another twin takes the place. This one may be asked to later.
    Hold,
    /// The twin is not needed: exit.
    Exit,
}

/// Sends one message with its descriptors.
///
/// # Errors
/// The peer is gone, or the message is too long for a packet.
pub fn send(socket: impl AsFd, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(message).map_err(|_| Errno::INVAL)?;
    if bytes.len() > PACKET_BYTES_MAX {
        return Err(Errno::MSGSIZE);
    }
    mobula_fds::send(socket, &bytes, fds, true).map(drop)
}

/// Receives one message with its descriptors. `None`: the peer is gone.
///
/// # Errors
/// The system's error; `EBADMSG` when the packet is not a message.
pub fn receive<M: DeserializeOwned>(socket: impl AsFd) -> Result<Option<(M, Vec<OwnedFd>)>, Errno> {
    let mut bytes = vec![0; PACKET_BYTES_MAX];
    let mut fds = Vec::new();
    let received = mobula_fds::receive(socket, &mut bytes, &mut fds, true)?;
    if received == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&bytes[..received]).map_err(|_| Errno::BADMSG)?;
    Ok(Some((message, fds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::SocketType;

    fn pair() -> (OwnedFd, OwnedFd) {
        mobula_fds::pair(SocketType::SEQPACKET).unwrap()
    }

    #[test]
    fn a_descriptor_travels_with_its_message() {
        let (a, b) = pair();
        let (read, write) = rustix::pipe::pipe().unwrap();
        send(&a, &FromHost::Hello { pid: 7 }, &[write.as_fd()]).unwrap();
        let (message, fds) = receive::<FromHost>(&b).unwrap().unwrap();
        assert_eq!(message, FromHost::Hello { pid: 7 });
        rustix::io::write(&fds[0], b"x").unwrap();
        let mut byte = [0];
        rustix::io::read(&read, &mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn a_peer_that_is_gone_is_not_an_error() {
        let (a, b) = pair();
        drop(a);
        assert!(receive::<FromHost>(&b).unwrap().is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        let (a, b) = pair();
        rustix::io::write(&a, b"nonsense").unwrap();
        assert_eq!(receive::<FromHost>(&b).unwrap_err(), Errno::BADMSG);
    }
}
