//! What the runtime tells the process that owns it.

use crate::abi::{CellPlace, Failure, Place};

/// Which of a worker's two text streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something a person should see.
#[derive(Clone, Debug, PartialEq)]
pub enum RuntimeEvent {
    /// A task wrote something. All of it comes before anybody can get the task's result.
    TaskOutput {
        /// The cell that started the task; 0 outside a session.
        cell: u64,
        /// The function's name.
        task: String,
        /// The worker's process id.
        pid: u32,
        /// Where it was written.
        stream: Stream,
        /// Whole lines, each behind `(name pid=1234) `.
        text: String,
    },
    /// A task failed. Said once, for the task where it began, not for those that only carry it.
    TaskFailed(Failure),
    /// One line about the runtime itself.
    Notice(String),
}

/// Who is told. The runtime's one thread calls this and does nothing else meanwhile, so both return soon.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: RuntimeEvent);

    /// The place in a cell that a place in generated code stands for, if it is known.
    fn locate(&self, place: &Place) -> Option<CellPlace>;
}
