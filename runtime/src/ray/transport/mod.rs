//! The transports to a Ray cluster: a session, over the protocol of Ray's client port or through a bridge.
//!
//! ```text
//!  session.rs   what the engine calls, from any thread ─▶ driver.rs   the session's thread
//!     │                                                      ├─▶ outbox.rs   decides what goes out next, and which ids are kept
//!     ▼                                                      ├─▶ bursts.rs   decides which values are fetched together
//!  value.rs, reference.rs   what crosses                     ├─▶ beside.rs   calls beside the stream
//!     └─▶ pickle/   as Python's pickles, and back            ├─▶ error.rs    exceptions as failures
//!                                                            └─▶ way.rs      to a client port (line.rs, start.rs) or a bridge (bridge.rs); over
//!                                                                            either a stream (stream.rs) and calls beside it (door.rs)
//! ```
//!
//! Nothing here knows what Mobula runs there: functions and classes of Python are put as values, and called.
//!
//! # Protocol
//! One stream is the session. Its requests are numbered; each is answered once, puts and calls in order, gets when the object is there. The cluster
//! keeps what a session has made or seen until the session releases it. Over a client port the stream is one of gRPC; a bridge is sent the same requests.

mod beside;
mod bridge;
mod bursts;
mod call;
mod connect_error;
mod door;
mod driver;
mod error;
mod job_config;
mod line;
mod options;
mod outbox;
#[cfg(test)]
mod outbox_tests;
mod pickle;
mod proto;
mod reference;
mod server_info;
mod session;
mod start;
mod stream;
mod value;
mod way;

pub use bytes::Bytes;
pub use call::{Info, Kind, Log, Schedule};
pub use connect_error::ConnectError;
pub use error::RayError;
pub use options::{ConnectOptions, GiveUp, Tls, Token};
pub use pickle::WriteError;
pub use reference::Ref;
pub use server_info::ServerInfo;
pub use session::Session;
pub use value::Value;
