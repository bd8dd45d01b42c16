//! The names of things: small integers that never mean two things in one runtime.
//!
//! ```text
//!   ObjectId, 64 bits:  generation (32) │ slot (32)
//! ```
//!
//! An object is named by the slot of the shared table that it lies in, and by how often that slot was used before: whoever has the id
//! finds the object without asking anybody, and sees when it is another one.

use serde::{Deserialize, Serialize};

/// An object of the store, and the task that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub u64);

impl ObjectId {
    /// The object of this generation in this slot.
    pub fn new(slot: u32, generation: u32) -> ObjectId {
        ObjectId(u64::from(generation) << 32 | u64::from(slot))
    }

    /// Its slot.
    pub fn slot(self) -> u32 {
        self.0 as u32
    }

    /// Its generation.
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl std::fmt::Display for ObjectId {
    /// `slot.generation`, both decimal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.slot(), self.generation())
    }
}

/// A process that is connected to the head. Never used twice, unlike its seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId(pub u32);

/// A worker process. Never used twice.
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

/// A question of a client, which the answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request(pub u64);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_slot_and_its_generation() {
        let id = ObjectId::new(7, 3);
        assert_eq!((id.slot(), id.generation(), id.to_string().as_str()), (7, 3, "7.3"));
        assert_eq!(WorkerId(7).client().worker(), Some(WorkerId(7)));
        assert_eq!(ClientId(1).worker(), None);
    }
}
