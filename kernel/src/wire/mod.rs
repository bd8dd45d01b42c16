//! Jupyter messages: frames, signatures, headers, and requests with optional fields left out.
//!
//! ```text
//! identity… | <IDS|MSG> | HMAC | header | parent_header | metadata | content | buffer…
//!  (router)    delimiter    └──────── over these four, as sent ─────────┘
//! ```
//!
//! A header is kept as the bytes that came, because a `parent_header` must hold every field of the request's header,
//! even fields unknown to this kernel. Missing fields of a request's content are filled in before it is deserialised. A
//! request that still cannot be deserialised gets an error reply, because its sender must not wait for ever.

pub(crate) mod comm;
mod message;
mod request;
mod signature;
mod time;

pub(crate) use message::{Draft, Origin, PROTOCOL_VERSION, Request, Wire};
pub(crate) use request::typed;
pub(crate) use signature::Key;
pub(crate) use time::timestamp;
