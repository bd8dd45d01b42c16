//! Events of a runtime that a person should see.

use crate::abi::Failure;
use serde::{Deserialize, Serialize};

/// Which of a worker's two text streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something a person should see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RuntimeEvent {
    /// A task wrote something. All of it comes before any process can get the task's result, but for lines that other workers write, too:
    /// see `local/head/folds.rs`.
    TaskOutput {
        /// The cell that started the task; 0 outside a session.
        cell: u64,
        /// The function's name.
        task: String,
        /// The worker's process id.
        pid: u32,
        /// Where it was written.
        stream: Stream,
        /// Whole lines, each with `(name pid=1234) ` before it.
        text: String,
    },
    /// A task failed. Said once, for the task where the failure began, not for those that only carry it.
    TaskFailed(Failure),
    /// One line about the runtime itself.
    Notice(String),
}

impl RuntimeEvent {
    /// Roughly the bytes that it keeps in memory.
    pub fn bytes(&self) -> usize {
        match self {
            RuntimeEvent::TaskOutput { text, .. } | RuntimeEvent::Notice(text) => text.len(),
            // Its texts are messages for people.
            RuntimeEvent::TaskFailed(_) => 1024,
        }
    }
}
