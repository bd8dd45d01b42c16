//! The changes of tasks since a process last looked, for the web page: small, however many tasks there are.

use crate::{TaskEntry, TaskState};
use serde::{Deserialize, Serialize};

/// What has become of tasks since the same looker's last look. Cells have the runtime's numbers here: those of a session that has joined are the
/// session's number × 2²⁴ + its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskChanges {
    /// The names of functions, of which entries give the index. A later look has the same and perhaps more.
    pub names: Vec<String>,
    /// The runs that have ended since, in no order.
    pub ended: Vec<TaskEntry>,
    /// The runs that have not ended: all that run, and some that wait.
    pub living: Vec<LivingTask>,
    /// How many runs wait.
    pub waiting: Vec<WaitingTasks>,
    /// How many runs have ended since and were forgotten before this look.
    pub missed: u64,
    /// Now, in nanoseconds since the runtime began.
    pub now: u64,
}

/// A run of a task that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LivingTask {
    /// The run.
    pub run: TaskEntry,
    /// The objects that are its arguments.
    pub needs: Vec<u64>,
}

/// Runs that wait, of one function and cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingTasks {
    /// The index of the function's name.
    pub name: u32,
    /// The cell that started them; 0 outside a session.
    pub cell: u64,
    /// [`TaskState::Waiting`] or [`TaskState::Queued`].
    pub state: TaskState,
    /// How many they are.
    pub tasks: u64,
}

/// The tasks next to one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLinks {
    /// The objects that are its arguments, as far as that is still written down: as long as its result is there.
    pub needs: Vec<u64>,
    /// The tasks whose argument its result is, likewise.
    pub needed_by: Vec<u64>,
}
