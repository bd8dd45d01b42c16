//! The prompt: reading cells and commands at a terminal.

pub(crate) mod complete;
pub(crate) mod editor;
pub(crate) mod highlight;
pub mod history;
pub mod lines;
pub mod repl;
