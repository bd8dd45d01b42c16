//! What the code calls that a session generates around a cell. Not for people.

pub mod common;
mod dbg;
pub mod future;
pub mod sizes;
pub mod variables;
