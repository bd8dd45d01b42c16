//! The evaluator's interface to front ends. [`crate::Session`] implements it; tests have their own.

use crate::event::InputReader;
use crate::event::{Bundle, CellId, CommMessage, Completions, Outcome, Received, VariableInfo};

/// Runs cells and answers questions about code. What cells show goes to the [`crate::Sink`] that the evaluator was made with.
pub trait Evaluator: Send + Sync + 'static {
    /// Runs a cell and blocks until it has ended. Cells given at the same time run one after the other. `input` answers the questions that
    /// the cell asks; `None` when the person cannot be asked.
    fn execute(&self, code: &str, input: Option<InputReader>) -> Outcome;
    /// As [`Evaluator::execute`], for a cell that the front end calls `origin`. What its previous run defined, and this run does not, is
    /// removed.
    fn execute_again(&self, origin: &str, code: &str, input: Option<InputReader>) -> Outcome {
        let _ = origin;
        self.execute(code, input)
    }
    /// As [`Evaluator::execute`], for code that is none of the person's cells: `:save` leaves it out.
    fn execute_unstored(&self, code: &str, input: Option<InputReader>) -> Outcome {
        self.execute(code, input)
    }
    /// A cell runs next, and the person may see it as running already: from here on, an interrupt is meant for it.
    fn announce(&self) {}
    /// Whether [`crate::Event::Tasks`] are wanted of the cells that run from now on. At first they are not.
    fn watch_tasks(&self, watched: bool) {
        let _ = watched;
    }
    /// The number that the next cell will get. Never blocks.
    fn next_cell(&self) -> CellId;
    /// Interrupts the cell that runs now, if any. Never blocks; may be called from any thread. A second call during the
    /// grace period ends the cell at once.
    fn interrupt(&self);
    /// The completions at byte `cursor` of `code`. May block while a cell runs.
    fn complete(&self, code: &str, cursor: usize) -> Completions;
    /// What is known of the name at byte `cursor` of `code`. May block while a cell runs.
    fn inspect(&self, code: &str, cursor: usize) -> Option<Bundle>;
    /// Takes a message that a front end sent on a comm; `request` is a number for it, which is in its [`crate::Event::CommReply`]. Never blocks.
    fn comm(&self, request: u64, message: CommMessage) -> Received {
        let _ = (request, message);
        Received::default()
    }
    /// The open comms, of one target or all: their ids and targets. Never blocks.
    fn comms(&self, target: Option<&str>) -> Vec<(String, String)> {
        let _ = target;
        Vec::new()
    }
    /// The states of all widgets, as a notebook keeps them in its metadata (`widgets`); `None` when there are none. Never blocks.
    fn widget_states(&self) -> Option<serde_json::Value> {
        None
    }
    /// Runs the callbacks that wait for messages on comms, after the cells that were given before, and blocks until they have ended.
    fn run_callbacks(&self) {}
    /// The variables as they are known without running anything: those after the last cell, or, while a cell runs, those of before. `None` if they
    /// have to be read: [`Evaluator::variables`].
    fn known_variables(&self) -> Option<Vec<VariableInfo>> {
        None
    }
    /// The variables, after the cells that were given before; if they cannot be read now, those of before. Code that reads their values is compiled
    /// and run; blocks until it has ended.
    fn variables(&self) -> Vec<VariableInfo> {
        Vec::new()
    }
    /// Blocks until cells can run.
    ///
    /// # Errors
    /// A sentence that says what is missing and which command installs it.
    fn ready(&self) -> Result<(), String>;
    /// Ends the session, and a running cell with it.
    fn shutdown(&self);
}
