//! The prompt's source of lines, and the errors that end it.

use crate::env_broken;
use crate::script::pipe::PipeError;
use rustyline::error::ReadlineError;
use std::io;

/// Why a REPL ended before the person, or the input, did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplError {
    /// Ctrl-C could not be taken over.
    #[error("the interrupt signal could not be handled")]
    Signal(#[source] io::Error),
    /// The terminal failed.
    #[error("the terminal could not be used")]
    Terminal(#[from] ReadlineError),
    /// Cells were read from something that is no terminal, and that failed.
    #[error(transparent)]
    Input(#[from] PipeError),
}

impl ReplError {
    /// The exit code for it: 1 for an input that cannot be run, 3 for an environment that is broken.
    pub fn exit_code(&self) -> u8 {
        match self {
            ReplError::Input(error) => error.exit_code(),
            ReplError::Signal(_) | ReplError::Terminal(_) => env_broken(),
        }
    }
}

/// One answer of the line editor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A cell or a command.
    Text(String),
    /// Ctrl-C: the line is dropped.
    Interrupted,
    /// Ctrl-D.
    End,
}

/// Where cells come from while a person is there.
pub(crate) trait Lines {
    fn read(&mut self, prompt: &str) -> Result<Read, ReplError>;
    /// Keeps an entry.
    ///
    /// # Errors
    /// A sentence, once, when entries can no longer be written down.
    fn remember(&mut self, text: &str) -> Result<(), String>;
    fn history(&self) -> Vec<String>;
    fn clear_screen(&mut self);
}
