//! The prompt: what a person types at a terminal, before it is a cell.

pub(crate) mod complete;
pub(crate) mod editor;
pub(crate) mod highlight;
pub mod history;
pub mod lines;
pub mod repl;
