//! The errors of the public functions.
//!
//! ```text
//!   abi::Fault ──▶ GetError | PutError | WaitError | CancelError | ActorError | InitError      one enum per question
//!   abi::Failure (a failed task) ──▶ report()                       the several lines that a notebook shows
//! ```
//!
//! `{error}` is one line. `{error:#}` is the whole report, which a cell shows when its `?` meets the error.

mod report;
mod wire;

pub use report::report;
pub(crate) use report::{Size, cause, place};
pub(crate) use wire::NAME as WIRE_NAME;

use crate::abi::{Attempt, Cause, Failure, Fault, Place};
use crate::calls::ObjectId;
use std::fmt;
use std::time::Duration;

/// Why [`get`](crate::get) returned no value. `source()` is `None`, because `{error}` already says in one line what
/// happened, where and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GetError {
    /// The timeout passed before the value was ready. The value may still come; its task is unharmed.
    NotReady {
        /// The object.
        id: ObjectId,
        /// How long `get` waited for it.
        waited: Duration,
    },
    /// The function panicked or returned `Err`, or could not be run.
    TaskFailed {
        /// The function's name.
        task: String,
        /// The task's error.
        source: TaskError,
    },
    /// The process that ran the task died.
    WorkerDied {
        /// The function's name.
        task: String,
        /// The process's id.
        pid: u32,
        /// How the process ended.
        status: WorkerStatus,
        /// Tasks that failed only because one of their arguments had failed, nearest first.
        carried_by: Vec<String>,
        /// Which run of the task it was.
        attempt: Attempt,
    },
    /// The task was cancelled: [`cancel`](crate::cancel).
    Cancelled {
        /// The function's name.
        task: String,
        /// Tasks that failed only because one of their arguments had failed, nearest first.
        carried_by: Vec<String>,
    },
    /// The actor whose method was called is dead: its process ended, its constructor failed, or [`kill`](crate::kill) ended it.
    ActorDied {
        /// The actor's name, or its type's.
        actor: String,
        /// The method's name.
        task: String,
        /// How the actor ended.
        source: TaskError,
    },
    /// The object was there, and its only copy, on disk, is lost. If a task made it whose arguments are there still, the task is run again,
    /// as often as its `max_retries` say; this is the error otherwise. As Ray's `ObjectLostError`.
    ObjectLost {
        /// The function whose result it is, or `put`.
        task: String,
        /// How it was lost, and why it is not made again.
        source: TaskError,
    },
    /// The object does not exist any more, or never did.
    Lost {
        /// The object.
        id: ObjectId,
    },
    /// The object exists, but its bytes are not a value of the wanted type.
    Unreadable {
        /// The object.
        id: ObjectId,
        /// The reason.
        reason: String,
    },
    /// The store has no room to load the object.
    StoreFull(Room),
    /// The runtime is gone.
    Disconnected {
        /// The known cause.
        reason: String,
    },
    /// The runtime refuses the request; the message says what to do instead.
    Refused {
        /// The message.
        message: String,
    },
}

impl std::error::Error for GetError {}

/// Why [`put`](crate::put) stored nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The value's own `Serialize` failed.
    NotSerialised {
        /// Its message.
        reason: String,
    },
    /// The store has no room.
    StoreFull(Room),
    /// The runtime is gone.
    Disconnected {
        /// The known cause.
        reason: String,
    },
    /// The runtime refuses the request; the message says what to do instead.
    Refused {
        /// The message.
        message: String,
    },
}

/// Why [`wait`](crate::wait) did not wait.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The same ref is in the list more than once.
    Duplicate {
        /// The object.
        id: ObjectId,
    },
    /// More refs are wanted than were given.
    TooMany {
        /// The number wanted.
        num_returns: usize,
        /// The number given.
        refs: usize,
    },
    /// No ref is wanted: `num_returns` is 0.
    NoneWanted,
    /// One of the objects does not exist any more, or never did.
    Lost {
        /// The object.
        id: ObjectId,
    },
    /// The runtime is gone.
    Disconnected {
        /// The known cause.
        reason: String,
    },
    /// The runtime refuses the request; the message says what to do instead.
    Refused {
        /// The message.
        message: String,
    },
}

/// Why [`cancel`](crate::cancel) cancelled nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// The runtime is gone.
    Disconnected {
        /// The known cause.
        reason: String,
    },
    /// The runtime refuses the request; the message says what to do instead.
    Refused {
        /// The message.
        message: String,
    },
}

/// Why there is no placement group, or why it was not removed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementGroupError {
    /// The runtime is gone.
    Disconnected {
        /// The known cause.
        reason: String,
    },
    /// The runtime refuses the request; the message says what to do instead.
    Refused {
        /// The message.
        message: String,
    },
}

/// Why there is no handle of an actor, or why it was not ended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActorError {
    /// No living actor has this name.
    NotFound {
        /// The name.
        name: String,
    },
    /// The actor with this name is of another type.
    OtherType {
        /// The name.
        name: String,
        /// Its type.
        found: String,
        /// The type that was asked for.
        wanted: String,
    },
    /// The runtime is gone.
    Disconnected {
        /// The known cause.
        reason: String,
    },
    /// The runtime refuses the request; the message says what to do instead.
    Refused {
        /// The message.
        message: String,
    },
}

/// Why [`init`](crate::init) did not start or join a runtime.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// An option has an invalid value.
    BadOption {
        /// The option's name.
        option: String,
        /// What is wrong with the value.
        message: String,
    },
    /// The runtime is gone.
    Disconnected {
        /// The known cause.
        reason: String,
    },
    /// The runtime refuses the request; the message says what to do instead.
    Refused {
        /// The message.
        message: String,
    },
}

/// The sizes behind an error about a full store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Room {
    /// Bytes asked for.
    pub needed: u64,
    /// Bytes in use.
    pub used: u64,
    /// The store's limit in bytes.
    pub limit: u64,
    /// The system's error, or what occupies the memory; may be empty.
    pub detail: String,
}

/// How a worker's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerStatus {
    /// A signal ended the process.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Its name, such as `SIGKILL`.
        name: String,
    },
    /// The process exited.
    Exit {
        /// Its exit code.
        code: i32,
    },
}

/// What happened in a task that failed.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{}", report::cause(&self.0.cause))]
pub struct TaskError(Box<Failure>);

impl TaskError {
    /// Returns the panic's message, or the text of the `Err`.
    pub fn message(&self) -> &str {
        match &self.0.cause {
            Cause::Panic { message, .. } | Cause::Error { message } | Cause::Refused { message } => message,
            Cause::Signal { name, .. } => name,
            Cause::Exit { .. } => "exited",
            Cause::Cancelled => "cancelled",
            Cause::ActorDied { .. } => "actor died",
            Cause::ObjectLost { reason } => reason,
        }
    }

    /// Returns the place where the task panicked, if it did.
    pub fn place(&self) -> Option<&Place> {
        match &self.0.cause {
            Cause::Panic { place, .. } => place.as_ref(),
            _ => None,
        }
    }

    /// Returns the worker's process id; 0 when the task never ran.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Returns which run of the task failed, of those that it may have.
    pub fn attempt(&self) -> Attempt {
        self.0.attempt
    }

    /// Returns the tasks that failed only because one of their arguments had failed, nearest first.
    pub fn carried_by(&self) -> &[String] {
        &self.0.carried_by
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({self})")
    }
}

impl GetError {
    /// Converts a fault; `waited` is for [`GetError::NotReady`].
    pub(crate) fn from_fault(fault: impl Into<Box<Fault>>, waited: Duration) -> GetError {
        match *fault.into() {
            Fault::NotReady { id } => GetError::NotReady { id: ObjectId(id), waited },
            Fault::Task(failure) => GetError::from_failure(failure),
            Fault::StoreFull { needed, used, limit, detail } => {
                GetError::StoreFull(Room { needed, used, limit, detail })
            }
            Fault::Unknown { id } => GetError::Lost { id: ObjectId(id) },
            Fault::Disconnected { reason } => GetError::Disconnected { reason },
            Fault::Refused { message } => GetError::Refused { message },
            Fault::Interrupted => GetError::Refused { message: INTERRUPTED.into() },
        }
    }

    /// Converts a failed task into the error that [`get`](crate::get) returns.
    pub fn from_failure(failure: Failure) -> GetError {
        let status = match &failure.cause {
            Cause::Signal { signal, name } => WorkerStatus::Signal { signal: *signal, name: name.clone() },
            Cause::Exit { code } => WorkerStatus::Exit { code: *code },
            Cause::Cancelled => return GetError::Cancelled { task: failure.task, carried_by: failure.carried_by },
            Cause::ObjectLost { .. } => {
                return GetError::ObjectLost { task: failure.task.clone(), source: TaskError(Box::new(failure)) };
            }
            Cause::ActorDied { actor, .. } => {
                let (actor, task) = (actor.clone(), failure.task.clone());
                return GetError::ActorDied { actor, task, source: TaskError(Box::new(failure)) };
            }
            _ => return GetError::TaskFailed { task: failure.task.clone(), source: TaskError(Box::new(failure)) },
        };
        let Failure { task, pid, carried_by, attempt, .. } = failure;
        GetError::WorkerDied { task, pid, status, carried_by, attempt }
    }
}

/// An interrupt unwinds. This message is for the one place where it cannot: a thread that is unwinding already.
const INTERRUPTED: &str = "interrupted";

impl PutError {
    pub(crate) fn from_fault(fault: impl Into<Box<Fault>>) -> PutError {
        match *fault.into() {
            Fault::StoreFull { needed, used, limit, detail } => {
                PutError::StoreFull(Room { needed, used, limit, detail })
            }
            Fault::Disconnected { reason } => PutError::Disconnected { reason },
            other => PutError::Refused { message: sentence(other) },
        }
    }
}

impl WaitError {
    pub(crate) fn from_fault(fault: impl Into<Box<Fault>>) -> WaitError {
        match *fault.into() {
            Fault::Unknown { id } => WaitError::Lost { id: ObjectId(id) },
            Fault::Disconnected { reason } => WaitError::Disconnected { reason },
            other => WaitError::Refused { message: sentence(other) },
        }
    }
}

impl PlacementGroupError {
    pub(crate) fn from_fault(fault: impl Into<Box<Fault>>) -> PlacementGroupError {
        match *fault.into() {
            Fault::Disconnected { reason } => PlacementGroupError::Disconnected { reason },
            other => PlacementGroupError::Refused { message: sentence(other) },
        }
    }
}

impl CancelError {
    pub(crate) fn from_fault(fault: impl Into<Box<Fault>>) -> CancelError {
        match *fault.into() {
            Fault::Disconnected { reason } => CancelError::Disconnected { reason },
            other => CancelError::Refused { message: sentence(other) },
        }
    }
}

impl ActorError {
    pub(crate) fn from_fault(fault: impl Into<Box<Fault>>) -> ActorError {
        match *fault.into() {
            Fault::Disconnected { reason } => ActorError::Disconnected { reason },
            other => ActorError::Refused { message: sentence(other) },
        }
    }
}

impl InitError {
    pub(crate) fn from_fault(fault: impl Into<Box<Fault>>) -> InitError {
        match *fault.into() {
            Fault::Disconnected { reason } => InitError::Disconnected { reason },
            other => InitError::Refused { message: sentence(other) },
        }
    }
}

/// A fault as one line of text.
#[doc(hidden)] // For the command line.
pub fn sentence(fault: impl Into<Box<Fault>>) -> String {
    match *fault.into() {
        Fault::Refused { message } => message,
        other => GetError::from_fault(other, Duration::ZERO).to_string(),
    }
}
