//! The actors of the tests: a [`Place`] of one's own, a [`Notebook`] that is run, a person at a [`Terminal`], Jupyter from [`python`].

mod notebook;
mod patience;
mod place;
mod python;
mod terminal;
#[path = "../../../xtask/src/traces.rs"]
mod traces;

pub use notebook::{Notebook, joined, shown};
pub use patience::{Finished, Spawned, eventually, finish};
pub use place::{Place, kill};
pub use python::{Jupyter, python, script};
pub use terminal::Terminal;
