//! Cells: their evaluator behind one type, the process that runs them, and what they show.
//!
//! A front end makes a [`Session`], gives it code, and gets [`Event`]s and an [`Outcome`] back. The runtime (tasks, objects)
//! is known here only through [`Host`] and [`CellRuntime`].
//!
//! ```text
//! front end ─▶ Session ─▶ direct, or evcxr_engine (one thread) ─▶ rustc ─▶ a library
//!     ▲           └─────▶ analysis ─▶ analyst, a process: completion │ commands   │
//!     └─ outlet ◀─ events ── link (one thread) ◀── packets, stdout, stderr ── cell host ◀┘   twin
//! ```

mod analysis;
pub mod analyst;
mod base;
mod blocks;
mod bundle;
pub mod cellhost;
pub mod completeness;
mod crash;
mod direct;
pub mod evaluator;
mod evcxr_context;
mod evcxr_engine;
pub mod event;
mod frames;
mod gathered;
pub mod home;
pub mod host;
mod library;
mod link;
mod link_wire;
mod outlet;
mod outline;
mod record;
mod rendered;
pub mod report;
mod running;
pub mod script;
mod session;
mod settle;
mod sources;
mod std_names;
mod stream;
pub mod toolchain;
mod twin;
mod verdict;
pub mod wrapper;

pub use base::cache_dir;
pub use completeness::{completeness, could_go_on};
pub use evaluator::Evaluator;
pub use event::*;
pub use gathered::{Gathered, Gathering};
pub use home::home;
pub use host::{CellRuntime, EmbeddedFile, Host};
pub use outlet::Outlet;
pub use outline::KEYWORDS;
pub use session::{Engine, Session, Settings};
pub use sources::Found;
