//! The evaluator as front ends see it. [`crate::Session`] is it; tests have one of their own.

use crate::event::InputReader;
use crate::event::{Bundle, CellId, Completions, Outcome};

/// Runs cells and answers questions about code. What cells show goes to the [`crate::Sink`] that it was made with.
pub trait Evaluator: Send + Sync + 'static {
    /// Runs a cell and blocks until it has ended. Cells given at the same time run one after the other. `input` answers
    /// questions that the cell asks; `None` when nobody can be asked.
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome;
    /// As [`Evaluator::execute`], of a cell that the front end calls `origin`. What the run before of the same cell has defined and this one
    /// does not, ends.
    fn execute_again(&self, origin: &str, code: &str, input: Option<InputReader>) -> Outcome {
        let _ = origin;
        self.execute(code, input)
    }
    /// A cell will be run next, and people may see already that it is: from here on, an interrupt is meant for it.
    fn announce(&self) {}
    /// The number that the next cell will get. Never blocks.
    fn next_cell(&self) -> CellId;
    /// Interrupts the cell that runs now, if any. Never blocks; may be called from any thread. A second call during the
    /// grace period ends the cell at once.
    fn interrupt(&self);
    /// What could stand at byte `cursor` of `code`. May block while a cell runs.
    fn complete(&self, code: &str, cursor: usize) -> Completions;
    /// What is known of the name at byte `cursor` of `code`. May block while a cell runs.
    fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle>;
    /// Blocks until cells can run.
    ///
    /// # Errors
    /// A sentence that says what is missing and the command that mends it.
    fn ready(&self) -> Result<(), String>;
    /// Ends everything, also a cell that runs.
    fn shutdown(&self);
}
