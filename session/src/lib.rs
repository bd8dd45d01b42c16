//! Cells: evcxr behind one type, the process that runs them, and what they show.
//!
//! A front end makes a [`Session`], gives it code, and gets [`Event`]s and an [`Outcome`] back. The runtime (tasks, objects)
//! is known here only through [`Host`] and [`CellRuntime`].
//!
//! ```text
//! front end ─▶ Session ─▶ backend (evcxr, one thread) ─▶ rustc (wrapper) ─▶ a library
//!     ▲                      │ commands                                        │
//!     └── events ── link (one thread) ◀── packets, stdout, stderr ── cell host ◀┘   twin
//! ```

mod backend;
mod blocks;
pub mod cellhost;
pub mod completeness;
pub mod evaluator;
pub mod event;
pub mod host;
mod library;
mod link;
mod link_wire;
mod record;
pub mod report;
mod session;
mod sources;
mod stream;
mod template;
pub mod toolchain;
mod twin;
pub mod wrapper;

pub use completeness::completeness;
pub use evaluator::Evaluator;
pub use event::*;
pub use host::{CellRuntime, EmbeddedFile, Host};
pub use session::{InputReader, InputRequest, Session, Settings};
pub use sources::Found;
