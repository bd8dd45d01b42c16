//! How a value deep inside another reaches the object it is written to, or read from.
//!
//! Serde passes a serializer down, but nothing beside it. So while the codec works on a thread, the thread carries the
//! object's buffers and refs: an array puts its bytes there and writes only their number into the body. A value that is
//! serialised elsewhere (to JSON, say) finds no context, or a human-readable serializer inside one, and writes itself in full.
//!
//! The contexts nest: a `Serialize` that calls `put` starts a context of its own and gives the outer one back.

use super::Shared;
use crate::object::Handle;
use std::cell::RefCell;
use std::fmt::Display;
use std::thread::LocalKey;

/// What the parts of a value being encoded leave beside its body.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) buffers: Vec<Shared<u8>>,
    pub(super) refs: Vec<Handle>,
    /// What went wrong, in words.
    pub(super) complaint: Option<String>,
}

/// What the parts of a value being decoded find beside its body.
struct Provided {
    buffers: Vec<Shared<u8>>,
    complaint: Option<String>,
}

thread_local! {
    static ENCODING: RefCell<Option<Gathered>> = const { RefCell::new(None) };
    static DECODING: RefCell<Option<Provided>> = const { RefCell::new(None) };
}

/// Runs `body` with an empty context for encoding, and returns what was left in it.
pub(super) fn encoding<R>(body: impl FnOnce() -> R) -> (R, Gathered) {
    within(&ENCODING, Gathered::default(), body)
}

/// Runs `body` with these buffers for decoding. The second result is what went wrong, in words.
pub(super) fn decoding<R>(buffers: Vec<Shared<u8>>, body: impl FnOnce() -> R) -> (R, Option<String>) {
    let (result, provided) = within(&DECODING, Provided { buffers, complaint: None }, body);
    (result, provided.complaint)
}

fn within<C, R>(key: &'static LocalKey<RefCell<Option<C>>>, context: C, body: impl FnOnce() -> R) -> (R, C) {
    /// Puts the outer context back, also when `body` unwinds.
    struct Restore<C: 'static>(&'static LocalKey<RefCell<Option<C>>>, Option<C>);
    impl<C> Drop for Restore<C> {
        fn drop(&mut self) {
            let inner = self.0.replace(self.1.take());
            drop(inner); // Outside of the borrow: what is dropped here may look at the context.
        }
    }
    let restore = Restore(key, key.replace(Some(context)));
    let result = body();
    let context = key.take().expect("bug: a codec context was taken away while it was in use");
    drop(restore);
    (result, context)
}

/// Gives a buffer to the object being encoded and returns its number; `None` outside of the codec.
pub(crate) fn put_buffer(human_readable: bool, bytes: impl FnOnce() -> Shared<u8>) -> Option<u32> {
    if human_readable || !ENCODING.with_borrow(Option::is_some) {
        return None;
    }
    let bytes = bytes();
    ENCODING.with_borrow_mut(|context| {
        let buffers = &mut context.as_mut()?.buffers;
        let number = u32::try_from(buffers.len()).ok()?;
        buffers.push(bytes);
        Some(number)
    })
}

/// Tells the object being encoded that it refers to another; false outside of the codec.
pub(crate) fn put_ref(human_readable: bool, handle: &Handle) -> bool {
    if human_readable || !ENCODING.with_borrow(Option::is_some) {
        return false;
    }
    let handle = handle.clone();
    ENCODING.with_borrow_mut(|context| context.as_mut().map(|context| context.refs.push(handle))).is_some()
}

/// Whether an object is being decoded by the codec.
pub(crate) fn is_decoding(human_readable: bool) -> bool {
    !human_readable && DECODING.with_borrow(Option::is_some)
}

/// The buffer of that number in the object being decoded.
pub(crate) fn buffer(number: u32) -> Option<Shared<u8>> {
    DECODING.with_borrow(|context| context.as_ref()?.buffers.get(number as usize).cloned())
}

/// A serializer's error with this text. Postcard keeps no text, so the context does.
pub(crate) fn ser_error<E: serde::ser::Error>(message: impl Display) -> E {
    ENCODING.with_borrow_mut(|context| {
        if let Some(context) = context {
            context.complaint.get_or_insert_with(|| message.to_string());
        }
    });
    E::custom(message)
}

/// A deserializer's error with this text.
pub(crate) fn de_error<E: serde::de::Error>(message: impl Display) -> E {
    DECODING.with_borrow_mut(|context| {
        if let Some(context) = context {
            context.complaint.get_or_insert_with(|| message.to_string());
        }
    });
    E::custom(message)
}
