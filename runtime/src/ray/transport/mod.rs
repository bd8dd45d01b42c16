//! The transport to a Ray cluster: a session, over the protocol of Ray's client port.
//!
//! ```text
//!  session.rs   what the engine calls, from any thread ─▶ driver.rs   the session's thread
//!     │                                                      ├─▶ outbox.rs   decides what goes out next, and which ids are kept
//!     ▼                                                      ├─▶ line.rs, start.rs   the connection, and how a session begins
//!  value.rs, reference.rs   what crosses                     ├─▶ beside.rs   calls beside the stream
//!     └─▶ pickle/   as Python's pickles, and back            └─▶ error.rs   exceptions as failures
//! ```
//!
//! Nothing here knows what Mobula runs there: functions and classes of Python are put as values, and called.
//!
//! # Protocol
//! One gRPC stream is the session. Its requests are numbered; each is answered once, puts and calls in order, gets when the object is there. The cluster
//! keeps what a session has made or seen until the session releases it.

mod beside;
mod call;
mod connect_error;
mod driver;
mod error;
mod line;
mod options;
mod outbox;
#[cfg(test)]
mod outbox_tests;
mod pickle;
mod proto;
mod reference;
mod session;
mod start;
mod value;

pub use bytes::Bytes;
pub use call::{Info, Kind, Log, Schedule};
pub use connect_error::ConnectError;
pub use error::RayError;
pub use options::{ConnectOptions, Tls, Token};
pub use pickle::WriteError;
pub use reference::Ref;
pub use session::Session;
pub use start::ServerInfo;
pub use value::Value;
