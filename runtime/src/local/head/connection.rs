//! The head's end of one client's socket. Nothing here ever blocks.

use crate::protocol::{Decoder, FrameError, ToClient, ToHead, encode};
use mobula_fds as fds;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How many bytes a client may leave unread. A client that leaves more is treated as dead.
const QUEUED_BYTES_MAX: usize = 256 << 20;

/// How much is read from one client before the others have their turn, in bytes.
const TURN_BYTES: usize = 1 << 20;

const READ_BYTES: usize = 64 << 10;

/// The state of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything that could be done has been done.
    Clear,
    /// The socket takes no more for now.
    Stuffed,
    /// The socket is closed, or must be.
    Dead,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

/// One client's socket.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    decoder: Decoder,
    out: VecDeque<Chunk>,
    queued: usize,
    /// Whether a flush is due; the head has a list of such connections.
    pub dirty: bool,
    /// Whether the head is told when the socket takes more.
    pub watched: bool,
}

impl Connection {
    /// Takes a socket over.
    pub fn new(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            decoder: Decoder::default(),
            out: VecDeque::new(),
            queued: 0,
            dirty: false,
            watched: false,
        }
    }

    /// The bytes that wait to be sent.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Its descriptor.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Queues a message, with descriptors beside it.
    ///
    /// # Errors
    /// The message is too long for a frame.
    pub fn queue(&mut self, message: &ToClient, fds: Vec<OwnedFd>) -> Result<(), FrameError> {
        // A descriptor must arrive with its own message, so a message with descriptors begins a chunk.
        let open =
            self.out.back().is_some_and(|last| fds.is_empty() && last.sent == 0 && last.bytes.len() < READ_BYTES);
        if !open {
            self.out.push_back(Chunk { bytes: Vec::new(), sent: 0, fds });
        }
        let last = self.out.back_mut().expect("there is one now");
        let before = last.bytes.len();
        let encoded = encode(message, &mut last.bytes);
        self.queued += last.bytes.len() - before;
        if last.bytes.is_empty() {
            self.out.pop_back();
        }
        encoded
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) -> Health {
        while let Some(chunk) = self.out.front_mut() {
            let unsent = &chunk.bytes[chunk.sent..];
            let sent = if chunk.fds.is_empty() {
                fds::send_bytes(&self.socket, unsent)
            } else {
                let beside: Vec<BorrowedFd<'_>> = chunk.fds.iter().map(AsFd::as_fd).collect();
                fds::send(&self.socket, unsent, &beside, false)
            };
            match sent {
                Ok(sent) => {
                    chunk.fds.clear();
                    chunk.sent += sent;
                    self.queued -= sent;
                    if chunk.sent == chunk.bytes.len() {
                        self.out.pop_front();
                    }
                }
                Err(Errno::AGAIN) if self.queued <= QUEUED_BYTES_MAX => return Health::Stuffed,
                Err(_) => return Health::Dead,
            }
        }
        debug_assert_eq!(self.queued, 0, "what has been sent is no longer queued");
        Health::Clear
    }

    /// Reads what has arrived, as far as one turn goes. `Dead` when the other end is closed; its earlier messages can
    /// still be taken with [`Connection::take`].
    pub fn receive(&mut self) -> Health {
        let mut taken = 0;
        while taken < TURN_BYTES {
            let room = self.decoder.missing().clamp(READ_BYTES, TURN_BYTES);
            // Clients must not send descriptors; those that come are closed.
            match fds::receive(&self.socket, self.decoder.room(room), &mut Vec::new(), false) {
                Ok(0) => return Health::Dead,
                Ok(bytes) => {
                    self.decoder.arrived(bytes);
                    taken += bytes;
                    if bytes < READ_BYTES {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(_) => return Health::Dead,
            }
        }
        Health::Clear
    }

    /// The next whole message.
    ///
    /// # Errors
    /// The client's bytes are not a message.
    pub fn take(&mut self) -> Result<Option<ToHead>, FrameError> {
        self.decoder.take()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use rustix::net::SocketType;

    #[test]
    fn a_client_that_does_not_read_holds_nobody_up_and_loses_nothing() {
        let (here, there) = fds::pair(SocketType::STREAM).unwrap();
        let mut connection = Connection::new(here);
        const MESSAGES: u64 = 100_000;
        for cell in 0..MESSAGES {
            connection.queue(&ToClient::Interrupt { turn: cell }, Vec::new()).unwrap();
        }
        assert_eq!(connection.flush(), Health::Stuffed);
        let (mut decoder, mut next) = (Decoder::default(), 0);
        while next < MESSAGES {
            connection.flush();
            let bytes = fds::receive(&there, decoder.room(READ_BYTES), &mut Vec::new(), false).unwrap();
            decoder.arrived(bytes);
            while let Some(message) = decoder.take::<ToClient>().unwrap() {
                assert_eq!(message, ToClient::Interrupt { turn: next });
                next += 1;
            }
        }
        assert_eq!(connection.flush(), Health::Clear);
    }

    #[test]
    fn the_last_words_of_a_client_are_heard() {
        let (here, there) = fds::pair(SocketType::STREAM).unwrap();
        let mut bytes = Vec::new();
        encode(&ToHead::Forget { position: 64, len: 1 }, &mut bytes).unwrap();
        fds::send_bytes(&there, &bytes).unwrap();
        drop(there);
        let mut connection = Connection::new(here);
        while connection.receive() != Health::Dead {}
        assert_eq!(connection.take().unwrap(), Some(ToHead::Forget { position: 64, len: 1 }));
        assert_eq!(connection.take().unwrap(), None);
    }
}
