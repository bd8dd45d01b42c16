//! What the kernel needs of whoever runs the cells. [`mobula_session::Session`] is it; the tests have one of their own.

use mobula_session::{Bundle, CellId, Completions, InputReader, Outcome, Session};

/// Runs cells and answers questions about code. Its events go to the sink that [`run`](crate::run) hands out.
pub trait Evaluator: Send + Sync + 'static {
    /// Runs a cell and blocks until it has ended. Called from one thread only. `input` asks the person; `None` when
    /// nobody can be asked.
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome;
    /// The number that the next cell will get.
    fn next_cell(&self) -> CellId;
    /// Interrupts the cell that runs now, if any. Never blocks; called from any thread.
    fn interrupt(&self);
    /// What could stand at byte `cursor` of `code`. May block while a cell runs.
    fn complete(&self, code: &str, cursor: usize) -> Completions;
    /// What is known of the name at byte `cursor` of `code`.
    fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle>;
    /// Ends everything, also a cell that runs.
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

    fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle> {
        Session::inspect(self, code, cursor)
    }

    fn shutdown(&self) {
        Session::shutdown(self);
    }
}
