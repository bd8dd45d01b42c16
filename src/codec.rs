//! The codec: values to object bytes and back.
//!
//! ```text
//!   value ──serde──▶ body (postcard) ─────────────┐
//!     └─ arrays, at any depth ─▶ buffers ─────────┼─▶ one object: header │ table │ body │ pad │ buffer │ pad │ buffer …
//!     └─ object refs, at any depth ─▶ list of ids ┘   (layout.rs)
//! ```
//!
//! Arrays are copied once, into the object, and not at all on the way back: a decoded array points into the object's
//! bytes and keeps them alive. See [`context`] for how a nested array finds its buffer.
//!
//! A value without arrays and refs costs no allocation beyond its own: its body goes through a vector that the thread
//! keeps ([`body`]), and is decoded in place.
//!
//! # Invariants
//! - Decoding never trusts the bytes: a damaged object gives a [`DecodeError`], never a panic or a read outside of the
//!   object.
//! - An [`Encoded`] keeps the objects that it refers to alive until after the call that registers them.

mod body;
pub(crate) mod context;
mod layout;
mod outcome;
mod schema;
mod value;
mod view;

pub(crate) use schema::schema;
pub use value::Value;
pub(crate) use view::Shared;

use crate::abi::{Cause, Fault, shorten};
use crate::calls::{Draft, Handle, Hold};
use crate::error::sentence;
use body::Body;
use context::{Decoding, Encoding, Gathered};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value did not become the bytes of an object.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    /// The value's `Serialize` failed, with this message.
    #[error("{0}")]
    Refused(String),
    /// The runtime had no room for it.
    #[error("{}", sentence(.0.clone()))]
    NoRoom(Box<Fault>),
}

/// Why bytes are not an object that holds the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The bytes do not begin as an object does.
    #[error("it is not a mobula object")]
    NotAnObject,
    /// Another version of this crate wrote it.
    #[error("it has format {found}, and this build reads format {expected}")]
    Version { found: u32, expected: u32 },
    /// The object contradicts itself.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// The body is not of the wanted type.
    #[error("it does not hold a `{wanted}`: {reason}")]
    Body { wanted: String, reason: String },
}

/// A value's bytes, which are not an object yet.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) draft: Draft,
    /// The objects that the bytes refer to, which must live until the call that ends the draft has registered them.
    pub(crate) refs: Vec<Handle>,
}

/// Encodes a value into a draft of its own.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoded, EncodeError> {
    let context = Encoding::begin();
    let body = postcard::serialize_with_flavor(value, Body::begin());
    finish(body, context.end())
}

fn finish(body: postcard::Result<Body>, gathered: Option<Box<Gathered>>) -> Result<Encoded, EncodeError> {
    match (body, gathered) {
        (Ok(body), None) => stored(body, &[], Vec::new()),
        (Ok(body), Some(gathered)) => stored(body, &gathered.buffers, gathered.refs),
        // Postcard drops the text of a `serde::ser::Error::custom`, so the context keeps it.
        (Err(error), gathered) => {
            let complaint = gathered.and_then(|gathered| gathered.complaint);
            Err(EncodeError::Refused(complaint.unwrap_or_else(|| words(error))))
        }
    }
}

fn stored(body: Body, buffers: &[Shared<u8>], refs: Vec<Handle>) -> Result<Encoded, EncodeError> {
    let draft = draft(body.bytes(), buffers);
    body.end();
    Ok(Encoded { draft: draft.map_err(EncodeError::NoRoom)?, refs })
}

/// Writes the object's bytes. The buffers are copied straight from where they are.
fn draft(body: &[u8], buffers: &[Shared<u8>]) -> Result<Draft, Box<Fault>> {
    let start = layout::body_at(buffers.len());
    let body_end = start + body.len();
    let total = buffers.iter().fold(body_end, |end, buffer| layout::buffer_at(end) + buffer.len());
    let mut draft = Draft::create(total)?;
    draft.write(0, &layout::header(body.len(), buffers.len()));
    draft.write(start, body);
    let mut end = body_end;
    for (number, buffer) in buffers.iter().enumerate() {
        let offset = layout::buffer_at(end);
        draft.write(layout::entry_at(number), &layout::entry(offset, buffer.len()));
        draft.write(end, &[0; layout::ALIGN][..offset - end]);
        draft.write(offset, buffer);
        end = offset + buffer.len();
    }
    debug_assert_eq!(end, total, "an object is as long as its parts");
    Ok(draft)
}

/// Encodes a task's result. An `Err` is returned as the task's failure.
pub(crate) fn encode_result<T: Serialize>(value: &T) -> Result<Encoded, Box<Cause>> {
    match outcome::error_text(value) {
        Some(message) => Err(Box::new(Cause::Error { message })),
        None => encode_part(value),
    }
}

/// Encodes a part of a task's result, in which an `Err` is a value like any other.
pub(crate) fn encode_part<T: Serialize>(value: &T) -> Result<Encoded, Box<Cause>> {
    encode(value).map_err(not_sent)
}

/// An object without bytes, which decodes to nothing.
pub(crate) fn nothing() -> Result<Encoded, Box<Cause>> {
    let draft = Draft::create(0).map_err(EncodeError::NoRoom).map_err(not_sent)?;
    Ok(Encoded { draft, refs: Vec::new() })
}

fn not_sent(error: EncodeError) -> Box<Cause> {
    let message = match error {
        EncodeError::Refused(reason) => format!("its result cannot be sent: {reason}"),
        EncodeError::NoRoom(fault) => format!("its result cannot be stored: {}", sentence(fault)),
    };
    Box::new(Cause::Refused { message })
}

/// Decodes an object's bytes. Arrays in the value keep `hold` alive.
pub(crate) fn decode<T: DeserializeOwned>(hold: Hold) -> Result<T, DecodeError> {
    let parts = layout::parse(hold.bytes())?;
    debug_assert!(parts.body.end <= hold.bytes().len(), "the body lies inside of the object");
    if parts.buffers == 0 {
        // Nothing in the value can keep the object's bytes, so the hold need not be shared.
        return read(&hold.bytes()[parts.body], Decoding::begin());
    }
    let object = Shared::from(hold);
    let context = Decoding::begin_with(object.clone(), parts.clone());
    read(&object[parts.body], context)
}

fn read<T: DeserializeOwned>(body: &[u8], context: Decoding) -> Result<T, DecodeError> {
    let result = postcard::take_from_bytes::<T>(body);
    let complaint = context.end();
    match result {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(left_over(std::any::type_name::<T>(), rest)),
        Err(error) => Err(unreadable(std::any::type_name::<T>(), error, complaint)),
    }
}

fn left_over(wanted: &str, rest: &[u8]) -> DecodeError {
    DecodeError::Body { wanted: shorten(wanted), reason: format!("{} bytes are left over", rest.len()) }
}

fn unreadable(wanted: &str, error: postcard::Error, complaint: Option<String>) -> DecodeError {
    DecodeError::Body { wanted: shorten(wanted), reason: complaint.unwrap_or_else(|| words(error)) }
}

/// Postcard's error, in words for the type's author where it concerns them.
fn words(error: postcard::Error) -> String {
    match error {
        postcard::Error::WontImplement | postcard::Error::SerializeSeqLengthUnknown | postcard::Error::CollectStrError => {
            "its type must be told from the data alone (an untagged enum, `#[serde(flatten)]`, a JSON value), which the \
            compact format does not keep; send it as a `String` of JSON"
                .into()
        }
        postcard::Error::SerdeSerCustom | postcard::Error::SerdeDeCustom => "its own serde code returned an error".into(),
        postcard::Error::DeserializeUnexpectedEnd => "the bytes end too early".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
