//! What this crate needs of a session, so that something else can stand in for it.

use mobula_session::{CellId, Completions, InputReader, Outcome, Session};

/// An evaluator of cells. Clones are the same evaluator. [`Session`] is the one that people use.
pub trait Evaluator: Clone + Send + Sync + 'static {
    /// Runs a cell and blocks until it has ended.
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome;
    /// The number the next cell will get. Never blocks.
    fn next_cell(&self) -> CellId;
    /// Interrupts the cell that runs now, if any. Never blocks.
    fn interrupt(&self);
    /// What could stand at byte `cursor` of `code`.
    fn complete(&self, code: &str, cursor: usize) -> Completions;
    /// Blocks until cells can run.
    ///
    /// # Errors
    /// A sentence that says what is missing and the command that mends it.
    fn ready(&self) -> Result<(), String>;
    /// Ends the evaluator and its processes.
    fn shutdown(&self);
}

impl Evaluator for Session {
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome {
        Session::execute(self, code, input)
    }

    fn next_cell(&self) -> CellId {
        Session::next_cell(self)
    }

    fn interrupt(&self) {
        Session::interrupt(self);
    }

    fn complete(&self, code: &str, cursor: usize) -> Completions {
        Session::complete(self, code, cursor)
    }

    fn ready(&self) -> Result<(), String> {
        Session::ready(self)
    }

    fn shutdown(&self) {
        Session::shutdown(self);
    }
}
