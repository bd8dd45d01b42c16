//! The messages themselves: plain data, no behaviour.

use super::{ClientId, ObjectId, Payload, Request, TaskId};
use crate::abi::{Answer, Cause, Failure, Fault, Question};
use serde::{Deserialize, Serialize};

/// A piece of the store's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Extent {
    /// Bytes from the region's start, a multiple of 64.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Extent {
    /// One past the last byte; `None` when that is not a number.
    pub fn end(self) -> Option<u64> {
        self.offset.checked_add(self.len)
    }
}

/// Where a sealed object's bytes are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// In this message.
    Inline(Payload),
    /// In the store's memory.
    Shared(Extent),
}

/// What there is to know about a finished object. It never changes, so a client may remember it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Known {
    /// It can be read.
    Ready(Body),
    /// Its task failed.
    Failed(Box<Failure>),
}

/// What a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The process that runs cells. Its references outlive its connection until somebody says that it is gone.
    Driver,
    /// A plain program. Its references end with its connection.
    Program,
    /// A process that runs tasks.
    Worker,
}

/// The store's memory, as a client must map it. The descriptor travels beside the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionInfo {
    /// Which region this is; another number is other memory.
    pub generation: u32,
    /// Its length in bytes.
    pub len: u64,
}

/// One argument of a submitted task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Argument {
    /// An object.
    Ref(ObjectId),
    /// A value that is in no object of its own.
    Inline {
        /// Its bytes.
        bytes: Payload,
        /// The objects that its bytes refer to.
        refs: Vec<ObjectId>,
    },
}

/// A task to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The task; its results are `returns` objects from `task.0` on.
    pub task: TaskId,
    /// How many results.
    pub returns: u32,
    /// The function's name as a person knows it.
    pub name: String,
    /// The cell that is running in the client; 0 outside a session.
    pub cell: u64,
    /// The library's path; empty for the executable itself.
    pub library: String,
    /// The trampoline's distance from the library's load address.
    pub offset: u64,
    /// The arguments, in order.
    pub args: Vec<Argument>,
}

/// An argument as a worker gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskInput {
    /// Its bytes.
    Inline(Payload),
    /// Where its bytes are.
    Shared(ObjectId, Extent),
}

/// A task, as a worker gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFrame {
    /// The task.
    pub task: TaskId,
    /// How many results are wanted.
    pub returns: u32,
    /// The function's name.
    pub name: String,
    /// The cell that started it; 0 outside a session.
    pub cell: u64,
    /// The library's path; empty for the executable itself.
    pub library: String,
    /// The trampoline's distance from the library's load address.
    pub offset: u64,
    /// The arguments, in order.
    pub args: Vec<TaskInput>,
}

/// One result of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultFrame {
    /// Its bytes.
    pub body: Body,
    /// The objects that its bytes refer to.
    pub contains: Vec<ObjectId>,
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
        /// Set by a process that has taken a dead driver's place: the objects that it still refers to.
        takeover: Option<Vec<ObjectId>>,
    },
    /// Wants `size` bytes of the store. Answered by `Granted` or `Refused`.
    Alloc {
        /// The question.
        req: Request,
        /// Bytes.
        size: u64,
    },
    /// Gives a granted extent back unused.
    Abort {
        /// Its offset.
        offset: u64,
    },
    /// A new object, which the client holds.
    Seal {
        /// Its id, one of the client's own.
        id: ObjectId,
        /// Its bytes.
        body: Body,
        /// The objects that its bytes refer to.
        contains: Vec<ObjectId>,
    },
    /// A new task, whose results the client holds.
    Submit(TaskSpec),
    /// The client refers to these objects from now on.
    Retain {
        /// Which.
        ids: Vec<ObjectId>,
    },
    /// The client refers to these objects no longer.
    Release {
        /// Which.
        ids: Vec<ObjectId>,
    },
    /// Wants to hear when `num_returns` of `ids` are finished. Answered by one `WaitDone`.
    Wait {
        /// The question.
        req: Request,
        /// Which, without repetition.
        ids: Vec<ObjectId>,
        /// How many.
        num_returns: u64,
    },
    /// Wants the answer to a `Wait` now, whatever it is. The client keeps the time, so that the head needs no clock.
    WaitNoLonger {
        /// The question.
        req: Request,
    },
    /// Wants to know where an object's bytes are. Answered by `Opened`.
    Open {
        /// The question.
        req: Request,
        /// Which.
        id: ObjectId,
    },
    /// A question off the fast path. Answered by `Answer`.
    Ask {
        /// The question's name.
        req: Request,
        /// The question.
        question: Question,
    },
    /// The worker's task has returned.
    TaskDone {
        /// Which.
        task: TaskId,
        /// Its results, in order.
        results: Vec<ResultFrame>,
    },
    /// The worker's task has failed.
    TaskFailed {
        /// Which.
        task: TaskId,
        /// How.
        cause: Cause,
    },
}

/// From the head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToClient {
    /// The answer to `Hello`, with the store's descriptor.
    Welcome {
        /// Who the client is.
        client: ClientId,
        /// The store's memory.
        region: RegionInfo,
    },
    /// The store's memory is another from now on, with its descriptor. Nothing lies in it yet.
    Region(RegionInfo),
    /// Here is the room.
    Granted {
        /// The question.
        req: Request,
        /// Where; its length is what was asked for.
        offset: u64,
        /// Whether its pages exist. If not, the client makes them before it writes.
        backed: bool,
    },
    /// There is none, or the question makes no sense.
    Refused {
        /// The question.
        req: Request,
        /// Why.
        fault: Fault,
    },
    /// The answer to `Wait`.
    WaitDone {
        /// The question.
        req: Request,
        /// The finished ones, as positions in the question's `ids`, with what is known of them. `None` means that it
        /// did not fit in here: ask with `Open`.
        ready: Vec<(u32, Option<Known>)>,
    },
    /// The answer to `Open`.
    Opened {
        /// The question.
        req: Request,
        /// What it is, or why it cannot be had.
        known: Result<Known, Fault>,
    },
    /// The answer to `Ask`.
    Answer {
        /// The question.
        req: Request,
        /// The answer.
        answer: Result<Answer, Fault>,
    },
    /// A task for this worker.
    Run(TaskFrame),
    /// The person interrupted this cell.
    Interrupt {
        /// Which.
        cell: u64,
    },
}
