//! The front process's side of the local runtime: the head, the zygote and the session's folder.
//!
//! ```text
//!   front process                                        cell host, worker, program
//!   ┌──────────────────────────────────────────────┐     ┌──────────────────────────────────┐
//!   │ Local, a handle ── commands ─▶ head          │     │ C table ─▶ client                │
//!   │ head: scheduler, failures, eviction, output  │◀───▶│ handles, drafts, waiting         │
//!   └──────│───────────────────────────────────────┘     └──────────────────────────────────┘
//!          │ fork requests, exits                  sockets
//!     zygote ──fork──▶ workers
//! ```
//!
//! A process's `main` begins with [`role_from_env`] and [`Zygote::fork`], before any thread exists. Then it
//! starts a [`Local`]. Cells reach it through [`crate::client`]. A plain program has all of it in `Program::start` of the crate `mobula`.

mod config;
mod error;
pub(crate) mod folder;
mod gpus;
mod head;
mod observer;
mod outbox;
mod signals;
mod zygote;

pub use crate::protocol::{RuntimeEvent, Stream};
pub use config::Config;
pub use error::StartError;
pub use folder::FolderError;
pub use head::Local;
pub use observer::{CommReply, JoinReply, JoinedAt, Observer, Reply, locate_causes};
pub use outbox::Outbox;
pub use zygote::{Zygote, ZygoteError, role_from_env};
