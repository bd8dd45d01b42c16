//! The transport under Jupyter's sockets: the server's half of ZMTP, ZeroMQ's wire protocol.
//!
//! ```text
//! Listener ──accept──▶ connection task ── handshake ──▶ Service::joined(peer)
//!  (tcp, ipc)              │  reads: codec ───────────▶ Service::received(peer, frames)
//!                          │  writes ◀── peer.outbox ◀── any task, never waits, counted in bytes
//!                          └─ end of either ──────────▶ Service::left(peer)
//! ```
//!
//! A kernel only binds, never connects, and needs three behaviours: route by identity (shell, control, stdin), echo
//! (heartbeat), publish (iopub). The `zeromq` crate has sockets for these, which were measured and lack what a notebook
//! needs most:
//! - Its PUB socket counts 100,000 messages instead of bytes, and drops silently above that. It does not report
//!   subscriptions, so the moment for an `iopub_welcome` can only be guessed.
//! - Its XPUB socket lets one client that stopped reading stop all others.
//! - Its sockets cannot be flushed before the process ends, which loses the last reply.
//! - Its REP socket gives up on odd frames.
//!
//! # Invariants
//! - Nothing that a peer sends ends more than its own connection. No length that it announces makes us allocate before
//!   the bytes arrive.
//! - Writing never waits: a peer that does not read fills only its own outbox. The code that fills an outbox sets its
//!   limit.
//! - We announce [ZMTP 3.0](https://rfc.zeromq.org/spec/23/) with the NULL mechanism; newer peers adapt to it.

mod codec;
mod connection;
mod listener;
mod outbox;

pub(crate) use codec::encode;
#[cfg(test)]
pub(crate) use codec::{Decoder, GREETING_LEN, Unit, greeting, ready};
pub(crate) use connection::{Peer, Service};
pub(crate) use listener::{Listener, serve};
pub(crate) use outbox::Outbox;
