//! The names of things: small integers that never mean two things in one runtime.
//!
//! ```text
//!   ObjectId, 64 bits:  client (24) │ counter of that client (40)
//!   ClientId, 24 bits:  drivers and programs 1, 2, 3 …; a worker is 2^23 + its WorkerId
//! ```
//!
//! A client names its objects itself, so that neither a small `put` nor a submission waits for an answer, and the same
//! program gives the same ids. A process that takes another's place gets a new client number, so ids never repeat.

use serde::{Deserialize, Serialize};

const COUNTER_BITS: u32 = 40;
const WORKER_BIT: u32 = 1 << 23;

/// An object of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub u64);

impl ObjectId {
    /// The object number `counter` of `client`; `None` when the client has used up its 2^40 names.
    pub fn new(client: ClientId, counter: u64) -> Option<ObjectId> {
        (counter < 1 << COUNTER_BITS).then_some(ObjectId(u64::from(client.0) << COUNTER_BITS | counter))
    }

    /// Who named it.
    pub fn client(self) -> ClientId {
        ClientId((self.0 >> COUNTER_BITS) as u32)
    }

    /// The id `index` places after this one, as the results of one task are numbered.
    pub fn offset(self, index: u32) -> ObjectId {
        ObjectId(self.0 + u64::from(index))
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A task, named by its first result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub ObjectId);

/// A process that is connected to the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClientId(pub u32);

impl ClientId {
    /// The worker that this client is, if it is one.
    pub fn worker(self) -> Option<WorkerId> {
        (self.0 & WORKER_BIT != 0).then_some(WorkerId(self.0 & !WORKER_BIT))
    }
}

/// A worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u32);

impl WorkerId {
    /// The worker as a client.
    pub fn client(self) -> ClientId {
        ClientId(WORKER_BIT | (self.0 & (WORKER_BIT - 1)))
    }
}

/// A question of a client, which the answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_remembers_who_named_it() {
        let worker = WorkerId(7).client();
        let object = ObjectId::new(worker, 3).unwrap();
        assert_eq!(object.client(), worker);
        assert_eq!(object.client().worker(), Some(WorkerId(7)));
        assert_eq!(ObjectId::new(ClientId(1), 3).unwrap().client().worker(), None);
    }

    #[test]
    fn a_client_runs_out_of_names_instead_of_repeating_them() {
        assert_eq!(ObjectId::new(ClientId(1), 1 << COUNTER_BITS), None);
    }
}
