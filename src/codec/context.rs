//! The thread-local context by which a nested value reaches the object that it is written to or read from.
//!
//! Serde passes a serializer down, but nothing beside it. So while the codec works, a thread-local context holds the
//! object's buffers and refs. An array puts its bytes there, and writes only their number into the body. A value that
//! is serialised elsewhere (such as to JSON) finds no context, or has a human-readable serializer inside one, and
//! writes itself in full.
//!
//! The contexts nest: a `Serialize` that calls `put` starts a context of its own, and then restores the outer one.

use super::Shared;
use super::layout::Parts;
use crate::calls::Handle;
use std::cell::Cell;
use std::fmt::Display;
use std::thread::LocalKey;

/// The data beside the body of a value that is being encoded.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) buffers: Vec<Shared<u8>>,
    pub(super) refs: Vec<Handle>,
    /// The message of the first error.
    pub(super) complaint: Option<String>,
}

/// The data beside the body of a value that is being decoded.
#[derive(Default)]
pub(super) struct Provided {
    /// The object, when it has buffers.
    object: Option<(Shared<u8>, Parts)>,
    complaint: Option<String>,
}

/// Whether a thread is in a context, and the content of that context. Two words large, because every value that is
/// written or read changes this twice, and most put nothing into it.
#[derive(Default)]
enum Context<C> {
    #[default]
    Outside,
    Empty,
    Filled(Box<C>),
}

type Key<C> = LocalKey<Cell<Context<C>>>;

thread_local! {
    static ENCODING: Cell<Context<Gathered>> = const { Cell::new(Context::Outside) };
    static DECODING: Cell<Context<Provided>> = const { Cell::new(Context::Outside) };
}

/// Keeps this thread in a context until it ends or is dropped, even by unwinding. Then the outer context is restored.
///
/// A guard and not a function that takes a closure: every cell compiles again what is generic over the user's types, so
/// there is as little of it as possible.
struct Within<C: 'static> {
    key: &'static Key<C>,
    outer: Context<C>,
}

impl<C> Within<C> {
    fn begin(key: &'static Key<C>, context: Context<C>) -> Within<C> {
        Within { key, outer: key.replace(context) }
    }

    fn end(mut self) -> Option<Box<C>> {
        let inner = self.key.replace(std::mem::take(&mut self.outer));
        std::mem::forget(self); // The outer context is restored already.
        match inner {
            Context::Filled(filled) => Some(filled),
            Context::Empty | Context::Outside => None,
        }
    }
}

impl<C> Drop for Within<C> {
    fn drop(&mut self) {
        let inner = self.key.replace(std::mem::take(&mut self.outer));
        drop(inner); // After the outer context is restored, because a destructor may look at the context.
    }
}

/// An object being encoded on this thread.
pub(super) struct Encoding(Within<Gathered>);

impl Encoding {
    /// Begins with an empty context.
    pub(super) fn begin() -> Encoding {
        Encoding(Within::begin(&ENCODING, Context::Empty))
    }

    /// Ends the context and returns its content, if any.
    pub(super) fn end(self) -> Option<Box<Gathered>> {
        self.0.end()
    }
}

/// An object being decoded on this thread.
pub(super) struct Decoding(Within<Provided>);

impl Decoding {
    /// Begins for an object without buffers.
    pub(super) fn begin() -> Decoding {
        Decoding(Within::begin(&DECODING, Context::Empty))
    }

    /// Begins with this object's buffers.
    pub(super) fn begin_with(object: Shared<u8>, parts: Parts) -> Decoding {
        let provided = Provided { object: Some((object, parts)), complaint: None };
        Decoding(Within::begin(&DECODING, Context::Filled(Box::new(provided))))
    }

    /// Ends the context and returns the message of the first error.
    pub(super) fn end(self) -> Option<String> {
        self.0.end().and_then(|provided| provided.complaint)
    }
}

/// Calls `look` with the thread's context. Returns `None` outside of a context.
///
/// `look` must not look at the context by itself: it would find none.
fn within<C, R>(key: &'static Key<C>, look: impl FnOnce(&mut Context<C>) -> R) -> Option<R> {
    let mut context = key.take();
    let result = match context {
        Context::Outside => None,
        Context::Empty | Context::Filled(_) => Some(look(&mut context)),
    };
    key.set(context);
    result
}

impl<C: Default> Context<C> {
    /// The content, which is made if there is none.
    fn fill(&mut self) -> &mut C {
        if !matches!(self, Context::Filled(_)) {
            *self = Context::Filled(Box::default());
        }
        match self {
            Context::Filled(filled) => filled,
            Context::Outside | Context::Empty => unreachable!("bug: it was filled just now"),
        }
    }
}

/// Adds a buffer to the object being encoded and returns its number. Returns `None` outside of the codec.
pub(crate) fn put_buffer(human_readable: bool, bytes: impl FnOnce() -> Shared<u8>) -> Option<u32> {
    if human_readable {
        return None;
    }
    within(&ENCODING, |context| {
        let buffers = &mut context.fill().buffers;
        let number = u32::try_from(buffers.len()).ok()?;
        buffers.push(bytes());
        Some(number)
    })?
}

/// Adds a ref to the object being encoded. Returns false outside of the codec.
pub(crate) fn put_ref(human_readable: bool, handle: &Handle) -> bool {
    !human_readable && within(&ENCODING, |context| context.fill().refs.push(handle.clone())).is_some()
}

/// Whether the codec is decoding an object on this thread.
pub(crate) fn is_decoding(human_readable: bool) -> bool {
    !human_readable && within(&DECODING, |_| ()).is_some()
}

/// Buffer number `number` of the object being decoded.
pub(crate) fn buffer(number: u32) -> Option<Shared<u8>> {
    within(&DECODING, |context| {
        let Context::Filled(provided) = context else { return None };
        let (object, parts) = provided.object.as_ref()?;
        object.slice(parts.buffer(object, number as usize).ok()?)
    })?
}

/// A serializer's error with this message. Postcard keeps no message, so the context does.
pub(crate) fn ser_error<E: serde::ser::Error>(message: impl Display) -> E {
    let text = message.to_string();
    within(&ENCODING, |context| _ = context.fill().complaint.get_or_insert_with(|| text.clone()));
    E::custom(text)
}

/// A deserializer's error with this message.
pub(crate) fn de_error<E: serde::de::Error>(message: impl Display) -> E {
    let text = message.to_string();
    within(&DECODING, |context| _ = context.fill().complaint.get_or_insert_with(|| text.clone()));
    E::custom(text)
}
