//! The errors of the public functions.
//!
//! ```text
//!   abi::Fault ──▶ GetError | PutError | WaitError | InitError      one enum per question
//!   abi::Failure (a failed task) ──▶ report()                       the several lines that a notebook shows
//! ```
//!
//! `{error}` is one line. `{error:#}` is everything there is to say, and is what a cell shows that ends in `?`.

mod report;
mod wire;

pub use report::report;
pub(crate) use report::{Size, cause, place};
pub(crate) use wire::NAME as WIRE_NAME;

use crate::abi::{Cause, Failure, Fault, Place};
use crate::table::ObjectId;
use std::fmt;
use std::time::Duration;

/// Why [`get`](crate::get) returned no value. It has no `source()`: `{error}` says in one line what happened and where, cause included.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GetError {
    /// The time was over before the value was there. It may still come; its task is unharmed.
    NotReady {
        /// Which object.
        id: ObjectId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The function panicked or returned `Err`, or could not be run.
    TaskFailed {
        /// The function's name.
        task: String,
        /// What happened.
        source: TaskError,
    },
    /// The process that ran the task died under it.
    WorkerDied {
        /// The function's name.
        task: String,
        /// The process's id.
        pid: u32,
        /// How it ended.
        status: WorkerStatus,
        /// The tasks that failed only because an argument of theirs had, nearest first.
        carried_by: Vec<String>,
    },
    /// The object does not exist any more, or never did.
    Lost {
        /// Which object.
        id: ObjectId,
    },
    /// The object is there, but its bytes are not a value of the wanted type.
    Unreadable {
        /// Which object.
        id: ObjectId,
        /// Why.
        reason: String,
    },
    /// The store has no room to bring the object in.
    StoreFull(Room),
    /// The runtime is gone.
    Disconnected {
        /// What is known about why.
        reason: String,
    },
    /// The runtime does not do this; the sentence says what to do instead.
    Refused {
        /// The sentence.
        message: String,
    },
}

impl std::error::Error for GetError {}

/// Why [`put`](crate::put) stored nothing.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The value's own `Serialize` refused.
    NotSerialised {
        /// In its words.
        reason: String,
    },
    /// The store has no room.
    StoreFull(Room),
    /// The runtime is gone.
    Disconnected {
        /// What is known about why.
        reason: String,
    },
    /// The runtime does not do this; the sentence says what to do instead.
    Refused {
        /// The sentence.
        message: String,
    },
}

/// Why [`wait`](crate::wait) did not wait.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The same ref is in the list more than once.
    Duplicate {
        /// Which.
        id: ObjectId,
    },
    /// More refs are wanted than there are.
    TooMany {
        /// How many are wanted.
        num_returns: usize,
        /// How many were given.
        refs: usize,
    },
    /// No ref is wanted.
    NoneWanted,
    /// One of the objects does not exist any more, or never did.
    Lost {
        /// Which.
        id: ObjectId,
    },
    /// The runtime is gone.
    Disconnected {
        /// What is known about why.
        reason: String,
    },
    /// The runtime does not do this; the sentence says what to do instead.
    Refused {
        /// The sentence.
        message: String,
    },
}

/// Why [`init`](crate::init) did not start or join a runtime.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// An option has a value that makes no sense.
    BadOption {
        /// The option's name.
        option: String,
        /// The sentence.
        message: String,
    },
    /// The runtime is gone.
    Disconnected {
        /// What is known about why.
        reason: String,
    },
    /// The runtime does not do this; the sentence says what to do instead.
    Refused {
        /// The sentence.
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
    /// What the system said, or what holds the memory; may be empty.
    pub detail: String,
}

/// How a worker's process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerStatus {
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Its name, such as `SIGKILL`.
        name: String,
    },
    /// It exited.
    Exit {
        /// Its exit code.
        code: i32,
    },
}

/// What happened inside a task that failed.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{}", report::cause(&self.0.cause))]
pub struct TaskError(Box<Failure>);

impl TaskError {
    /// The panic's message, or the text of the `Err`.
    pub fn message(&self) -> &str {
        match &self.0.cause {
            Cause::Panic { message, .. } | Cause::Error { message } | Cause::Refused { message } => message,
            Cause::Signal { name, .. } => name,
            Cause::Exit { .. } => "exited",
        }
    }

    /// Where it panicked, if it did.
    pub fn place(&self) -> Option<&Place> {
        match &self.0.cause {
            Cause::Panic { place, .. } => place.as_ref(),
            _ => None,
        }
    }

    /// The worker's process id; 0 when the task never ran.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// The tasks that failed only because an argument of theirs had, nearest first.
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
    /// The error for a fault; `waited` is for one that is about time.
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

    /// The error that `get` gives for a failed task.
    pub fn from_failure(failure: Failure) -> GetError {
        let status = match &failure.cause {
            Cause::Signal { signal, name } => WorkerStatus::Signal { signal: *signal, name: name.clone() },
            Cause::Exit { code } => WorkerStatus::Exit { code: *code },
            _ => return GetError::TaskFailed { task: failure.task.clone(), source: TaskError(Box::new(failure)) },
        };
        GetError::WorkerDied { task: failure.task, pid: failure.pid, status, carried_by: failure.carried_by }
    }
}

/// An interrupt unwinds; this is for the one place where it cannot, a thread that is unwinding already.
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

impl InitError {
    pub(crate) fn from_fault(fault: impl Into<Box<Fault>>) -> InitError {
        match *fault.into() {
            Fault::Disconnected { reason } => InitError::Disconnected { reason },
            other => InitError::Refused { message: sentence(other) },
        }
    }
}

/// A fault in one line, for where only its text is wanted.
pub(crate) fn sentence(fault: impl Into<Box<Fault>>) -> String {
    match *fault.into() {
        Fault::Refused { message } => message,
        other => GetError::from_fault(other, Duration::ZERO).to_string(),
    }
}
