//! Comms: channels of messages between a cell, a task or an actor and the front ends ("Custom Messages" in Jupyter's messaging protocol).
//!
//! Widgets are built on them ([`crate::widgets`]); use a comm for a protocol of your own, with JavaScript on the other side.

mod error;

pub use error::CommError;

use crate::abi::{CommAnswer, CommCall, CommKind, CommMessage, Listened};
use crate::calls::{self, callbacks};
use crate::json::JsonValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// An open channel to all front ends. Clones are the same channel.
///
/// In a plain program there are no front ends, and [`Comm::open`] says so.
///
/// ```
/// # mobula::inline::attach();
/// use mobula::comm::{Comm, CommError};
/// use std::collections::BTreeMap;
/// match Comm::open("my-target", &BTreeMap::from([("hello", 1)])) {
///     Ok(comm) => comm.send(&BTreeMap::from([("values", [1, 2, 3])]))?,
///     Err(CommError::NoSession { .. }) => println!("this is no notebook"),
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), CommError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Comm {
    id: Arc<str>,
}

/// A message that a front end sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    data: String,
    buffers: Vec<Vec<u8>>,
}

impl Message {
    /// The message's data.
    ///
    /// # Errors
    /// The data are no `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, CommError> {
        let data = JsonValue::parse(&self.data).and_then(|data| data.to());
        data.map_err(|error| CommError::Data { message: error.to_string() })
    }

    /// The binary data beside it.
    pub fn buffers(&self) -> &[Vec<u8>] {
        &self.buffers
    }

    pub(crate) fn of(message: &CommMessage) -> Message {
        Message { data: message.data.clone(), buffers: message.buffers.clone() }
    }
}

/// A callback that was set. Dropping this keeps the callback.
#[derive(Debug)]
pub struct Callback {
    number: u64,
}

impl Callback {
    pub(crate) fn new(number: u64) -> Callback {
        Callback { number }
    }

    /// Has it run at once, on a thread of its own, also while a cell runs; before, it runs between two cells.
    pub fn eager(self) -> Callback {
        // A session that is gone sends no message either.
        let _ = callbacks::run_at_once(self.number);
        self
    }

    /// Removes it.
    pub fn remove(self) {
        callbacks::forget(self.number);
    }
}

impl Comm {
    /// Opens a comm: front ends that have registered the target get `data`, a struct or a map.
    ///
    /// # Errors
    /// There is no session; `data` is no object of JSON.
    pub fn open<T: Serialize + ?Sized>(target: &str, data: &T) -> Result<Comm, CommError> {
        Comm::open_as(new_id(), target, json(data)?, "", Vec::new())
    }

    pub(crate) fn open_as(
        id: String,
        target: &str,
        data: String,
        metadata: &str,
        buffers: Vec<Vec<u8>>,
    ) -> Result<Comm, CommError> {
        let kind = CommKind::Open { target: target.to_owned() };
        send(CommMessage { comm: id.clone(), kind, data, metadata: metadata.to_owned(), buffers })?;
        Ok(Comm { id: id.into() })
    }

    /// The comm with this id, which another process has opened.
    pub(crate) fn known(id: &str) -> Comm {
        Comm { id: id.into() }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends a message, a struct or a map, to all front ends.
    ///
    /// # Errors
    /// It was closed; `data` is no object of JSON.
    pub fn send<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), CommError> {
        self.send_json(json(data)?, Vec::new())
    }

    /// As [`Comm::send`], with binary data beside it.
    ///
    /// # Errors
    /// As for [`Comm::send`].
    pub fn send_with<T: Serialize + ?Sized>(&self, data: &T, buffers: Vec<Vec<u8>>) -> Result<(), CommError> {
        self.send_json(json(data)?, buffers)
    }

    pub(crate) fn send_json(&self, data: String, buffers: Vec<Vec<u8>>) -> Result<(), CommError> {
        send(CommMessage::new(&self.id, CommKind::Message, data, buffers))
    }

    /// Calls `code` for each message of a front end: between two cells, unless the callback is [`Callback::eager`].
    ///
    /// # Errors
    /// It was closed.
    ///
    /// # Panics
    /// In a task or an actor: set callbacks in a cell.
    pub fn on_message(&self, mut code: impl FnMut(Message) + Send + 'static) -> Result<Callback, CommError> {
        self.listen(Box::new(move |message| {
            if message.kind == CommKind::Message {
                code(Message::of(message));
            }
        }))
    }

    pub(crate) fn listen(&self, code: Box<dyn FnMut(&CommMessage) + Send>) -> Result<Callback, CommError> {
        let to = Listened::Comm(self.id.to_string());
        callbacks::listen(to, code).map(Callback::new).map_err(CommError::from_fault)
    }

    /// Calls `code` for each comm that a front end opens for a target.
    ///
    /// # Errors
    /// There is no session.
    ///
    /// # Panics
    /// In a task or an actor: set callbacks in a cell.
    pub fn on_open(target: &str, mut code: impl FnMut(Comm, Message) + Send + 'static) -> Result<Callback, CommError> {
        let to = Listened::Target(target.to_owned());
        let code = move |message: &CommMessage| code(Comm::known(&message.comm), Message::of(message));
        callbacks::listen(to, code).map(Callback::new).map_err(CommError::from_fault)
    }

    /// Closes it, for all.
    ///
    /// # Errors
    /// It was closed before.
    pub fn close(&self) -> Result<(), CommError> {
        callbacks::forget_comm(&self.id);
        send(CommMessage::new(&self.id, CommKind::Close, "{}".to_owned(), Vec::new()))
    }

    /// A value of a widget's state, as JSON, and the bytes in its place.
    pub(crate) fn value(&self, key: &str) -> Result<(String, Option<Vec<u8>>), CommError> {
        let call = CommCall::Value { comm: self.id.to_string(), key: key.to_owned() };
        match calls::comm(call).map_err(CommError::from_fault)? {
            CommAnswer::Value { json, bytes } => Ok((json, bytes)),
            _ => Err(CommError::Closed),
        }
    }
}

/// Appends to a list in a widget's state.
pub(crate) fn append(comm: &str, key: &str, json: String) -> Result<(), CommError> {
    match calls::comm(CommCall::Append { comm: comm.to_owned(), key: key.to_owned(), json })
        .map_err(CommError::from_fault)?
    {
        CommAnswer::Closed => Err(CommError::Closed),
        _ => Ok(()),
    }
}

fn send(message: CommMessage) -> Result<(), CommError> {
    match calls::comm(CommCall::Send(message)).map_err(CommError::from_fault)? {
        CommAnswer::Closed => Err(CommError::Closed),
        _ => Ok(()),
    }
}

/// The data of a message, which the protocol wants to be an object.
fn json<T: Serialize + ?Sized>(data: &T) -> Result<String, CommError> {
    match JsonValue::of(data) {
        Ok(data @ JsonValue::Map(_)) => Ok(data.to_string()),
        Ok(data) => Err(CommError::Data { message: format!("a message is a struct or a map, and not {data}") }),
        Err(error) => Err(CommError::Data { message: error.to_string() }),
    }
}

/// A new comm's id: 32 hexadecimal digits that no other process has.
pub(crate) fn new_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    format!("{now:016x}{:08x}{:08x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
