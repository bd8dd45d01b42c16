//! The local runtime: everything between a cell's call and the worker that runs it.
//!
//! ```text
//!   front process                                                    cell host, worker, program
//!   ┌────────────────────────────────────────────┐                  ┌──────────────────────────┐
//!   │ Local (handle)                             │                  │ table   extern "C"       │
//!   │   │ commands                               │     sockets      │   │                      │
//!   │ Head ── scheduler, objects, waits, outputs │◀────────────────▶│ client  handles, drafts  │
//!   └──────│─────────────────────────────────────┘                  └──────────────────────────┘
//!          │ fork requests, exits
//!     zygote ──fork──▶ workers
//! ```
//!
//! A process's `main` begins with [`crate::worker::role_from_env`] and [`Zygote::fork`], before any thread exists. Then it
//! starts a [`Local`]. Cells reach it through [`client`]. A plain program has all of it in `Program::start` of the crate `mobula`.

mod config;
mod error;
mod folder;
mod head;
mod observer;
mod outbox;
mod signals;
mod zygote;

pub use config::Config;
pub use error::StartError;
pub use folder::FolderError;
pub use head::Local;
pub use observer::{Observer, RuntimeEvent, Stream};
pub use outbox::Outbox;
pub use zygote::{Zygote, ZygoteError, role_from_env};
