//! Cells: the evaluator behind one type, the process that runs the cells, and their output.
//!
//! A front end makes a [`Session`], gives it code, and gets [`Event`]s and an [`Outcome`] back. The runtime (tasks, objects)
//! is known here only through [`Host`] and [`CellRuntime`].
//!
//! ```text
//! front end ─▶ Session ─▶ cells, or evcxr (one thread)        ─▶ rustc ─▶ a library
//!     ▲           └─────▶ analysis ─▶ analyst, a process: completion │ commands   │
//!     └─ outlet ◀─ events ── link (one thread) ◀── packets, stdout, stderr ── cell host ◀┘   twin
//! ```
//!
//! Modules, lowest layer first: `event`, `host`, `outlet` and `settings` (what others see); `base` (what cells are linked against);
//! `reports` (messages, and the lines that they name); `link` and `cellhost` (the process that runs cells); `analyst` (completion);
//! `cells` and `evcxr` (the two evaluators); `session` (the handle).

pub mod analyst;
mod bar;
mod base;
mod bundle;
pub mod cellhost;
mod cells;
mod comms;
pub mod evaluator;
mod evcxr;
pub mod event;
pub mod home;
pub mod host;
mod link;
mod outlet;
mod parts;
mod rendered;
mod reports;
mod session;
mod settings;
mod task_lines;
mod tokens;
mod traceback;

pub use analyst::outline::KEYWORDS;
pub use base::rustc_wrapper;
pub use base::{cache_dir, toolchain};
pub use cells::completeness::{completeness, could_go_on};
pub use cells::export;
pub use cells::line_input::{Gathered, Gathering};
pub use cells::parameters;
pub use cells::script;
pub use comms::{WIDGET_STATES, join as join_updates};
pub use evaluator::Evaluator;
pub use event::*;
pub use home::home;
pub use host::{CellFiles, CellRuntime, EmbeddedFile, FileCell, Host, TaskCounter};
pub use outlet::Outlet;
pub use reports::report;
pub use reports::sources::Found;
pub use session::Session;
pub use settings::{Engine, Settings};
