//! Mobula in a terminal: the prompt, cells from a pipe, and `mobula run`.
//!
//! ```text
//! terminal ─ editor ─▶ repl ──┐
//! stdin ──────────────▶ pipe ─┼─▶ runner ──▶ Evaluator (a session)
//! FILE.rs, FILE.ipynb ▶ script┘                   │ events
//!                                    render ◀─────┘  the only one that prints
//! ```
//!
//! Standard output has what the cells print, and their results. Standard error has errors and notices.

mod ask;
mod commands;
pub mod export;
#[cfg(test)]
mod fake_evaluator;
mod input;
mod interrupts;
mod lex;
mod prompt;
mod runner;
pub mod script;
mod show;
pub mod testing;

pub use prompt::history::HistoryChoice;
pub use prompt::lines::ReplError;
pub use prompt::repl::{self, ReplOptions};
pub use script::notebook::NotebookError;
pub use script::pipe::PipeError;
pub use show::colour::ColorChoice;

/// How a REPL or a script ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything that was asked for was done.
    Done,
    /// A cell failed, and that was reported.
    CellFailed,
    /// The program ended with this code.
    Exited(u8),
}

impl Ending {
    /// The exit code: 0, 1 when a cell failed, or the program's own.
    ///
    /// ```
    /// assert_eq!(mobula_repl::Ending::CellFailed.exit_code(), 1);
    /// ```
    pub fn exit_code(self) -> u8 {
        match self {
            Ending::Done => 0,
            Ending::CellFailed => 1,
            Ending::Exited(code) => code,
        }
    }
}

impl From<Ending> for std::process::ExitCode {
    fn from(ending: Ending) -> Self {
        ending.exit_code().into()
    }
}

/// The exit code when the machine lacks something.
const fn env_broken() -> u8 {
    3
}
