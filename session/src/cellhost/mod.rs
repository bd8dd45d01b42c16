//! The cell host: the process under evcxr that runs the cells' libraries.
//!
//! ```text
//! evcxr ──command pipe (its fd 0)──▶ host          host ◀──packets──▶ front process (begin, done, commit, promote)
//! evcxr ◀──result pipe (its fd 1)── front          host fd 1, 2 ──pipes──▶ front process, always drained
//! ```
//!
//! The front process writes to evcxr what evcxr expects of its child. So a cell counts as done exactly when the front process says so. The
//! module `twin` says what happens when this process dies, and `formers` how cells are undone.

pub(crate) mod crash;
mod formers;
mod host;
pub(crate) mod library;
mod relocate;
mod twin;

pub use host::{CALLBACKS, CHILD_ENV, GO_BACK, RUN, TRY, is_asked_for, run};
