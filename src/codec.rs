//! Values to object bytes and back.
//!
//! ```text
//!   value ──serde──▶ body (postcard) ─────────────┐
//!     └─ arrays, at any depth ─▶ buffers ─────────┼─▶ one object: header │ table │ body │ pad │ buffer │ pad │ buffer …
//!     └─ object refs, at any depth ─▶ list of ids ┘   (layout.rs)
//! ```
//!
//! Arrays are copied once, from where they are into the object, and not at all on the way back: what is decoded points
//! into the object's bytes and keeps them there. See [`context`] for how a value deep inside another finds its buffer.
//!
//! # Invariants
//! - Decoding never trusts the bytes: a wrong object is a [`DecodeError`], never a panic or a read outside of it.
//! - The ids that an [`Encoded`] refers to are kept alive by it, until after the call that registers them.

pub(crate) mod context;
mod layout;
mod outcome;
mod view;

pub(crate) use view::Shared;

use crate::abi::{Cause, Fault};
use crate::cell::{Draft, Hold};
use crate::object::Handle;
use crate::remote::shorten;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value could not be written: its `Serialize` refused, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct EncodeError(String);

/// Bytes are not an object that holds the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It does not begin as an object does.
    #[error("it is not a mobula object")]
    NotAnObject,
    /// Another version of this crate wrote it.
    #[error("it has format {found}, and this build reads format {expected}")]
    Version { found: u32, expected: u32 },
    /// It contradicts itself.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// The body is not of the wanted type.
    #[error("it does not hold a `{wanted}`: {reason}")]
    Body { wanted: String, reason: String },
}

/// A value on its way into an object.
#[derive(Debug)]
pub(crate) struct Encoded {
    body: Vec<u8>,
    buffers: Vec<Shared<u8>>,
    refs: Vec<Handle>,
}

/// Encodes a value. Its arrays are not copied yet.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoded, EncodeError> {
    let (body, gathered) = context::encoding(|| postcard::to_stdvec(value));
    // A `serde::ser::Error::custom` reaches us without its text: postcard drops it, so the context keeps it.
    let body = body.map_err(|error| EncodeError(gathered.complaint.unwrap_or_else(|| words(error))))?;
    Ok(Encoded { body, buffers: gathered.buffers, refs: gathered.refs })
}

/// Encodes what a task returned; `Err` is the task's failure.
pub(crate) fn encode_result<T: Serialize>(value: &T) -> Result<Encoded, Cause> {
    if let Some(message) = outcome::error_text(value) {
        return Err(Cause::Error { message });
    }
    encode(value).map_err(|error| Cause::Refused { message: format!("its result cannot be sent: {error}") })
}

/// Decodes an object's bytes. Arrays in the value keep `hold`.
pub(crate) fn decode<T: DeserializeOwned>(hold: Hold) -> Result<T, DecodeError> {
    decode_bytes(Shared::from(hold))
}

fn decode_bytes<T: DeserializeOwned>(object: Shared<u8>) -> Result<T, DecodeError> {
    let parts = layout::parse(&object)?;
    let body = object.slice(parts.body).ok_or(DecodeError::Damaged("its body lies outside of it"))?;
    let mut buffers = Vec::with_capacity(parts.buffers.len());
    for range in parts.buffers {
        buffers.push(object.slice(range).ok_or(DecodeError::Damaged("an array lies outside of it"))?);
    }
    let (result, complaint) = context::decoding(buffers, || postcard::take_from_bytes::<T>(&body));
    let wanted = || shorten(std::any::type_name::<T>());
    match result {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => {
            Err(DecodeError::Body { wanted: wanted(), reason: format!("{} bytes are left over", rest.len()) })
        }
        Err(error) => Err(DecodeError::Body { wanted: wanted(), reason: complaint.unwrap_or_else(|| words(error)) }),
    }
}

/// Postcard's error, where it means something to who wrote the type.
fn words(error: postcard::Error) -> String {
    match error {
        postcard::Error::WontImplement | postcard::Error::SerializeSeqLengthUnknown | postcard::Error::CollectStrError => {
            "its type must be told from the data alone (an untagged enum, `#[serde(flatten)]`, a JSON value), which the \
            compact format does not keep; send it as a `String` of JSON"
                .into()
        }
        postcard::Error::SerdeSerCustom | postcard::Error::SerdeDeCustom => "its own serde code refuses".into(),
        postcard::Error::DeserializeUnexpectedEnd => "the bytes end too early".into(),
        other => other.to_string(),
    }
}

impl Encoded {
    /// Writes it into a new draft.
    pub(crate) fn draft(&self) -> Result<Draft, Box<Fault>> {
        let (prefix, plan) = self.plan();
        let mut draft = Draft::create(plan.total)?;
        draft.write(0, &prefix);
        draft.write(prefix.len(), &self.body);
        let mut written = prefix.len() + self.body.len();
        for (buffer, offset) in self.buffers.iter().zip(plan.offsets) {
            draft.write(written, &[0; layout::ALIGN][..offset - written]);
            draft.write(offset, buffer);
            written = offset + buffer.len();
        }
        Ok(draft)
    }

    fn plan(&self) -> (Vec<u8>, layout::Plan) {
        layout::plan(self.body.len(), self.buffers.iter().map(|buffer| buffer.len()))
    }

    /// The ids that the value refers to.
    pub(crate) fn refs(&self) -> Vec<u64> {
        self.refs.iter().map(Handle::id).collect()
    }
}

#[cfg(test)]
mod tests;
