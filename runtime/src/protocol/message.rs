//! The messages themselves: plain data, no behaviour.

use super::{ClientId, ObjectId, Request};
use crate::abi::{Answer, Cause, Failure, Fault, Question};
use crate::store::{Limits, Seat};
use serde::{Deserialize, Serialize};

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The process that runs cells. What it refers to outlives its connection until somebody says that it is gone.
    Driver,
    /// A plain program. What it refers to ends with its connection.
    Program,
    /// A process that runs tasks.
    Worker,
}

/// The arena, as a client must map it. Its two descriptors travel beside the message: one to write, one only to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArenaInfo {
    /// Which arena this is; another number is other memory.
    pub generation: u32,
    /// Its length in bytes.
    pub len: u64,
    /// Bytes of one of its units.
    pub unit_bytes: u64,
    /// Whether units become huge pages where the kernel does that.
    pub huge: bool,
}

/// A function that tasks run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// The library's path; empty for the executable itself.
    pub library: String,
    /// The trampoline's distance from the library's load address.
    pub offset: u64,
    /// The function's name as a person knows it.
    pub name: String,
}

/// An object that a process has which takes a dead one's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which.
    pub id: ObjectId,
    /// Whether it reads its bytes.
    pub pinned: bool,
}

/// From a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToHead {
    /// The first message.
    Hello {
        /// [`super::PROTOCOL_VERSION`].
        version: u32,
        /// What the client is.
        role: Role,
        /// Its process id.
        pid: u32,
        /// Set by a process that has taken a dead driver's place: which one, and what it has.
        takeover: Option<(Seat, Vec<Held>)>,
    },
    /// Wants a number for a function. Answered by `Interned`.
    Intern {
        /// The question.
        req: Request,
        /// The function.
        function: Function,
    },
    /// Wants to know which function has this number. Answered by `Function`.
    Resolve {
        /// The question.
        req: Request,
        /// The number.
        function: u32,
    },
    /// Wants so many units of the arena in a row to be free. Answered by `Done` when they are, or by `Refused`.
    Room {
        /// The question.
        req: Request,
        /// How many.
        units: u32,
        /// For how many bytes, to say so.
        bytes: u64,
    },
    /// Does not wait for room any longer.
    RoomNoLonger {
        /// The question.
        req: Request,
    },
    /// Wants an object that is on disk to be in the arena. Answered by `Done` or by `Refused`.
    Restore {
        /// The question.
        req: Request,
        /// Which.
        id: ObjectId,
    },
    /// Bytes on disk are not wanted any more.
    Forget {
        /// Their position.
        position: u64,
        /// How many.
        len: u64,
    },
    /// Wants to know why an object's task failed. Answered by `Blame`.
    Blame {
        /// The question.
        req: Request,
        /// Which.
        id: ObjectId,
    },
    /// Wants to have the arena. Answered by `Arena`.
    Arena {
        /// The question.
        req: Request,
    },
    /// A question off the fast path. Answered by `Answer`.
    Ask {
        /// The question's name.
        req: Request,
        /// The question.
        question: Question,
    },
    /// The worker's task has written something: it must be delivered before anybody sees its result. Answered by `Done`.
    Wrote {
        /// The question.
        req: Request,
    },
    /// The worker's task has failed. Answered by `Done`.
    Failed {
        /// The question.
        req: Request,
        /// Which.
        task: ObjectId,
        /// How.
        cause: Cause,
    },
    /// A task cannot run because this argument of its has failed.
    Carry {
        /// Which.
        task: ObjectId,
        /// The argument.
        object: ObjectId,
    },
    /// The worker is ready for tasks.
    Ready,
    /// The worker's task waits, and needs no CPU for now.
    Blocked,
    /// It goes on.
    Unblocked,
    /// The worker has nothing to do with the lease that was taken back.
    Parked,
    /// A task is ready to run, and the ring of the one who found that out is full.
    Strand {
        /// Which.
        task: ObjectId,
    },
    /// An object is sealed for which the head waits.
    Poke,
    /// A task was submitted while none can run.
    Unserved {
        /// Its function.
        function: u32,
    },
}

/// From the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToClient {
    /// The answer to `Hello`. Three descriptors travel beside it: the control segment's and the arena's two.
    Welcome {
        /// Who the client is.
        client: ClientId,
        /// Where it sits.
        seat: Seat,
        /// The control segment's sizes.
        limits: Limits,
        /// The arena.
        arena: ArenaInfo,
    },
    /// The answer to `Arena`, with the arena's two descriptors.
    Arena {
        /// The question.
        req: Request,
        /// The arena.
        arena: ArenaInfo,
    },
    /// The answer to `Intern`.
    Interned {
        /// The question.
        req: Request,
        /// The number.
        function: u32,
    },
    /// The answer to `Resolve`.
    Function {
        /// The question.
        req: Request,
        /// The function; `None` when there is none of that number.
        function: Option<Function>,
    },
    /// The answer to `Blame`.
    Blame {
        /// The question.
        req: Request,
        /// Why; `None` when the head does not know.
        failure: Option<Box<Failure>>,
    },
    /// It is done.
    Done {
        /// The question.
        req: Request,
    },
    /// It cannot be done.
    Refused {
        /// The question.
        req: Request,
        /// Why.
        fault: Fault,
    },
    /// The answer to `Ask`.
    Answer {
        /// The question.
        req: Request,
        /// The answer.
        answer: Result<Answer, Fault>,
    },
    /// The person interrupted this cell.
    Interrupt {
        /// Which.
        cell: u64,
    },
}
