//! The prompt's source of lines, and the errors that end it.

use crate::env_broken;
use crate::script::pipe::PipeError;
use rustyline::error::ReadlineError;
use std::io;

/// Why a REPL ended with an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplError {
    /// The handler of Ctrl-C could not be installed.
    #[error("cannot install the Ctrl-C handler")]
    Signal(#[source] io::Error),
    /// The terminal could not be used.
    #[error("the terminal could not be used")]
    Terminal(#[from] ReadlineError),
    /// Reading cells from an input other than a terminal failed.
    #[error(transparent)]
    Input(#[from] PipeError),
}

impl ReplError {
    /// The exit code of this error: 1 for an input that cannot be run, 3 for a broken environment.
    pub fn exit_code(&self) -> u8 {
        match self {
            ReplError::Input(error) => error.exit_code(),
            ReplError::Signal(_) | ReplError::Terminal(_) => env_broken(),
        }
    }
}

/// The result of reading at the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A cell or a command.
    Text(String),
    /// Ctrl-C: the line is dropped.
    Interrupted,
    /// Ctrl-D.
    End,
}

/// A source of cells at the prompt.
pub(crate) trait Lines {
    fn read(&mut self, prompt: &str) -> Result<Read, ReplError>;
    /// Keeps an entry in the history.
    ///
    /// # Errors
    /// A sentence, once, when entries can no longer be saved.
    fn remember(&mut self, text: &str) -> Result<(), String>;
    fn history(&self) -> Vec<String>;
    fn clear_screen(&mut self);
}
