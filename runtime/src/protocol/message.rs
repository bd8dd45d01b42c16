//! The messages themselves: plain data, no behaviour.

use super::{ClientId, ObjectId, Request, RuntimeEvent, SessionId};
use crate::abi::{Answer, Cause, CellRecord, CommAnswer, CommCall, Failure, Fault, Question, TaskOptions};
use crate::store::{Limits, Seat};
use serde::{Deserialize, Serialize};

/// The role of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The process that runs cells. Its references outlive its connection until the front process says that it is gone.
    Driver,
    /// A plain program. Its references end with its connection.
    Program,
    /// A plain program that has joined a runtime of another process: the driver of its session. Its tasks run in workers that are this
    /// program.
    JoinedProgram,
    /// A process that runs tasks.
    Worker,
    /// The front process of a session that has joined a runtime of another process. The session ends with its connection.
    Front,
}

/// The arena, as a client must map it. Its two descriptors travel beside the message: one to write, one only to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArenaInfo {
    /// The arena's number; another number means other memory.
    pub generation: u32,
    /// Its length in bytes.
    pub len: u64,
    /// Bytes of one of its units.
    pub unit_bytes: u64,
    /// Whether units become huge pages where the kernel can do that.
    pub huge: bool,
}

/// What a [`Function`]'s library begins with that is another program than that of the process which asks for it.
pub const OTHER_PROGRAM: &str = "program:";

/// A function that tasks run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// The library's path; empty for the executable of whoever reads it, and [`OTHER_PROGRAM`] with a path for that of another program.
    pub library: String,
    /// The trampoline's distance from the library's load address.
    pub offset: u64,
    /// The function's name as a person knows it.
    pub name: String,
    /// The folder in which it runs; empty for that of the runtime's owner.
    pub folder: String,
}

/// An object held by a process that takes a dead process's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The object.
    pub id: ObjectId,
    /// Whether the process reads its bytes.
    pub pinned: bool,
}

/// What a twin brings with it that takes a dead driver's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// That driver's seat.
    pub seat: Seat,
    /// The last cell whose state the twin has. What later ones did is undone.
    pub cell: u64,
    /// The objects that the twin holds.
    pub held: Vec<Held>,
}

/// A message from a client to the head.
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
        /// The session that a driver is of. A front process learns its own from the `Welcome`.
        session: SessionId,
        /// Set by a twin that takes a dead driver's place.
        takeover: Option<Takeover>,
    },
    /// Asks for a function's number. Answered by `Interned`.
    Intern {
        /// The question.
        req: Request,
        /// The function.
        function: Function,
    },
    /// Asks which function has this number. Answered by `Function`.
    Resolve {
        /// The question.
        req: Request,
        /// The number.
        function: u32,
    },
    /// Asks for the number of a task's options. Answered by `Numbered` or by `Refused`.
    Number {
        /// The question.
        req: Request,
        /// The options, without a name.
        options: TaskOptions,
    },
    /// Asks for the mailbox of a new actor. Answered by `Mailbox`, by `Existing` or by `Refused`.
    Spawn {
        /// The question.
        req: Request,
        /// The actor's options, with its name.
        options: TaskOptions,
    },
    /// The task that makes the actor with this mailbox has been submitted.
    Spawned {
        /// The mailbox's index.
        mailbox: u32,
        /// The task.
        task: ObjectId,
    },
    /// No task will make the actor with this mailbox.
    Unspawned {
        /// The mailbox's index.
        mailbox: u32,
    },
    /// Asks after how many runs of a task with these options the worker ends. Answered by `Calls`.
    CallsMax {
        /// The question.
        req: Request,
        /// The options' number.
        options: u16,
    },
    /// Asks for a run of free units in the arena. Answered by `Done` when there is one, or by `Refused`.
    Room {
        /// The question.
        req: Request,
        /// The run's length.
        units: u32,
        /// The bytes to be stored there, for error messages.
        bytes: u64,
    },
    /// Cancels a `Room`.
    RoomNoLonger {
        /// The question.
        req: Request,
    },
    /// Asks to bring an object from disk back into the arena. Answered by `Done` or by `Refused`.
    Restore {
        /// The question.
        req: Request,
        /// The object.
        id: ObjectId,
    },
    /// Reports bytes on disk that no object needs any more.
    Forget {
        /// Their position.
        position: u64,
        /// Their number.
        len: u64,
    },
    /// Asks why an object's task failed. Answered by `Blame`.
    Blame {
        /// The question.
        req: Request,
        /// The object.
        id: ObjectId,
    },
    /// Asks for the arena. Answered by `Arena`.
    Arena {
        /// The question.
        req: Request,
    },
    /// A question off the fast path. Answered by `Answer`.
    Ask {
        /// The question's number.
        req: Request,
        /// The question.
        question: Question,
    },
    /// The worker's task has written output, which must be delivered before its result is visible. Answered by `Done`.
    Wrote {
        /// The question.
        req: Request,
    },
    /// The worker's task has failed. Answered by `Done`.
    Failed {
        /// The question.
        req: Request,
        /// The task.
        task: ObjectId,
        /// Why it failed.
        cause: Cause,
    },
    /// A task cannot run because one of its arguments has failed.
    Carry {
        /// The task.
        task: ObjectId,
        /// The failed argument.
        object: ObjectId,
    },
    /// The worker is ready for tasks.
    Ready,
    /// The worker's task waits, and needs no CPU for now.
    Blocked,
    /// The worker's task goes on.
    Unblocked,
    /// The worker has no lease and no task any more.
    Parked {
        /// The number that its desk has in the place of a lease.
        lease: u32,
    },
    /// The worker has ended the task that the head gave it.
    Ended {
        /// The tasks that it has taken besides, as the head had hinted.
        also: Vec<ObjectId>,
    },
    /// The worker has made the actor that the head gave it, and is its process from now on.
    Settled,
    /// A task is ready to run and lies in no ring: the ring of the process that woke it is full, or the task is not plain.
    Strand {
        /// The task.
        task: ObjectId,
    },
    /// Tasks were left for the head in shared memory (`store/strands.rs`).
    Stranded,
    /// A call is in no mailbox that is read: the actor is dead, or its mailbox is full and the caller does not wait any more.
    Unsent {
        /// The call.
        call: ObjectId,
    },
    /// An object for which the head waits is sealed.
    Poke,
    /// A task was submitted while no task can run.
    Unserved {
        /// Its function.
        function: u32,
    },
    /// What the front process of a joined session says.
    Front(FromFront),
}

/// What the front process of a session says to a runtime that it has joined. Cells have the session's own numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromFront {
    /// The namespace of its named actors. Without this message, it has one of its own.
    Namespace {
        /// Its name.
        name: String,
    },
    /// Its share of what the sessions take from each other. Without this message, it is 1. Said before its cell host connects.
    Share {
        /// The share.
        share: u32,
    },
    /// The person interrupted a turn: a cell or callbacks.
    Interrupt {
        /// The turn's number.
        turn: u64,
    },
    /// The cell host is another process now.
    CellHost {
        /// Its process id.
        pid: u32,
        /// Whether it was the dead host's twin.
        takeover: bool,
    },
    /// The answer to [`ToFront::Comm`]; `None` refuses the call.
    Comm {
        /// The client that asked.
        client: ClientId,
        /// Its question.
        req: Request,
        /// The answer.
        answer: Option<CommAnswer>,
    },
    /// The places of a failure, found in the cells.
    Located {
        /// The failure's number.
        number: u64,
        /// What happened, with the places.
        cause: Cause,
    },
    /// A cell has begun or ended, for the runtime's web page.
    Cell(CellRecord),
    /// Asks for [`ToFront::Flushed`] behind everything that was sent before.
    Flush {
        /// The request's number.
        number: u64,
    },
}

/// What a runtime says to the front process of a session that has joined it. Cells have the session's own numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToFront {
    /// Something that a person should see.
    Event(RuntimeEvent),
    /// A task failed; its places in the cells are asked for.
    Failed {
        /// The failure's number.
        number: u64,
        /// The failure.
        failure: Failure,
        /// Whether a person should see it.
        is_shown: bool,
    },
    /// A process calls the session's comms.
    Comm {
        /// The client that asks.
        client: ClientId,
        /// Its question.
        req: Request,
        /// The cell that it asks for.
        cell: u64,
        /// The call.
        call: CommCall,
    },
    /// Everything was sent that came before [`FromFront::Flush`].
    Flushed {
        /// The request's number.
        number: u64,
    },
}

/// A message from the head to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToClient {
    /// The answer to `Hello`. Three descriptors travel beside it: the control segment's and the arena's two.
    Welcome {
        /// The client's id.
        client: ClientId,
        /// The client's seat.
        seat: Seat,
        /// The session that it is of.
        session: SessionId,
        /// The control segment's sizes.
        limits: Limits,
        /// The arena.
        arena: ArenaInfo,
        /// The number of the options of a task that names none: 0, unless its function is in a program of its own.
        plain: u16,
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
    /// The answer to `Number`.
    Numbered {
        /// The question.
        req: Request,
        /// The options' number.
        options: u16,
    },
    /// An answer to `Spawn`.
    Mailbox {
        /// The question.
        req: Request,
        /// The mailbox's index.
        mailbox: u32,
        /// The options' number.
        options: u16,
    },
    /// An answer to `Spawn`: there is such an actor.
    Existing {
        /// The question.
        req: Request,
        /// The object that stands for it.
        id: ObjectId,
    },
    /// The answer to `CallsMax`.
    Calls {
        /// The question.
        req: Request,
        /// Runs; `None` for no bound.
        max: Option<u32>,
    },
    /// The answer to `Blame`.
    Blame {
        /// The question.
        req: Request,
        /// The failure; `None` when the head does not know it.
        failure: Option<Box<Failure>>,
    },
    /// The request is done.
    Done {
        /// The question.
        req: Request,
    },
    /// The request is refused.
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
    /// For the front process of a joined session.
    Front(ToFront),
    /// The person interrupted this turn: a cell or callbacks.
    Interrupt {
        /// The turn's number.
        turn: u64,
    },
}
