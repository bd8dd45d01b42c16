//! The program from outside: what a person at a terminal, Jupyter, a script and `kill -9` see.
//!
//! ```text
//! a module per subject ─▶ support (place, notebook, terminal, python) ─▶ the binary `mobula`
//! ```
//!
//! Each test has a home of its own and ends by looking for what is left of it: processes, files, sockets, shared memory. A
//! session takes seconds to start, so one test often looks at several things in one session.
//!
//! # Invariants
//! - A test waits for a condition with a deadline; it never assumes that something takes a certain time.
//! - Nothing outside a test's place is written, but for the prepared crate that all tests share.

mod support;

mod cache;
mod cells;
mod cli;
mod contract;
mod crates;
mod dashboard;
mod death;
mod front_ends;
mod kernel;
mod notebooks;
mod private;
mod repl;
mod scripts;
mod shared;
mod suite;
mod tasks;
mod testing;
mod track;
mod undo;
mod unread;
mod walk;
