//! Functions that the generated code around a cell calls: not a public API.

pub mod common;
mod dbg;
pub mod inspect;
pub mod sizes;
pub mod tests_run;
pub mod variables;
