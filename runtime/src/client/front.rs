//! The connection of a session's front process to a runtime that it has joined.

use super::Client;
use super::connect::ConnectError;
use crate::protocol::{FromFront, Role, SessionId, ToFront, ToHead};
use crate::store::Segment;
use crate::sync::Ordering;
use rustix::net::Shutdown;
use std::path::Path;

/// A front process's end of its session. The session ends with the connection.
pub struct Front(Client);

impl Front {
    /// Joins the runtime that listens on this socket, as a new session.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(socket: &Path) -> Result<Front, ConnectError> {
        Client::connect(socket, Role::Front, SessionId::OWNER, None).map(Front)
    }

    /// The session's number.
    pub fn session(&self) -> SessionId {
        self.0.session
    }

    /// The runtime's tables.
    pub fn segment(&self) -> &Segment {
        &self.0.segment
    }

    /// Says something to the runtime.
    pub fn tell(&self, said: FromFront) {
        self.0.tell(&ToHead::Front(said));
    }

    /// Blocks until the runtime says something; `None` when it is gone, or when this end has hung up.
    pub fn next(&self) -> Option<ToFront> {
        self.0.inbox.wait(None, None, |books| books.told()).ok()
    }

    /// Ends the connection, also for a thread that is in [`Front::next`].
    pub fn hang_up(&self) {
        let _ = rustix::net::shutdown(self.0.inbox.socket(), Shutdown::Both);
    }

    /// Says that the runtime has ended to all processes that share its memory: its own process was killed and could not.
    pub fn close_for_all(&self) {
        self.0.segment.header().closed.store(1, Ordering::Release);
        self.0.segment.ring_all();
    }
}
