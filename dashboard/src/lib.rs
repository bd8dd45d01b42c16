//! The web page of a runtime, and the answers about its state as JSON.
//!
//! ```text
//!   browser ── GET /?token=… ──▶ server ─▶ guard ─▶ routes ──▶ Source: the runtime, the session's cells, what tasks printed
//!           ◀─ one document ───    │ a thread of its own
//!           ◀─ server-sent events ─┴── watch: looks at most ten times a second, and only while there is a reader
//! ```
//!
//! This crate knows no runtime and no session: who starts a page gives it a [`Source`].
//!
//! # Invariants
//! - Nothing is answered without the token, or the cookie that it is traded for.
//! - No request changes anything. All of them are `GET` or `HEAD` but one: a worker's stack costs the worker a moment, so a page of another site
//!   must not be able to ask for it, and it is `POST`.
//! - What waits for a slow reader is bounded, and so is the number of connections.

mod answers;
mod document;
mod events;
mod guard;
mod history;
mod ids;
mod lanes;
mod metrics;
mod page;
mod processes;
mod report;
mod routes;
mod secret;
mod server;
mod source;
mod stack;
mod step;
mod watch;

pub use page::{Options, Page, StartError, start};
pub use report::{NoReport, report_page, saved_report};
pub use source::{CellRecord, CellsSince, LogLine, LogSince, Source, Unanswered};
