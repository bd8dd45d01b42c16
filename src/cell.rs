//! Functions that the generated code around a cell calls. Not for people.

pub mod common;
mod dbg;
pub mod future;
pub mod sizes;
pub mod variables;
