//! The transport under Jupyter's sockets: ZeroMQ's wire protocol, the server's half of it, and no more.
//!
//! ```text
//! Listener ──accept──▶ connection task ── handshake ──▶ Service::joined(peer)
//!  (tcp, ipc)              │  reads: codec ───────────▶ Service::received(peer, frames)
//!                          │  writes ◀── peer.outbox ◀── anybody, never waits, counted in bytes
//!                          └─ end of either ──────────▶ Service::left(peer)
//! ```
//!
//! A kernel only ever binds, never connects, and needs three behaviours: route by identity (shell, control, stdin),
//! echo (heartbeat), publish (iopub). The `zeromq` crate has sockets for these, and they were measured. What they cannot
//! do is what a notebook needs most: its PUB socket counts 100,000 messages instead of bytes, drops silently above
//! that, and does not tell who has subscribed to what, so that an `iopub_welcome` can only be guessed at; its XPUB lets
//! one client that stopped reading stop all others; no socket can be flushed before the process ends, which loses the
//! last reply; and REP gives up on odd frames.
//!
//! # Invariants
//! - Nothing a peer sends ends more than its own connection, and nothing it announces makes us allocate before it is
//!   sent.
//! - To write never waits: a peer that does not read only fills its own outbox, and whoever fills it sets the bound.
//! - [ZMTP 3.0](https://rfc.zeromq.org/spec/23/) with the NULL mechanism is what we announce; newer peers adapt to it.

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
