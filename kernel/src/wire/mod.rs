//! Jupyter messages: frames, signatures, headers, and requests that leave out what they may.
//!
//! ```text
//! identity… | <IDS|MSG> | HMAC | header | parent_header | metadata | content | buffer…
//!  (router)    delimiter    └──────── over these four, as sent ─────────┘
//! ```
//!
//! Headers stay the bytes they came as: a `parent_header` must hold every field of the request's header, also those
//! that this kernel has never heard of. A request whose content lacks a field is completed before it is given its type,
//! and one that still makes no sense gets an error reply; the sender must not wait for ever.

mod message;
mod request;
mod signature;
mod time;

pub(crate) use message::{Draft, Origin, PROTOCOL_VERSION, Request, Wire};
pub(crate) use request::typed;
pub(crate) use signature::Key;
pub(crate) use time::timestamp;
