//! Counts of a cell's tasks, which a runtime gives to the front process that looks at it. They cross no table.

use std::time::Duration;

/// The tasks of one function that one cell has started, by how they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// The cell.
    pub cell: u64,
    /// The function's name.
    pub function: String,
    /// Those that wait: for an argument, for resources, for a worker.
    pub waiting: u64,
    /// Those that run.
    pub running: u64,
    /// Those that gave a result.
    pub finished: u64,
    /// Those that failed, for whatever reason, and are not run again.
    pub failed: u64,
    /// Those that were cancelled.
    pub cancelled: u64,
    /// How long ago the first of them was submitted.
    pub first: Duration,
    /// How long ago the last that has ended did so.
    pub last: Option<Duration>,
    /// How long ago the oldest of those that have not ended was submitted.
    pub oldest: Option<Duration>,
    /// Whether ends of tasks were forgotten before they were read, so that `finished` is an estimate.
    pub is_rough: bool,
}

impl TaskCounts {
    /// Those that have not ended.
    pub fn unfinished(&self) -> u64 {
        self.waiting + self.running
    }

    /// Those that have ended.
    pub fn ended(&self) -> u64 {
        self.finished + self.failed + self.cancelled
    }
}
