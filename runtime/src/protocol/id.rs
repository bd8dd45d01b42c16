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

/// The number of a client's question, which the answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Request(pub u64);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_a_client_and_a_program_is_no_worker() {
        assert_eq!(WorkerId(7).client().worker(), Some(WorkerId(7)));
        assert_eq!(ClientId(1).worker(), None);
    }
}
