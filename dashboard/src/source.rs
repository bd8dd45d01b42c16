//! The page's source: a runtime and, where there is one, a session.

pub use mobula_abi::CellRecord;
use mobula_abi::{Answer, Failure, Question, StoreSummary, TaskChanges, TaskLinks};

/// What a page shows. Functions are called from threads that may wait, several at a time.
pub trait Source: Send + Sync {
    /// Asks the runtime.
    ///
    /// # Errors
    /// The runtime is gone, or refuses the question.
    fn ask(&self, question: Question) -> Result<Answer, Unanswered>;

    /// What has become of tasks since the last call.
    ///
    /// # Errors
    /// As [`Source::ask`].
    fn task_changes(&self) -> Result<TaskChanges, Unanswered>;

    /// The tasks next to the one that makes this object.
    ///
    /// # Errors
    /// As [`Source::ask`].
    fn task_links(&self, id: u64) -> Result<TaskLinks, Unanswered>;

    /// What fills the store.
    ///
    /// # Errors
    /// As [`Source::ask`].
    fn store_summary(&self) -> Result<StoreSummary, Unanswered>;

    /// The report of a failure, several lines.
    fn report(&self, failure: &Failure) -> String;

    /// The cells that have changed after this revision of the list; none for a runtime without a session.
    fn cells(&self, after: u64) -> CellsSince {
        CellsSince { revision: after, cells: Vec::new() }
    }

    /// What tasks have written, from the line of this number on; nothing for a runtime without a session.
    fn log(&self, from: u64) -> LogSince {
        LogSince { next: from, ..LogSince::default() }
    }
}

/// Why the runtime gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unanswered {
    /// The reason, a sentence without a full stop.
    pub reason: String,
}

/// Cells that have changed.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct CellsSince {
    /// The revision of the list that this is.
    pub revision: u64,
    /// The cells, oldest first.
    pub cells: Vec<CellRecord>,
}

/// Lines that tasks have written.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LogSince {
    /// The number of the line after these.
    pub next: u64,
    /// How many lines are not remembered any more.
    pub dropped: u64,
    /// The lines.
    pub lines: Vec<LogLine>,
}

/// Something that a task has written at once.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogLine {
    /// When, in milliseconds since 1970.
    pub ms: u64,
    /// The cell that started the task; 0 outside a session.
    pub cell: u64,
    /// The function's name.
    pub task: String,
    /// The worker's process.
    pub pid: u32,
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// The text, with the name and the process before each line.
    pub text: String,
}
