//! Ids of clients, workers and questions: small integers that never mean two things in one runtime.

use serde::{Deserialize, Serialize};

/// The id of a process that is connected to the head. Never used twice, unlike its seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId(pub u32);

/// The id of a worker process. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u32);

const WORKER_BIT: u32 = 1 << 23;

impl ClientId {
    /// The worker that this client is, if it is one.
    pub fn worker(self) -> Option<WorkerId> {
        (self.0 & WORKER_BIT != 0).then_some(WorkerId(self.0 & !WORKER_BIT))
    }
}

impl WorkerId {
    /// The worker as a client.
    pub fn client(self) -> ClientId {
        ClientId(WORKER_BIT | (self.0 & (WORKER_BIT - 1)))
    }
}

/// A session among those that share a runtime. A process that owns its runtime is session 0 of it.
///
/// The cells of all sessions of a runtime have numbers of their own in it, which name the session, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u8);

/// The bits of a session's own number of a cell.
const CELL_BITS: u32 = 24;
const CELL_MASK: u64 = (1 << CELL_BITS) - 1;

impl SessionId {
    /// The process that owns the runtime.
    pub const OWNER: SessionId = SessionId(0);

    /// The runtime's number of a cell of this session.
    pub fn cell(self, number: u64) -> u64 {
        u64::from(self.0) << CELL_BITS | number & CELL_MASK
    }

    /// The session of a cell, by the runtime's number.
    pub fn of(cell: u64) -> SessionId {
        SessionId((cell >> CELL_BITS) as u8)
    }

    /// How a table names this session to another one: 0 if it is the asker's own.
    pub fn for_asker(self, asker: SessionId) -> u8 {
        if self == asker { 0 } else { self.0 }
    }

    /// The session's own number of a cell; 0 outside a session.
    pub fn number(cell: u64) -> u64 {
        cell & CELL_MASK
    }
}

/// The number of a client's question, which the answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request(pub u64);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn cells_of_two_sessions_are_told_apart_and_those_of_the_owner_are_numbered_as_it_does() {
        let (alice, bob) = (SessionId(1), SessionId(255));
        assert_ne!(alice.cell(3), bob.cell(3));
        assert_eq!((SessionId::of(bob.cell(3)), SessionId::number(bob.cell(3))), (bob, 3));
        assert_eq!((SessionId::OWNER.cell(7), SessionId::of(7)), (7, SessionId::OWNER));
    }

    #[test]
    fn a_worker_is_a_client_and_a_program_is_no_worker() {
        assert_eq!(WorkerId(7).client().worker(), Some(WorkerId(7)));
        assert_eq!(ClientId(1).worker(), None);
    }
}
